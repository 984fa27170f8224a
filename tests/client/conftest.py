"""A small HTTP server that answers what a test tells it to, so that the client meets real sockets and real faults."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

TOKEN = "kt_" + "t" * 40


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    pairs: list[tuple[str, str]] = field(default_factory=list)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class FakeKeyturn:
    """Answers are given out in order; the last one stays."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answers: dict[tuple[str, str], list[Callable[[], Response]]] = field(default_factory=dict)

    def on(self, method: str, path: str, *answers: Any, status: int = 200) -> None:
        made = [answer if callable(answer) else (lambda a=answer: JSONResponse(a, status)) for answer in answers]
        self.answers[method, "/api/v1" + path] = made

    def problem(self, method: str, path: str, status: int, code: str, detail: str = "It did not work.", **more) -> None:
        self.on(method, path, lambda: problem(status, code, detail, **more))

    async def answer(self, request: Request) -> Response:
        body = await request.body()
        raw_path = request.scope["raw_path"].decode()
        pairs = request.query_params.multi_items()
        self.asked.append(Asked(request.method, raw_path, dict(pairs), dict(request.headers), body, pairs))
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return problem(401, "unauthenticated", "This API token is not known.")
        waiting = self.answers.get((request.method, raw_path))
        if not waiting:
            return problem(404, "not_found", "There is nothing at this address.")
        return (waiting.pop(0) if len(waiting) > 1 else waiting[0])()


def problem(status: int, code: str, detail: str, *, headers: dict[str, str] | None = None, **more: Any) -> Response:
    body = {"type": "about:blank", "title": "T", "status": status, "detail": detail, "code": code, **more}
    return Response(
        json.dumps(body), status, {"Keyturn-Error": code, **(headers or {})}, media_type="application/problem+json"
    )


def arrow(batches: list[list[dict]], stamp: dict | None, *, schema: pa.Schema, stamp_on_rows: bool = False) -> bytes:
    """An Arrow stream as the server makes it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for rows in batches:
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))
        if stamp is not None:
            last = pa.RecordBatch.from_pylist(batches[0][:1] if stamp_on_rows else [], schema=schema)
            writer.write_batch(last, custom_metadata={"keyturn.completeness": json.dumps(stamp)})
    return sink.getvalue().to_pybytes()


def streamed(body: bytes, *, cut_after: int | None = None, read_id: str = "rd_1") -> Response:
    """A chunked body, or one whose connection ends in the middle."""

    async def chunks() -> AsyncIterator[bytes]:
        yield body[:cut_after]
        if cut_after is not None:
            raise ConnectionError

    return StreamingResponse(chunks(), media_type="application/octet-stream", headers={"Keyturn-Read-Id": read_id})


@pytest.fixture(scope="session")
def server() -> Iterator[FakeKeyturn]:
    made = FakeKeyturn()
    methods = ["GET", "POST", "PATCH", "DELETE", "PUT"]
    app = Starlette(routes=[Route("/{path:path}", made.answer, methods=methods)])
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False, lifespan="off")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.005)
    made.url = f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
    yield made
    running.should_exit = True
    thread.join(10)


@pytest.fixture
def fake(server: FakeKeyturn) -> FakeKeyturn:
    """The server with nothing to answer yet."""
    server.asked.clear()
    server.answers.clear()
    return server


@pytest.fixture
def ws(fake: FakeKeyturn) -> Iterator[Any]:
    import keyturn

    with keyturn.connect(fake.url, TOKEN) as found:
        yield found


@pytest.fixture
def token() -> str:
    return TOKEN


@pytest.fixture
def made() -> Any:
    """The functions above, for test modules (which do not import a conftest)."""
    from types import SimpleNamespace

    return SimpleNamespace(arrow=arrow, streamed=streamed, problem=problem)
