"""A REST API that answers as a test says, and the ways in which programs read tables: API, CLI, client."""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import keyturn
from world import TOKEN, free_port


@dataclass
class Api:
    """A REST API that answers as each test says; `asked` is what came."""

    url: str
    answers: dict[str, Callable[[dict[str, Any]], Any]] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)

    def on(self, path: str, answer: Callable[[dict[str, Any]], Any] | Any) -> None:
        """`answer` is rows, a response, or a function of the request (`path`, `query`, `headers`, `body`)."""
        self.answers[path.strip("/").split("/")[0]] = answer if callable(answer) else lambda _: answer

    async def serve(self, request: Request) -> Response:
        path = request.path_params["path"]
        asked = {"method": request.method, "path": path, "query": dict(request.query_params),
                 "headers": dict(request.headers), "body": await request.body()}  # fmt: skip
        self.asked.append(asked)
        answer = self.answers.get(path.split("/")[0])
        found = answer(asked) if answer else Response(status_code=404)
        return found if isinstance(found, Response) else JSONResponse(found)


@contextmanager
def serving() -> Iterator[Api]:
    """An API of our own making, on a port of its own."""
    port = free_port()
    api = Api(f"http://127.0.0.1:{port}")
    app = Starlette(routes=[Route("/{path:path}", api.serve, methods=["GET", "POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, access_log=False, lifespan="off"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        threading.Event().wait(0.01)
    yield api
    server.should_exit = True


class Failed(Exception):
    """What a surface says when it refuses: its words, its code, and an exit code at the command line."""

    def __init__(self, words: str, code: str | None = None) -> None:
        super().__init__(words)
        self.code = code


@dataclass
class Surface:
    """One of them: the same verbs, each as its people use it."""

    kind: str
    http: httpx2.Client
    url: str
    run: Callable[..., Any]
    tmp_path: Path

    def create(self, connection: str, name: str, **settings: Any) -> dict[str, Any]:
        if self.kind == "cli":
            return self._cli("tables", "add", f"{connection}.{name}", "--settings", json.dumps(settings))
        body = {"name": name, "connection_id": self.connection_id(connection), **settings}
        if self.kind == "client":
            return self._client(lambda ws: ws.tables.create(body).settings)
        return self._http("POST", "/tables", json=body)

    def update(self, name: str, **settings: Any) -> dict[str, Any]:
        if self.kind == "cli":
            return self._cli("tables", "edit", name, "--settings", json.dumps(settings))
        if self.kind == "client":
            return self._client(lambda ws: (ws.table(name).update(settings), ws.table(name).settings)[1])
        return self._http("PATCH", f"/tables/{self.table_id(name)}", json=settings)

    def detect(self, connection: str, path: str, **settings: Any) -> dict[str, Any]:
        if self.kind == "cli":
            return self._cli("tables", "detect", connection, path, "--settings", json.dumps(settings))
        draft = {"connection_id": self.connection_id(connection), "path": path, "name": "draft", **settings}
        if self.kind == "client":
            return self._client(lambda ws: ws.tables.detect(draft))
        return self._http("POST", "/tables/detect", json=draft)

    def preview(self, name: str, *, limit: int = 100, **asked: Any) -> dict[str, Any]:
        if self.kind == "cli":
            return self._cli("preview", name, "--limit", str(limit), *self._params(asked))
        if self.kind == "client":
            return self._client(lambda ws: ws.table(name).preview_json(limit, **asked))
        return self._http("GET", f"/tables/{self.table_id(name)}/preview", params={"limit": limit, **_query(asked)})

    def exchange(self, name: str, **asked: Any) -> dict[str, Any]:
        """What was sent for the first rows of a table, and what came."""
        if self.kind == "cli":
            return self._cli("preview", name, "--request", "--response", *self._params(asked))
        if self.kind == "client":
            sample = self._client(lambda ws: ws.table(name).preview(**asked))
            return {"request": sample.request, "response": sample.response}
        return self.preview(name, **asked)

    def schema(self, name: str) -> list[dict[str, Any]]:
        if self.kind == "cli":
            return self._cli("tables", "schema", name)["columns"]
        if self.kind == "client":
            names = ("name", "type", "source_path", "nullable", "note")
            return self._client(lambda ws: [{n: getattr(c, n) for n in names} for c in ws.table(name).schema])
        self._http("POST", f"/tables/{self.table_id(name)}/schema/refresh")
        return self._http("GET", f"/tables/{self.table_id(name)}/schema")["columns"]

    def known_schema(self, name: str) -> list[tuple[str, str]]:
        """The columns that are known, by name and type, without asking the API for them."""
        if self.kind in {"cli", "client"}:
            return [(column["name"], column["type"]) for column in self.schema(name)]
        found = self._http("GET", f"/tables/{self.table_id(name)}/schema")["columns"]
        return [(column["name"], column["type"]) for column in found]

    def learn_columns(self, name: str, **asked: Any) -> None:
        """Ask the endpoint for the columns that it has now."""
        if self.kind == "cli":
            self._cli("tables", "schema", name, "--refresh", *self._params(asked))
        elif self.kind == "client":
            self._client(lambda ws: ws.table(name).refresh_schema(**asked))
        else:
            self._http("POST", f"/tables/{self.table_id(name)}/schema/refresh", params=_query(asked))

    def test(self, connection: str, path: str) -> list[tuple[str, str]]:
        """The steps of a connection's test: what became of each, and its sentence."""
        if self.kind == "cli":
            found = self._cli("connections", "test", connection, "--path", path)
        elif self.kind == "client":
            found = self._client(lambda ws: ws.connections[connection].test(path))
        else:
            found = self._http("POST", f"/connections/{self.connection_id(connection)}/test", json={"path": path})
        return [(step["state"], step["message"]) for step in found["steps"]]

    def read(self, name: str, **asked: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Every row, and the stamp; what is incomplete is taken as it is."""
        if self.kind == "cli":
            place = self.tmp_path / f"{len(list(self.tmp_path.iterdir()))}.ndjson"
            done = self._cli("import", name, "--to", str(place), "--allow-incomplete", *self._params(asked))
            lines = [json.loads(line) for line in place.read_text().splitlines()]
            return [line for line in lines if "$completeness" not in line], done["completeness"]
        if self.kind == "client":
            return self._client(lambda ws: _read(ws.table(name).read(allow_incomplete=True, **asked)))
        query = {"format": "ndjson", **_query(asked)}
        answer = self.http.get(f"/tables/{self.table_id(name)}/rows", params=query)
        self._checked(answer)
        *rows, last = [json.loads(line) for line in answer.text.splitlines()]
        return rows, last["$completeness"]

    def read_with_rejects(self, name: str) -> tuple[list[dict[str, Any]], dict[str, Any], list[dict[str, Any]]]:
        """Every row, the stamp, and what did not fit."""
        if self.kind == "cli":
            place = self.tmp_path / "rejecting.ndjson"
            done = self._cli("import", name, "--to", str(place))
            lines = [json.loads(line) for line in place.read_text().splitlines()]
            return lines, done["completeness"], self._cli("imports", "rejects", done["id"])["data"]
        if self.kind == "client":

            def act(ws: Any) -> Any:
                read = ws.table(name).read()
                return *_read(read), list(read.rejects())

            return self._client(act)
        answer = self.http.get(f"/tables/{self.table_id(name)}/rows", params={"format": "ndjson"})
        *rows, last = [json.loads(line) for line in answer.text.splitlines()]
        lines = self.http.get(f"/reads/{answer.headers['Keyturn-Read-Id']}/rejects").text.splitlines()
        return rows, last["$completeness"], [json.loads(line) for line in lines]

    def parts(self, name: str) -> dict[str, list[dict[str, Any]]]:
        """The table and its child tables, of one fetch, by name."""
        if self.kind == "cli":
            folder = self.tmp_path / "parts"
            files = self._cli("tables", "parts", name, "--to", str(folder))["files"]
            return {file.removesuffix(".parquet"): pq.read_table(folder / file).to_pylist() for file in files}
        if self.kind == "client":
            found = self._client(lambda ws: ws.table(name).read_parts())
            return {part: found[part].to_pylist() for part in found.tables}
        query = {"format": "parquet", "part": "*"}
        body = self.http.get(f"/tables/{self.table_id(name)}/rows", params=query).content
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            return {
                file.removesuffix(".parquet"): pq.read_table(pa.BufferReader(archive.read(file))).to_pylist()
                for file in archive.namelist()
            }

    def sql(self, query: str, **asked: Any) -> list[list[Any]]:
        """The answer of a query; it runs on the caller's machine, so there is no route for it."""
        if self.kind == "cli":
            return self._cli("sql", query, *self._params(asked))["rows"]
        since = asked.pop("since", None)
        parameters = {name.replace("__", "."): value for name, value in asked.items()}
        return self._client(lambda ws: list(map(list, ws.sql(query, since=since, parameters=parameters).fetchall())))

    def drafts(self, connection: str, source: str | None = None) -> dict[str, Any]:
        """What a cURL line, an OpenAPI document or a Postman collection describes, or the API of itself."""
        if self.kind == "cli":
            place = self.tmp_path / "source"
            place.write_text(source or "")
            return self._cli("tables", "drafts", connection, *([str(place)] if source else []))
        connection_id = self.connection_id(connection)
        if self.kind == "client":
            return self._client(lambda ws: ws.tables.drafts(connection_id, source))
        asked = {"connection_id": connection_id} | ({"source": source} if source else {})
        return self._http("POST", "/tables/drafts", json=asked)

    def whole(self, name: str) -> None:
        """A read that must be whole: each surface refuses any other in its way."""
        if self.kind == "cli":
            self._cli("import", name, "--to", str(self.tmp_path / "whole.ndjson"))
        elif self.kind == "client":
            self._client(lambda ws: ws.table(name).read().to_arrow())
        else:
            item = self.import_to(name, f"{name}.parquet")
            if item["status"] != "complete":
                raise Failed(str(item["error"] or item["completeness"]), (item["error"] or {}).get("message_code"))

    def history(self, name: str) -> list[dict[str, Any]]:
        """How its columns changed."""
        if self.kind == "cli":
            return self._cli("tables", "diff", name)["data"]
        if self.kind == "client":
            return self._client(lambda ws: ws.table(name).schema_history)
        return self._http("GET", f"/tables/{self.table_id(name)}/schema/history")["data"]

    def connection_patch(self, name: str, **settings: Any) -> None:
        assert self.http.patch(f"/connections/{self.connection_id(name)}", json=settings).status_code == 200

    def fresh(self) -> Surface:
        """The API, for another thread."""
        return Surface("api", self.http, self.url, self.run, self.tmp_path)

    def import_to(self, name: str, place: str, *, mode: str = "replace", limit: int | None = None) -> dict[str, Any]:
        """An import into a file of the server, ended."""
        most = {} if limit is None else {"limit": limit}
        if self.kind == "cli":
            local = self.tmp_path / f"{len(list(self.tmp_path.iterdir()))}-{place}"
            return self._cli("import", name, "--to", str(local), "--keep-as", place, "--mode", mode,
                             *self._params(most))  # fmt: skip
        if self.kind == "client":
            return self._client(lambda ws: ws.run_import(name, to=place, mode=mode, **most).wait().found)
        destination = {"type": place.rpartition(".")[2], "url": place}
        body = {"table_id": self.table_id(name), "destination": destination, "mode": mode, **most}
        item = self._http("POST", "/imports", json=body)
        while item["status"] in {"queued", "running", "waiting"}:
            time.sleep(0.05)
            item = self._http("GET", f"/imports/{item['id']}")
        return item

    def begin(self, name: str, place: str) -> str:
        """An import into a file of the server, begun and not waited for; its id."""
        if self.kind == "cli":
            return self._cli("import", name, "--on-server", place, "--no-wait")["id"]
        if self.kind == "client":
            return self._client(lambda ws: ws.imports.begin(ws.table(name).id, to=place).id)
        destination = {"type": place.rpartition(".")[2], "url": place}
        return self._http("POST", "/imports", json={"table_id": self.table_id(name), "destination": destination})["id"]

    def shown_waiting(self, import_id: str) -> dict[str, Any]:
        """What an import says that it waits for, as soon as it does."""
        while True:
            item = self.shown(import_id)
            assert item["status"] in {"queued", "running", "waiting"}, item
            if item["status"] == "waiting":
                return item["waiting"]
            time.sleep(0.05)

    def cancel(self, import_id: str) -> None:
        if self.kind == "cli":
            self._cli("imports", "cancel", import_id)
        elif self.kind == "client":
            self._client(lambda ws: ws.imports[import_id].cancel())
        else:
            self._http("POST", f"/imports/{import_id}/cancel")

    def limit_endpoints(self, most: int | None) -> None:
        """How many tables a connection of the workspace may have."""
        current = next(item for item in self.http.get("/workspaces").json()["data"] if item["current"])
        if self.kind == "cli":
            said = self._cli("workspaces", "endpoints-per-connection", "none" if most is None else str(most))
        elif self.kind == "client":
            said = self._client(lambda ws: ws.workspaces.limit_endpoints(current["name"], most))
        else:
            said = self._http("PATCH", f"/workspaces/{current['id']}", json={"endpoints_per_connection": most})
        assert said["endpoints_per_connection"] == most

    def delete(self, name: str) -> None:
        if self.kind == "cli":
            self._cli("tables", "delete", name, "--yes")
        elif self.kind == "client":
            self._client(lambda ws: ws.table(name).delete())
        else:
            self._http("DELETE", f"/tables/{self.table_id(name)}")

    def resumed(self, import_id: str) -> dict[str, Any]:
        """An import that had ended, gone on with to its end."""
        if self.kind == "cli":
            self._cli("imports", "resume", import_id)
        elif self.kind == "client":
            self._client(lambda ws: ws.imports[import_id].resume())
        else:
            self._http("POST", f"/imports/{import_id}/resume")
        return self.ended(import_id)

    def ended(self, import_id: str) -> dict[str, Any]:
        """An import as it ended."""
        while (item := self.shown(import_id))["status"] in {"queued", "running", "waiting"}:
            time.sleep(0.05)
        return item

    def shown(self, import_id: str) -> dict[str, Any]:
        """An import as it is now."""
        if self.kind == "cli":
            return self._cli("imports", "show", import_id)
        if self.kind == "client":
            return self._client(lambda ws: ws.imports[import_id].found)
        return self._http("GET", f"/imports/{import_id}")

    def connection_id(self, name: str) -> str:
        found = self.http.get("/connections", params={"limit": 1000}).json()["data"]
        return next(item["id"] for item in found if item["name"] == name)

    def table_id(self, name: str) -> str:
        found = self.http.get("/tables", params={"limit": 1000}).json()["data"]
        return next(item["id"] for item in found if item["full_name"] == name)

    def _params(self, asked: dict[str, Any]) -> list[str]:
        own = {name: asked.pop(name) for name in ("since", "limit") if asked.get(name) is not None}
        words = [word for name, value in asked.items() for word in ("--param", f"{name}={value}")]
        return words + [word for name, value in own.items() for word in (f"--{name}", str(value))]

    def _cli(self, *words: str) -> Any:
        return self.run(*words)

    def _client(self, act: Callable[[keyturn.Workspace], Any]) -> Any:
        with keyturn.connect(self.url, TOKEN) as ws:
            try:
                return act(ws)
            except keyturn.KeyturnError as error:
                raise Failed(str(error), error.message_code) from error

    def _http(self, method: str, path: str, **options: Any) -> Any:
        answer = self.http.request(method, path, **options)
        self._checked(answer)
        return answer.json() if answer.content else None

    def _checked(self, answer: httpx2.Response) -> None:
        if answer.status_code >= 400:
            raise Failed(answer.text, answer.json().get("message_code"))


def _read(read: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    rows = read.to_arrow().to_pylist()
    stamp = read.completeness
    return rows, {name: getattr(stamp, name) for name in stamp.__dataclass_fields__}


def _query(asked: dict[str, Any]) -> dict[str, str]:
    return {name if name in {"since", "limit"} else f"param.{name}": str(value) for name, value in asked.items()}
