"""Bodies that are too large, too long, never end or break off: each read ends as docs/tables.md says, in bounded memory."""

from __future__ import annotations

import gzip
import json
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

import keyturn

MB = 1 << 20
# Over what the server takes at rest: one page of 64 MB as it comes and as it is joined, and pages that wait behind it.
MOST_MORE_MB = 400


class Bodies:
    """A REST API on a bare socket: `on` says which bytes a path writes, head and all."""

    def __init__(self) -> None:
        self.writes: dict[str, Callable[[Callable[[bytes], None], dict[str, Any]], None]] = {}
        self.asked: list[str] = []
        api = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    if not (line := self.rfile.readline()):
                        return
                    head += line
                target = urlsplit(head.split()[1].decode())
                api.asked.append(target.path)
                query = {name: values[0] for name, values in parse_qs(target.query).items()}
                try:
                    api.writes[target.path](self.connection.sendall, query)
                except (BrokenPipeError, ConnectionResetError):
                    pass

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def head(*lines: str) -> bytes:
    return "\r\n".join(("HTTP/1.1 200 OK", "Connection: close", *lines, "", "")).encode()


def whole(body: bytes, kind: str = "application/json", *more: str) -> bytes:
    return head(f"Content-Type: {kind}", f"Content-Length: {len(body)}", *more) + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def rows(first: int, count: int) -> bytes:
    return json.dumps([{"id": n} for n in range(first, first + count)]).encode()


def bomb(megabytes: int) -> bytes:
    """A small archive of a JSON list with one long text."""
    packed = gzip.compress(b" " * MB)
    return gzip.compress(b'[{"id": 1, "text": "') + packed * megabytes + gzip.compress(b'"}]')


@pytest.fixture
def bodies() -> Iterator[Bodies]:
    made = Bodies()
    yield made
    made.close()


@pytest.fixture
def server(world, bodies):
    return world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS=f"127.0.0.1:{bodies.port}", KEYTURN_LOG_LEVEL="info")


@pytest.fixture
def table(server, steps, bodies):
    body = {"name": "acme", "base_url": bodies.url, "auth": {"type": "none"}, "access": "only_me"}
    connection = steps.ok(server.api.post("/connections", json=body))

    def create(path: str, **settings: Any) -> dict[str, Any]:
        body = {"connection_id": connection["id"], "name": path.strip("/"), "path": path, "rows_path": "$",
                "pagination": {"type": "none"}, **settings}  # fmt: skip
        return steps.ok(server.api.post("/tables", json=body))

    return create


@pytest.fixture
def memory(server, request):
    """Ends with the server never having taken much more than at rest."""
    status, peak = Path(f"/proc/{server.process.pid}/status"), "VmHWM"
    if not status.exists():
        pytest.skip("the peak of a process is asked of Linux")

    def megabytes() -> float:
        line = next(line for line in status.read_text().splitlines() if line.startswith(peak))
        return int(line.split()[1]) / 1024

    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
    before = megabytes()
    yield
    assert megabytes() - before < getattr(request, "param", MOST_MORE_MB)


def refused(server: Any, table: dict[str, Any], steps: Any) -> dict[str, Any]:
    """What a read, a preview, detection and an import say, one and the same; it is given back."""
    base = f"/tables/{table['id']}"
    said = [
        server.api.get(f"{base}/rows"),
        server.api.get(f"{base}/preview"),
        server.api.post(f"{base}/schema/refresh"),
    ]
    assert [answer.status_code for answer in said] == [said[0].status_code] * 3, [answer.text for answer in said]
    destination = {"type": "parquet", "url": f"{table['name']}.parquet"}
    item = steps.ok(server.api.post("/imports", json={"table_id": table["id"], "destination": destination}))
    ended = steps.wait_for_import(server, item["id"], seconds=120)
    assert ended["status"] == "failed", ended
    assert steps.ok(server.api.get(f"/imports/{item['id']}/files"))["data"] == []
    problem = said[0].json()
    assert {answer.json()["message_code"] for answer in said} == {ended["error"]["message_code"]}
    assert "completeness" not in problem or problem["completeness"]["complete"] is False
    return problem


@pytest.mark.parametrize("kind", ["bomb", "large", "large_chunked", "endless"])
def test_a_body_above_the_limit_ends_the_read_at_once(server, table, bodies, steps, memory, kind):
    def endless(write, query):
        write(head("Content-Type: application/json", "Transfer-Encoding: chunked") + chunk(b"[0"))
        while True:
            write(chunk(b",1" * (MB // 2)))

    def large(write, query):
        write(head("Content-Type: application/json", f"Content-Length: {200 * MB}") + b"[")
        for _ in range(200):
            write(b"1," * (MB // 2))

    def large_chunked(write, query):
        write(head("Content-Type: application/json", "Transfer-Encoding: chunked") + chunk(b"["))
        for _ in range(200):
            write(chunk(b"1," * (MB // 2)))
        write(b"0\r\n\r\n")

    packed = bomb(1024)
    assert len(packed) < 2 * MB
    bodies.writes[f"/{kind}"] = {
        "bomb": lambda write, query: write(whole(packed, "application/json", "Content-Encoding: gzip")),
        "large": large, "large_chunked": large_chunked, "endless": endless,
    }[kind]  # fmt: skip
    problem = refused(server, table(f"/{kind}"), steps)
    assert problem["message_code"] == "E-TOOBIG"
    assert "answered more than 64 MB at once" in problem["detail"]
    # Nothing is asked twice: it would be as large again.
    assert len(bodies.asked) == 4


def test_a_body_that_trickles_without_end_ends_at_the_timeout(server, table, bodies, memory):
    def trickle(write, query):
        write(head("Content-Type: application/json", "Transfer-Encoding: chunked") + chunk(b"[0"))
        while True:
            write(chunk(b",1"))
            time.sleep(0.05)

    bodies.writes["/trickle"] = trickle
    made = table("/trickle", timeout_seconds=0.5)
    answer = server.api.get(f"/tables/{made['id']}/rows")
    assert (answer.status_code, answer.json()["message_code"]) == (504, "E-TIMEOUT"), answer.text
    assert len(bodies.asked) == 3


CUTS = {
    # Fewer bytes than were announced, a chunked body without its end, an archive without its end.
    "length": lambda body: whole(body)[:-5],
    "chunked": lambda body: head("Content-Type: application/json", "Transfer-Encoding: chunked") + chunk(body),
    "archive": lambda body: whole(gzip.compress(body)[:-9], "application/json", "Content-Encoding: gzip"),
}


@pytest.mark.parametrize("how", list(CUTS))
@pytest.mark.parametrize("format", ["json", "ndjson", "csv"])
def test_a_body_that_breaks_off_once_is_asked_for_again_and_nothing_is_lost(server, table, bodies, how, format):
    count = 2000
    body = {
        "json": rows(0, count),
        "ndjson": b"".join(b'{"id": %d}\n' % n for n in range(count)),
        "csv": b"id\n" + b"".join(b"%d\n" % n for n in range(count)),
    }[format]

    def cut_once(write, query):
        write(CUTS[how](body) if len(bodies.asked) == 1 else whole(body))

    bodies.writes["/cut"] = cut_once
    made = table("/cut", format=format)
    with keyturn.connect(server.url, server.api.headers["authorization"].removeprefix("Bearer ")) as ws:
        read = ws.table("acme.cut").read(allow_incomplete=True)
        assert [row["id"] for row in read.to_arrow().to_pylist()] == list(range(count)), made
    assert len(bodies.asked) == 2


def test_a_body_that_always_breaks_off_ends_the_read_as_an_error_behind_the_rows_before_it(
    server, table, bodies, steps, memory
):
    def second_is_cut(write, query):
        first = int(query.get("offset", 0))
        body = whole(rows(first, 100))
        write(body if first == 0 else body[:-50])

    bodies.writes["/cut"] = second_is_cut
    made = table("/cut", pagination={"type": "offset", "limit": 100})
    with server.api.stream("GET", f"/tables/{made['id']}/rows", timeout=120) as answer:
        read_id = answer.headers["keyturn-read-id"]
        with pytest.raises(httpx2.RemoteProtocolError):
            answer.read()
    stamp = steps.ok(server.api.get(f"/reads/{read_id}"))
    assert "broke the connection" in stamp["error"]["message"]
    found = {name: stamp["completeness"][name] for name in ("rows", "pages", "stop_reason", "complete")}
    assert found == {"rows": 100, "pages": 1, "stop_reason": "error", "complete": False}


def test_rows_that_are_no_json_end_an_import_with_its_stamp_behind_the_rows_before_them(server, table, bodies, steps):
    def second_is_broken(write, query):
        first = int(query.get("offset", 0))
        text = b",".join(b'{"id": %d}' % n for n in range(first, first + 100))
        write(whole(b"[%b]" % (text if first == 0 else text.replace(b"150", b"15O"))))

    bodies.writes["/broken"] = second_is_broken
    made = table("/broken", pagination={"type": "offset", "limit": 100})
    asked = {"table_id": made["id"], "destination": {"type": "csv", "url": "broken.csv"}}
    item = steps.wait_for_import(server, steps.ok(server.api.post("/imports", json=asked))["id"])
    assert (item["status"], item["error"]["message_code"]) == ("failed", "E-NOTDATA")
    assert (item["completeness"]["stop_reason"], item["completeness"]["complete"]) == ("error", False)
    assert item["resumes_at_page"] == 2


# Pages of 45 MB are three at once: one is typed, one is cut, one comes.
@pytest.mark.parametrize(("megabytes", "memory"), [(3, 400), (45, 600)], indirect=["memory"])
def test_pages_that_grow_while_they_are_asked_ahead_do_not_pile_up(server, table, bodies, memory, megabytes):
    pages, size = 40, 100
    padding = b"x" * (megabytes * MB // size)

    def growing(write, query):
        first = int(query.get("offset", 0))
        text = b"" if first < pages * size // 2 else padding
        found = b",".join(b'{"id": %d, "text": "%b"}' % (n, text) for n in range(first, first + size))
        write(whole(b'{"total": %d, "data": [%b]}' % (pages * size, found)))

    bodies.writes["/growing"] = growing
    paging = {"type": "offset", "limit": size, "total_path": "$.total"}
    made = table("/growing", pagination=paging, rows_path="$.data")
    query = {"format": "ndjson", "columns": "id"}
    with server.api.stream("GET", f"/tables/{made['id']}/rows", params=query, timeout=120) as answer:
        *came, last = [json.loads(line) for line in answer.iter_lines()]
    assert [row["id"] for row in came] == list(range(pages * size))
    assert last["$completeness"]["complete"] is True
