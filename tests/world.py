"""A world of real processes: the demo end system, and Keyturn servers started as the operator starts them."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

import httpx2
import pytest

from forked import Forked, ran
from gossip import Gossip
from keyturn.demo.app import create_app
from served import Served, free_port

# Of the demo end system.
ROWS = 1234
TOKEN = "kt_" + "j" * 40
PASSWORD = "correct horse battery"


class EndSystem(Served):
    """The demo end system in a thread of this process, so that tests reach its state and faults."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.app = create_app(self.url)
        self.demo = self.app.state.demo
        # How often each address of the API was answered with its data.
        self.served: Counter[str] = Counter()
        super().__init__(self._counted, self.port, interface="asgi3", access_log=False)

    async def _counted(self, scope: Any, receive: Any, send: Any) -> None:
        async def counting(message: Any) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                self.served[f"{scope['path']}?{scope['query_string'].decode()}"] += 1
            await send(message)

        await self.app(scope, receive, counting if scope.get("path", "").startswith("/api/") else send)

    def create_app(self, redirect_uri: str, scopes: str = "read:orders read:customers offline_access") -> dict:
        body = {"name": "Keyturn", "redirect_uri": redirect_uri, "scopes": scopes.split()}
        answer = httpx2.post(self.url + "/console/apps", json=body, headers={"Accept": "application/json"})
        assert answer.status_code == 201, answer.text
        return answer.json()


@dataclass
class Process:
    """One process of a deployment: `keyturn worker`, or a server."""

    process: Forked | subprocess.Popen
    log_path: Path

    @property
    def log(self) -> str:
        return self.log_path.read_text("utf-8", "replace")

    @property
    def owner(self) -> str:
        """The name that it holds leases under: it keeps the file open in which that is."""
        for link in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if (path := link.readlink()).parent.name == "owners":
                    return path.read_text()
        return ""

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@dataclass
class Server(Process):
    """One `keyturn serve` process."""

    url: str
    api: httpx2.Client
    database_url: str | None = None


@dataclass
class World:
    """Starts and remembers what a journey needs."""

    tmp_path: Path
    end_system: EndSystem
    servers: list[Server] = field(default_factory=list)
    workers: list[Process] = field(default_factory=list)
    key: str = ""

    def serve(self, *, database_url: str | None = None, data="data", public=None, port=0, **env: Any) -> Server:
        port = port or free_port()
        url = f"http://localhost:{port}"
        log_path = self.tmp_path / f"server-{port}.log"
        environment = self._environment(database_url, data) | {
            "KEYTURN_BIND": f"127.0.0.1:{port}",
            "KEYTURN_PUBLIC_URL": public or url,
            **env,
        }
        if "PYTHONPATH" in environment:
            # Other code than what is loaded here.
            with log_path.open("w") as log:
                command = [sys.executable, "-m", "keyturn.main", "serve"]
                process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        else:
            process = Forked(["serve"], environment, log_path)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        api = httpx2.Client(base_url=url + "/api/v1", headers=headers, timeout=60)
        server = Server(process, log_path, url, api, database_url)
        self.servers.append(server)

        def ready() -> bool:
            with contextlib.suppress(httpx2.TransportError):
                return api.get(url + "/readyz").status_code == 200
            return False

        _wait_until(ready, server)
        return server

    def work(self, *, database_url: str, data: str = "data", **env) -> Process:
        """`keyturn worker` beside the servers of a PostgreSQL."""
        log_path = self.tmp_path / f"worker-{len(self.workers)}.log"
        process = Forked(["worker"], self._environment(database_url, data) | env, log_path)
        worker = Process(process, log_path)
        self.workers.append(worker)
        _wait_until(lambda: log_path.exists() and "The worker runs." in worker.log, worker)
        return worker

    def _environment(self, database_url: str | None, data: str) -> dict[str, str]:
        environment = {
            "PATH": os.environ["PATH"],
            "KEYTURN_DATA_DIR": str(self.tmp_path / data),
            "KEYTURN_ALLOWED_PRIVATE_HOSTS": f"127.0.0.1:{self.end_system.port}",
            "KEYTURN_BOOTSTRAP_EMAIL": "ana@example.com",
            "KEYTURN_BOOTSTRAP_PASSWORD": PASSWORD,
            "KEYTURN_BOOTSTRAP_API_TOKEN": TOKEN,
            "KEYTURN_LOG_LEVEL": "debug",
        }
        return environment | ({"KEYTURN_DATABASE_URL": database_url} if database_url else {})

    def close(self) -> None:
        for server in self.servers:
            server.api.close()
        for process in (*self.servers, *self.workers):
            if process.process.poll() is None:
                process.kill()


def _wait_until(ready: Callable[[], bool], process: Process) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        assert process.process.poll() is None, process.log
        assert time.monotonic() < deadline, process.log
        time.sleep(0.02)


@dataclass
class Terminal:
    """A person at a shell: their own HOME, and nothing but the command; `from_scratch`: with a Python of its own."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    from_scratch: bool = False

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "NO_COLOR": "1", **self.environment}

    def run(self, *words: str, typed: str = "", code: int = 0) -> str:
        """What it says on stdout; its exit code is the expected one."""
        if self.from_scratch:
            command = [sys.executable, "-m", "keyturn.main", *words]
            more = {"env": self._environment(), "cwd": self.home, "text": True, "timeout": 120}
            done = subprocess.run(command, input=typed, capture_output=True, check=False, **more)
        else:
            done = ran(words, self._environment(), typed=typed, folder=self.home)
        assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def start(self, *words: str) -> subprocess.Popen:
        """A command that goes on while we do something else."""
        command = [sys.executable, "-m", "keyturn.main", *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        return subprocess.Popen(command, env=self._environment(), cwd=self.home, text=True, **pipes)


def ok(answer: httpx2.Response) -> Any:
    assert answer.status_code < 400, answer.text
    return answer.json() if answer.content else None


def register(world: World, server: Server, **changes: Any) -> dict:
    """An app at the end system and an OAuth client on it."""
    name = changes.pop("name", "Demo CRM")
    redirect_uri = ok(server.api.get("/oauth-clients/redirect-uri", params={"name": name}))["redirect_uri"]
    made = world.end_system.create_app(redirect_uri)
    body = {
        "name": name,
        "client_id": made["client_id"],
        "client_secret": made["client_secret"],
        "authorization_url": made["authorization_url"],
        "token_url": made["token_url"],
        "scopes": "read:orders read:customers offline_access",
        "redirect_uri": redirect_uri,
        "advanced": {"revocation_url": made["revocation_url"]},
        **changes,
    }
    return ok(server.api.post("/oauth-clients", json=body))


def connect(world: World, server: Server, client: dict, name: str = "acme", **changes: Any) -> dict:
    """A signed-in connection."""
    body = {
        "name": name,
        "base_url": world.end_system.url + "/api/v1",
        "auth": {"type": "oauth2", "oauth_client_id": client["id"]},
        "access": "only_me",
        **changes,
    }
    connection = ok(server.api.post("/connections", json=body))
    begun = ok(server.api.post(f"/connections/{connection['id']}/authorizations"))
    sign_in(begun["start_url"])
    ended = ok(server.api.get(f"/authorizations/{begun['id']}"))
    assert ended["status"] == "completed", ended
    return ok(server.api.get(f"/connections/{connection['id']}"))


def sign_in(start_url: str, *, decision: str = "allow", account: str = "jane", browser: httpx2.Client | None = None):
    """A person's browser: follows every redirect and presses the buttons."""
    own = browser or httpx2.Client(follow_redirects=True, timeout=30)
    try:
        answer = own.get(start_url)
        for _ in range(3):
            form = re.search(r'<form[^>]*method="post"[^>]*action="([^"]*)"(.*?)</form>', answer.text, re.DOTALL)
            if form is None or answer.status_code >= 400:
                return answer
            fields = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', form[2]))
            fields = {name: unescape(value) for name, value in fields.items()}
            if 'name="decision"' in form[2]:
                fields |= {"decision": decision, "account": account}
            origin = f"{answer.url.scheme}://{answer.url.netloc.decode()}"
            answer = own.post(str(answer.url.join(unescape(form[1]))), data=fields, headers={"Origin": origin})
        return answer
    finally:
        if browser is None:
            own.close()


def connected(
    world: World, person: Any, start: Any, *, base: str, advanced: Any = None, scopes: str = "", **options: Any
) -> Any:
    """A server of ours, an authorization server for its redirect URI, and a signed-in connection.

    `advanced`: settings on top of the usual ones, or a function of the server's address that makes them.
    """
    server = world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS="127.0.0.1")
    callback = ok(server.api.get("/oauth-clients/redirect-uri?name=Theirs"))["redirect_uri"]
    theirs = start(callback, **options)
    more = advanced(theirs.url) if callable(advanced) else advanced or {}
    body = {
        "name": "Theirs",
        "client_id": theirs.client_id,
        "client_secret": theirs.client_secret,
        "authorization_url": theirs.authorization_url,
        "token_url": theirs.token_url,
        "scopes": scopes or theirs.scopes,
        "advanced": {**theirs.advanced, "revocation_url": theirs.revocation_url, **more},
    }
    client = ok(server.api.post("/oauth-clients", json=body))
    body = {
        "name": "theirs",
        "base_url": theirs.url + base,
        "auth": {"type": "oauth2", "oauth_client_id": client["id"]},
        "access": "only_me",
    }
    connection = ok(server.api.post("/connections", json=body))
    begun = ok(server.api.post(f"/connections/{connection['id']}/authorizations"))
    page = person(begun["start_url"], theirs.answers)
    ended = ok(server.api.get(f"/authorizations/{begun['id']}"))
    assert ended["status"] == "completed", (ended, page.text[:2000])
    return server, theirs, client, ok(server.api.get(f"/connections/{connection['id']}"))


def orders(server, connection: dict, **changes) -> str:
    """A table of the demo's 1,234 orders in 103 pages; answers its id."""
    body = {
        "connection_id": connection["id"], "name": "orders", "path": "/orders", "query": {"limit": "12"},
        "rows_path": "$.data", "pagination": {"type": "next_url", "next_url_path": "$.paging.next"},
        "total_path": "$.paging.total", "primary_key": ["id"], **changes,
    }  # fmt: skip
    return ok(server.api.post("/tables", json=body))["id"]


def slow(world) -> None:
    """The end system takes its time for each page."""
    demo = world.end_system.demo
    log = demo.log_api_request

    def slowly(path: str, query: str) -> None:
        time.sleep(0.03)
        log(path, query)

    demo.log_api_request = slowly


def wait_for_import(server: Server, import_id: str, *, seconds: float = 60) -> dict:
    deadline = time.monotonic() + seconds
    while True:
        item = ok(server.api.get(f"/imports/{import_id}"))
        if item["status"] not in {"queued", "running", "waiting"}:
            return item
        assert time.monotonic() < deadline, item
        time.sleep(0.1)


@pytest.fixture
def end_system() -> Iterator[EndSystem]:
    with EndSystem() as running:
        yield running


@pytest.fixture
def world(tmp_path, end_system) -> Iterator[World]:
    made = World(tmp_path, end_system, key=secrets.token_hex(4))
    yield made
    made.close()


@pytest.fixture
def gossip() -> Iterator[Gossip]:
    with Gossip() as running:
        yield running


@pytest.fixture
def terminal(tmp_path) -> Terminal:
    home = tmp_path / "home"
    home.mkdir()
    return Terminal(home)


@pytest.fixture(scope="session")
def steps() -> Any:
    """The steps above, for test modules (which do not import a conftest)."""
    from types import SimpleNamespace

    return SimpleNamespace(
        ok=ok, register=register, connect=connect, sign_in=sign_in, wait_for_import=wait_for_import, token=TOKEN
    )


@pytest.fixture
def free_ports() -> tuple[int, int]:
    return free_port(), free_port()
