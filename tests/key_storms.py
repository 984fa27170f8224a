"""Keys that are rotated while everything runs and everybody is killed: replicas under load, and the rotation itself.

A `KeyStorm` seals new secrets (OAuth clients, secrets by name, token sets), reads old ones (calls, refreshes, imports) on
every process that lives, kills whom it likes, and says at the end which secrets can be read.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import sqlalchemy as sa

from forked import Forked
from keyturn.encryption import AssociatedData, CannotOpen, FileKeys, Keyring, encode_key, new_key
from keyturn.storage import client_secrets, oauth_clients, sealed
from keyturn.storage.database import Database
from world import Server, World, connect, ok, register

# What a client of ours is told while a process starts, or while another one renews the same grant.
PASSING = frozenset({409, 503})
_PATIENCE_SECONDS = 90.0


@dataclass
class KeyStorm:
    """One deployment: `replicas` processes on `database_url`, or one on SQLite, with one key file."""

    world: World
    database_url: str | None
    seed: int
    replicas: int = 1
    servers: list[Server | None] = field(default_factory=list)
    connections: list[dict] = field(default_factory=list)
    table_id: str = ""
    workspace_id: str = ""
    public: str | None = None
    # What was stored for certain, by its id or name, and what it says.
    clients: dict[str, str] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)
    imports: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    done: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("refresh", "call", "client", "named", "import"), 0)
    )
    kills: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _commands: int = 0
    _database: Database | None = None

    @property
    def key_file(self) -> Path:
        return self.world.tmp_path / "shared-key"

    @property
    def ring(self) -> Keyring:
        """What the key file holds now: all that the operator keeps."""
        return Keyring.of(FileKeys(self.key_file))

    @property
    def address(self) -> str:
        return self.database_url or f"sqlite:///{self.world.tmp_path / 'data0' / 'keyturn.db'}"

    def begin(self, secrets: int) -> None:
        """The processes, grants on a server that gives each refresh token once, and so many secrets to wrap."""
        self.key_file.write_text(encode_key(new_key()) + "\n")
        self.key_file.chmod(0o600)
        # One that is killed as the answer comes would need a new sign-in without this, with or without keys.
        self.world.end_system.demo.faults.grace_seconds = 120.0
        for at in range(self.replicas):
            self.servers.append(self.serve(at))
            self.public = self.public or self.servers[0].url
        first = self.servers[0]
        client = register(self.world, first)
        self.connections = [connect(self.world, first, client, name=f"acme{n}") for n in range(4)]
        self.workspace_id = ok(first.api.get("/me"))["workspace"]["id"]
        body = {"connection_id": self.connections[0]["id"], "name": "orders", "path": "/orders", "rows_path": "$.data",
                "query": {"limit": "200"}, "primary_key": ["id"], "total_path": "$.paging.total",
                "pagination": {"type": "next_url", "next_url_path": "$.paging.next"}}  # fmt: skip
        self.table_id = ok(first.api.post("/tables", json=body))["id"]
        self.read(self._fill, secrets)

    def serve(self, at: int) -> Server:
        """The process at this place, again under its old name after a kill; tried anew while a command has the folder."""
        while True:
            try:
                return self.world.serve(
                    database_url=self.database_url, data=f"data{at}", public=self.public, **self._shared
                )
            except AssertionError as error:
                if "Another Keyturn process" not in str(error):
                    raise

    def kill(self, at: int) -> None:
        """`kill -9`, and nobody calls there any more."""
        server, self.servers[at] = self.servers[at], None
        if server is not None:
            server.kill()
            self.kills += 1

    def revive(self) -> None:
        """Start everything that was killed."""
        for at, server in enumerate(self.servers):
            if server is None:
                self.servers[at] = self.serve(at)

    @contextlib.contextmanager
    def load(self, threads: int = 3):
        """Steady use of every process that lives."""
        self._stop.clear()
        running = [threading.Thread(target=self._use, args=(random.Random(f"{self.seed} {n} {self.kills}"),))
                   for n in range(threads)]  # fmt: skip
        for thread in running:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in running:
                thread.join(90)

    def start(self, *words: str, **environment: str) -> tuple[Forked, Path]:
        """An operator command, and where its words go."""
        self._commands += 1
        log = self.world.tmp_path / f"command-{self._commands}.log"
        place = "data0" if self.database_url is None else "operator"
        where = {"KEYTURN_DATA_DIR": str(self.world.tmp_path / place)}
        where |= {"KEYTURN_DATABASE_URL": self.database_url} if self.database_url else {}
        told = {"PATH": os.environ["PATH"], **where, **self._shared, **environment}
        return Forked([*words], told, log), log

    def operate(self, *words: str, code: int | None = 0, **environment: str) -> str:
        """Do it and answer what it said; `code` None: whatever comes of it."""
        process, log = self.start(*words, **environment)
        came = process.wait(_PATIENCE_SECONDS)
        said = log.read_text("utf-8", "replace")
        assert code in {None, came}, (came, said)
        return said

    def usage(self) -> dict[str, int]:
        """How many secrets each key opens."""
        return self.read(sealed.usage_anywhere)

    def read(self, what: Any, *args: Any) -> Any:
        if self._database is None:
            self._database = Database(self.address)
        return self._database.run_now(what, *args)

    def close(self) -> None:
        """Leave the database."""
        if self._database is not None:
            self._database.close()

    def unreadable(self) -> list[str]:
        """What does not open with the key file as it is, or says something else than what was stored."""
        ring, found = self.ring, []
        for place, value in self.read(_all_sealed):
            with contextlib.suppress(CannotOpen):
                ring.rewrap(value)
                continue
            found.append(f"{place.table}.{place.column}")
        stored = self.read(_texts, ring, self.workspace_id)
        found += [f"client {id_}" for id_, text in self.clients.items() if stored.get(id_) != text]
        return found + [f"secret {name}" for name, text in self.named.items() if stored.get(name) != text]

    @property
    def _shared(self) -> dict[str, str]:
        return {"KEYTURN_ENCRYPTION_KEY_FILE": str(self.key_file), "KEYTURN_LOG_LEVEL": "warning"}

    def _fill(self, tx: Any, number: int) -> None:
        ring, of_us = self.ring, {"workspace_id": self.workspace_id}
        named = [{"id": f"oc_{n}", "name_key": f"many {n}", "slug": f"many-{n}", "settings": {"name": f"many {n}"},
                  "version": 1, "created_by": "ac_0", "created_at": 0.0, "updated_at": 0.0} | of_us
                 for n in range(number)]  # fmt: skip
        tx.execute(oauth_clients.oauth_clients.insert(), named)
        secrets = [{"id": f"cs_{n}", "oauth_client_id": f"oc_{n}", "position": 0, "saved_at": 0.0,
                    "secret_sealed": ring.seal(f"secret {n}", ad=_client_ad(self.workspace_id, f"cs_{n}"))} | of_us
                   for n in range(number)]  # fmt: skip
        tx.execute(client_secrets.oauth_client_secrets.insert(), secrets)
        self.clients |= {f"oc_{n}": f"secret {n}" for n in range(number)}

    def _use(self, chance: random.Random) -> None:
        verbs = {"refresh": 6, "call": 5, "client": 4, "named": 3, "import": 1}
        while not self._stop.is_set():
            server = chance.choice(self.servers)
            verb = chance.choices([*verbs], [*verbs.values()])[0]
            if server is None:
                self._stop.wait(0.05)
                continue
            headers = {"Authorization": server.api.headers["Authorization"]}
            try:
                with httpx2.Client(base_url=f"{server.url}/api/v1", headers=headers, timeout=60) as api:
                    answer = self._do(api, verb, chance)
            except httpx2.TransportError:
                continue  # killed: whether it was stored, nobody was told
            if answer.status_code < 400:
                self.done[verb] += 1
            elif answer.status_code not in PASSING:
                self.failures.append(f"{verb}: {answer.status_code} {answer.text}")

    def _do(self, api: httpx2.Client, verb: str, chance: random.Random) -> httpx2.Response:
        connection = chance.choice(self.connections)
        word = f"{chance.getrandbits(64):016x}"
        if verb == "refresh":
            return api.post(f"/connections/{connection['id']}/refresh")
        if verb == "call":
            return api.get(f"/connections/{connection['id']}/proxy/orders")
        if verb == "named":
            name = f"NAME_{chance.randrange(40)}_{threading.get_ident()}"
            self.named.pop(name, None)
            body = {"value": f"named {word}", "allowed_hosts": ["api.example.com"]}
            answer = api.put(f"/secrets/{name}", json=body)
            if answer.status_code < 400:
                self.named[name] = body["value"]
            return answer
        if verb == "import":
            where = {"type": "parquet", "url": f"{word}.parquet"}
            answer = api.post("/imports", json={"table_id": self.table_id, "destination": where})
            if answer.status_code < 400:
                self.imports.append(answer.json()["id"])
            return answer
        end = self.world.end_system.url
        body = {"name": f"load {word}", "client_id": word, "client_secret": f"client {word}",
                "authorization_url": f"{end}/authorize", "token_url": f"{end}/token"}  # fmt: skip
        answer = api.post("/oauth-clients", json=body)
        if answer.status_code < 400:
            self.clients[answer.json()["id"]] = body["client_secret"]
        return answer


def _client_ad(workspace_id: str, secret_id: str) -> AssociatedData:
    return AssociatedData(workspace_id, "oauth_clients", secret_id, "secret")


def _all_sealed(tx: Any) -> list[tuple[sealed.Place, bytes]]:
    found = []
    for place in sealed.places():
        column = sa.column(place.column)
        rows = tx.execute(sa.select(column).select_from(sa.table(place.table)).where(column.is_not(None)))
        found += [(place, bytes(value)) for (value,) in rows]
    return found


def _texts(tx: Any, ring: Keyring, workspace_id: str) -> dict[str, str]:
    """The client secrets by the OAuth client's id and the secrets by name, in the clear."""
    found = {}
    table = client_secrets.oauth_client_secrets
    for row in tx.execute(sa.select(table.c.id, table.c.oauth_client_id, table.c.secret_sealed)):
        ad = _client_ad(workspace_id, row.id)
        found[row.oauth_client_id] = ring.open(bytes(row.secret_sealed), ad=ad)
    for row in tx.execute(sa.text("select id, name, value_sealed from workspace_secrets")):
        ad = AssociatedData(workspace_id, "workspace_secrets", row.id, "value_sealed")
        found[row.name] = ring.open(bytes(row.value_sealed), ad=ad)
    return found


def wait_until(what: Any, seconds: float = _PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.005)
