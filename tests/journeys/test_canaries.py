"""Planted canaries: no secret, code, verifier or token is found in any log, answer, page, file, table or `repr`."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from urllib.parse import parse_qsl, unquote_plus, urlencode

import httpx2
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.routing import Route

CLIENT_SECRET = "canary-client-secret-7f3e"
NEW_SECRET = "canary-second-secret-91ab"
PASSWORD = "correct horse battery"


class Gossip:
    """An end system that repeats all it is told in every error, and remembers it for the search afterwards."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        self.mode = "good"
        self.issued = 0
        routes = [
            Route("/authorize", self._authorize),
            Route("/token", self._token, methods=["POST"]),
            Route("/api/{rest:path}", self._api, methods=["GET", "POST"]),
        ]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        app = Starlette(routes=routes)
        self._server = uvicorn.Server(uvicorn.Config(app, port=self.port, log_config=None, lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> Gossip:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *args: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)

    async def _authorize(self, request: Request) -> RedirectResponse:
        asked = request.query_params
        self.secrets |= {"state": asked["state"], "code": "canary-code-5c1d0"}
        back = {"code": "canary-code-5c1d0", "state": asked["state"]}
        if self.mode == "denied":
            back = {"error": "access_denied", "error_description": f"no {dict(asked)}", "state": asked["state"]}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(back)}", 302)

    async def _token(self, request: Request) -> JSONResponse | HTMLResponse:
        body = (await request.body()).decode()
        sent = dict(parse_qsl(body))
        if "code_verifier" in sent:
            self.secrets["verifier"] = sent["code_verifier"]
        echo = f"{body} {unquote_plus(body)} {request.headers.get('authorization')}"
        if self.mode == "oauth_error":
            return JSONResponse({"error": "invalid_grant", "error_description": echo}, 400)
        if self.mode == "web_page":
            return HTMLResponse(f"<h1>Broken</h1><pre>{echo}</pre>", 500)
        if self.mode == "told_with_200":
            return JSONResponse({"ok": False, "error": echo})
        self.issued += 1
        access, refresh = f"canary-access-{self.issued}-d41d8", f"canary-refresh-{self.issued}-a8f5f"
        self.secrets |= {f"access {self.issued}": access, f"refresh {self.issued}": refresh}
        return JSONResponse(
            {"access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": 3600}
        )

    async def _api(self, request: Request) -> JSONResponse | HTMLResponse:
        if request.url.path.endswith("/things"):
            return JSONResponse([{"id": number, "name": f"thing {number}"} for number in range(3)])
        status = int(request.query_params.get("status", 500))
        return HTMLResponse(f"<p>{dict(request.headers)}</p>", status)


@pytest.fixture
def gossip():
    with Gossip() as running:
        yield running


def story(world, steps, gossip, database_url) -> tuple[object, list[str]]:
    """Everything that touches a secret, well and badly; what was answered is returned for the search."""
    server = world.serve(database_url=database_url, KEYTURN_ALLOWED_PRIVATE_HOSTS=f"127.0.0.1:{gossip.port}")
    api, heard = server.api, []

    def call(method: str, path: str, **more):
        answer = api.request(method, path, **more)
        heard.append(f"{method} {path} {answer.status_code}\n{dict(answer.headers)}\n{answer.text}")
        return answer

    body = {
        "name": "Gossip",
        "client_id": "app",
        "client_secret": CLIENT_SECRET,
        "authorization_url": gossip.url + "/authorize",
        "token_url": gossip.url + "/token",
        "scopes": "a b",
    }
    call("POST", "/oauth-clients", json={**body, "token_url": "https:/one.slash"})
    call("POST", "/oauth-clients", json={**body, "client_secret": [CLIENT_SECRET]})
    client = call("POST", "/oauth-clients", json=body).json()
    call("POST", "/oauth-clients", json=body)
    call("POST", f"/oauth-clients/{client['id']}/check")
    auth = {"type": "oauth2", "oauth_client_id": client["id"]}
    body = {"name": "acme", "base_url": gossip.url + "/api", "auth": auth, "access": "only_me"}
    connection = call("POST", "/connections", json=body).json()
    with httpx2.Client(follow_redirects=True) as person:
        for mode in ("oauth_error", "web_page", "told_with_200", "denied", "good"):
            gossip.mode = mode
            begun = api.post(f"/connections/{connection['id']}/authorizations").json()
            gossip.secrets[f"link {mode}"] = begun["start_url"].rsplit("/", 1)[1]
            page = steps.sign_in(begun["start_url"], browser=person)
            heard += [page.text, str(page.url)]
            call("GET", f"/authorizations/{begun['id']}")
            gossip.secrets[f"state {mode}"] = gossip.secrets["state"]
            gossip.secrets |= {f"cookie {name} {mode}": value for name, value in person.cookies.items()}
        foreign = f"{server.url}/oauth2/callback?code={gossip.secrets['code']}&state={gossip.secrets['state']}"
        heard.append(person.get(foreign).text)
    assert api.get(f"/connections/{connection['id']}").json()["status"] == "healthy"
    told = steps.ok(call("POST", "/tables", json={"connection_id": connection["id"], "name": "t", "path": "/things"}))
    call("GET", f"/tables/{told['id']}/rows?format=ndjson")
    wait = steps.ok(
        call("POST", "/imports", json={"table_id": told["id"], "destination": {"type": "parquet", "url": "t.parquet"}})
    )
    assert steps.wait_for_import(server, wait["id"])["status"] == "complete"
    for status in (401, 403, 404, 418, 500):
        call("GET", f"/connections/{connection['id']}/proxy/broken?status={status}")
        call("POST", "/tables/detect", json={"connection_id": connection["id"], "path": f"/broken?status={status}"})
    for mode in ("good", "web_page", "told_with_200"):
        gossip.mode = mode
        call("POST", f"/connections/{connection['id']}/refresh")
    call("POST", f"/oauth-clients/{client['id']}/secrets", json={"client_secret": NEW_SECRET})
    gossip.mode = "oauth_error"
    call("POST", f"/connections/{connection['id']}/refresh")
    for kind in ("bearer", "basic"):
        given = {"type": kind, "token": "canary-given-token-33", "username": "u", "password": "canary-given-word-44"}
        call("POST", "/connections", json={**body, "name": kind, "auth": given})
    secrets_of = ("/oauth-clients", "/connections", "/tables", "/imports", "/tokens", "/me")
    for path in (*secrets_of, f"/connections/{connection['id']}/events", f"/oauth-clients/{client['id']}"):
        call("GET", path)
    heard.extend(pages(server, gossip))
    heard.extend(command_line(server, steps))
    return server, heard


def pages(server, gossip) -> list[str]:
    """Every page a Workspace Admin can open, by its links."""
    with httpx2.Client(base_url=server.url, follow_redirects=True) as browser:
        signed_in = browser.post(
            "/sign-in", data={"email": "ana@example.com", "password": PASSWORD}, headers={"Origin": server.url}
        )
        assert signed_in.status_code == 200, signed_in.text
        gossip.secrets |= {f"session {name}": value for name, value in browser.cookies.items()}
        todo, seen = ["/", "/admin/oauth-clients", "/api-tokens", "/preferences"], {}
        while todo:
            path = todo.pop()
            if path in seen or (path.startswith(("/api", "/static")) and path != "/api-tokens") or len(seen) > 60:
                continue
            answer = browser.get(path)
            seen[path] = f"{answer.url}\n{answer.text}"
            todo += [link for link in re.findall(r'href="(/[^"#]*)"', answer.text) if "download" not in link]
        assert len(seen) > 12, list(seen)
        return list(seen.values())


def command_line(server, steps) -> list[str]:
    environment = {"PATH": os.environ["PATH"], "KEYTURN_URL": server.url, "KEYTURN_API_TOKEN": steps.token}
    said = []
    for words in (["clients", "list"], ["connections", "show", "acme"], ["preview", "acme.t"], ["connections", "list"]):
        command = [sys.executable, "-m", "keyturn.main", *words]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        said.append(ran.stdout + ran.stderr)
    return said


def stored(world, database_url) -> list[tuple[str, bytes]]:
    """Each file of the data folder but the key, and each cell of a PostgreSQL."""
    found = [
        (str(path), path.read_bytes())
        for path in (world.tmp_path / "data").rglob("*")
        if path.is_file() and path.name != "key"
    ]
    if not database_url:
        assert any(path.endswith(".db") for path, _ in found), found
        return found
    import sqlalchemy as sa

    engine = sa.create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        for name in sa.inspect(connection).get_table_names():
            rows = connection.execute(sa.text(f'select to_jsonb(t)::text from "{name}" t'))
            found += [(name, row[0].encode()) for row in rows]
    engine.dispose()
    return found


def spellings(secret: str) -> list[bytes]:
    """As it is, in the alphabets of base64 at each offset, and in hex: what hides from a plain search."""
    plain = secret.encode()
    offsets = [base64.b64encode(b"\0" * shift + plain)[4:-4] for shift in range(3)]
    return [plain, plain.hex().encode(), *[part for part in offsets if len(part) >= 12]]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_no_planted_secret_is_found_anywhere(world, steps, gossip, request, kind):
    database_url = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    server, heard = story(world, steps, gossip, database_url)
    canaries = {
        **gossip.secrets,
        "client secret": CLIENT_SECRET,
        "second secret": NEW_SECRET,
        "given token": "canary-given-token-33",
        "given password": "canary-given-word-44",
        "password": PASSWORD,
        "API token": steps.token,
    }
    assert {"code", "verifier", "state", "access 1", "refresh 1", "access 2"} <= set(canaries), sorted(canaries)
    assert all(len(value) >= 12 for value in canaries.values()), canaries
    server.stop()
    places = [("log", server.log.encode())]
    places += [(f"answer {number}: {text[:200]}", text.encode()) for number, text in enumerate(heard)]
    places += stored(world, database_url)
    leaks = [
        f"{name} in {place}"
        for name, secret in canaries.items()
        for place, content in places
        for spelling in spellings(secret)
        if spelling in content
    ]
    assert leaks == [], "\n".join(leaks)


def test_the_search_finds_what_is_hidden(tmp_path):
    """The search itself can fail: a canary in a database file, in base64, is found."""
    path = tmp_path / "leaky.db"
    with sqlite3.connect(path) as database:
        database.execute("create table t (v text)")
        hidden = base64.b64encode(b"user:" + CLIENT_SECRET.encode()).decode()
        database.execute("insert into t values (?)", (json.dumps({"authorization": hidden}),))
    assert any(spelling in path.read_bytes() for spelling in spellings(CLIENT_SECRET))
