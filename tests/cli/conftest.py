"""The command line in front of a real server: `keyturn serve` as a process, the demo end system, and an odd API."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from keyturn.demo.app import create_app

TOKEN = "kt_" + "c" * 40
SCOPES = "read:orders read:customers offline_access"


@dataclass(frozen=True)
class Ran:
    """What one command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def odd(request: Request) -> Response:
    """Endpoints that real ones resemble on bad days."""
    kind, page = request.path_params["kind"], int(request.query_params.get("page", 1))
    if kind == "full":  # exactly one full page, and no paging
        return JSONResponse([{"id": i} for i in range(100)])
    if kind == "narrow":  # gives only the fields it is asked for
        fields = request.query_params.get("fields")
        row = {"id": 1, "name": "n", "asked": fields or "all"}
        return JSONResponse({"data": [{k: v for k, v in row.items() if not fields or k in fields.split(",")}]})
    if kind == "empty":
        return JSONResponse({"data": []})
    if kind == "hostile":
        return JSONResponse({"data": [{"id": 1, "text": "\x1b[2J\x07evil\u202e", "wide": "日本"}]})
    if kind == "broken" and page == 3:
        return JSONResponse({"error": "teapot"}, 418)
    rows = [{"id": page * 10 + i, "name": f"n{i}"} for i in range(10)]
    following = f"{request.base_url}{kind}?page={page + 1}" if page < 5 else None
    return JSONResponse({"data": rows, "next": following})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serving(app: Any, port: int) -> uvicorn.Server:
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, access_log=False, lifespan="off"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    return server


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """Addresses of a running Keyturn, the demo end system and the odd API; `demo` is the end system's state."""
    ports = [free_port() for _ in range(3)]
    url, end_system, odd_url = f"http://localhost:{ports[0]}", *(f"http://127.0.0.1:{port}" for port in ports[1:])
    app = create_app(end_system)
    servers = [serving(app, ports[1]), serving(Starlette(routes=[Route("/{kind}", odd)]), ports[2])]
    folder = tmp_path_factory.mktemp("keyturn")
    environment = {
        "PATH": os.environ["PATH"],
        "KEYTURN_DATA_DIR": str(folder / "data"),
        "KEYTURN_BIND": f"127.0.0.1:{ports[0]}",
        "KEYTURN_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
        "KEYTURN_BOOTSTRAP_EMAIL": "ana@example.com",
        "KEYTURN_BOOTSTRAP_PASSWORD": "correct horse battery",
        "KEYTURN_BOOTSTRAP_API_TOKEN": TOKEN,
    }
    log = folder / "log"
    with log.open("w") as sink:
        command = [sys.executable, "-m", "keyturn.main", "serve"]
        process = subprocess.Popen(command, env=environment, stdout=sink, stderr=subprocess.STDOUT)
    try:
        wait_until_ready(url, process, log)
        yield SimpleNamespace(url=url, end_system=end_system, odd=odd_url, demo=app.state.demo)
    finally:
        process.terminate()
        process.wait(30)
        for server in servers:
            server.should_exit = True


def wait_until_ready(url: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if httpx2.get(url + "/readyz").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


@pytest.fixture
def environment(world: SimpleNamespace, tmp_path: Path) -> dict[str, str]:
    """What a command line sees: a server and a token, and a home of its own."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "KEYTURN_URL": world.url,
        "KEYTURN_TOKEN": TOKEN,
        "TZ": "UTC",
    }


@pytest.fixture
def secrets_seen() -> list[str]:
    """Secrets of this test; none of them may be in any output."""
    return [TOKEN]


@pytest.fixture
def keyturn(
    environment: dict[str, str],
    secrets_seen: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Ran]:
    """Run a command line in this process; every run is checked for secrets, escapes and JSON that is none."""
    from keyturn.cli.app import run

    def ran(*arguments: str, stdin: str = "", **changes: str | None) -> Ran:
        for name, value in (environment | changes).items():
            monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        code = run(list(arguments))
        found = Ran(code, *capsys.readouterr())
        for secret in secrets_seen:
            assert secret not in found.out + found.err
        assert "\x1b" not in found.out + found.err
        assert "Traceback" not in found.err
        if "--json" in arguments and code == 0:
            json.loads(found.out)
        return found

    return ran


@pytest.fixture(scope="session")
def api(world: SimpleNamespace) -> Iterator[httpx2.Client]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx2.Client(base_url=world.url + "/api/v1", headers=headers, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def sign_in() -> Callable[..., None]:
    """A person's browser: follows every redirect and presses the buttons."""

    def browse(start_url: str, *, decision: str = "allow") -> None:
        with httpx2.Client(follow_redirects=True, timeout=30) as browser:
            answer = browser.get(start_url)
            for _ in range(3):
                form = re.search(r'<form[^>]*method="post"[^>]*action="([^"]*)"(.*?)</form>', answer.text, re.DOTALL)
                if form is None or answer.status_code >= 400:
                    return
                fields = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', form[2]))
                fields = {name: unescape(value) for name, value in fields.items()}
                if 'name="decision"' in form[2]:
                    fields |= {"decision": decision, "account": "jane"}
                origin = f"{answer.url.scheme}://{answer.url.netloc.decode()}"
                answer = browser.post(str(answer.url.join(unescape(form[1]))), data=fields, headers={"Origin": origin})

    return browse


@pytest.fixture
def console(world: SimpleNamespace, secrets_seen: list[str]) -> Callable[[str], dict]:
    """The end system's developer console: an app for a redirect URI."""

    def create(redirect_uri: str) -> dict:
        body = {"name": "Keyturn", "redirect_uri": redirect_uri, "scopes": SCOPES.split()}
        made = httpx2.post(world.end_system + "/console/apps", json=body, headers={"Accept": "application/json"}).json()
        secrets_seen.append(made["client_secret"])
        return made

    return create


@pytest.fixture(scope="session")
def acme(world: SimpleNamespace, api: httpx2.Client, sign_in: Callable[..., None]) -> SimpleNamespace:
    """A signed-in connection with the table acme.orders, for tests that change neither."""
    uri = api.get("/oauth-clients/redirect-uri", params={"name": "Demo CRM"}).json()["redirect_uri"]
    body = {"name": "Keyturn", "redirect_uri": uri, "scopes": SCOPES.split()}
    made = httpx2.post(world.end_system + "/console/apps", json=body, headers={"Accept": "application/json"}).json()
    names = ("client_id", "client_secret", "authorization_url", "token_url")
    settings = {"name": "Demo CRM", "scopes": SCOPES, **{name: made[name] for name in names}}
    client = api.post("/oauth-clients", json=settings).json()
    auth = {"type": "oauth2", "oauth_client_id": client["id"]}
    where = {"base_url": world.end_system + "/api/v1", "auth": auth, "access": "only_me"}
    connection = api.post("/connections", json={"name": "acme", **where}).json()
    sign_in(api.post(f"/connections/{connection['id']}/authorizations").json()["start_url"])
    table = api.post("/tables", json={"connection_id": connection["id"], "name": "orders", "path": "/orders"})
    assert table.status_code == 201, table.text
    return SimpleNamespace(client=client, connection=connection, table=table.json())


_names = iter(range(10_000))


@pytest.fixture
def odd_table(world: SimpleNamespace, api: httpx2.Client) -> Callable[..., str]:
    """A table on the odd API, in a connection of its own."""

    def make(kind: str, **settings: Any) -> str:
        name = f"odd{next(_names)}"
        where = {"base_url": world.odd, "auth": {"type": "none"}, "access": "only_me"}
        connection = api.post("/connections", json={"name": name, **where}).json()
        draft = {"connection_id": connection["id"], "name": kind, "path": f"/{kind}", **settings}
        answer = api.post("/tables", json=draft)
        assert answer.status_code == 201, answer.text
        return f"{name}.{kind}"

    return make


@pytest.fixture
def process(environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen]]:
    """The command as a process of its own."""

    def start(*arguments: str, **options: Any) -> subprocess.Popen:
        command = [sys.executable, "-m", "keyturn.main", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        return subprocess.Popen(command, env=environment, text=True, **(pipes | options))

    # A suite in the background of a shell ignores SIGINT, and its children would inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield start
    signal.signal(signal.SIGINT, before)
