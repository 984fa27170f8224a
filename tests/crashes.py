"""Imports under fire: processes killed at random moments while whatever `weather.py` brings goes on around them.

`Fire.burn` asks for many imports of about a hundred pages each, a few at a time, kills whoever runs some that no kill has
hit yet until all have ended, and says what it cost. Pages are counted by the end system, when it has answered them.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import itertools
import json
import os
import random
import statistics
import threading
import time
import weakref
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from world import Process, Server, World, connect, ok, register

PAGE_ROWS = 12
PAGES = -(-1234 // PAGE_ROWS)
# Where no import comes to a page for so long, another one is waited for.
_PATIENCE_SECONDS = 5.0
_CALM_BEHIND_SECONDS = 10.0
# So long imports are begun; and what the last ones may take.
_SECONDS = float(os.environ.get("SOAK_SECONDS", "1200"))
_LAST_SECONDS = 400.0
# What a process ends with at its start, while the database or the folder for files is away.
_COMES_AGAIN = ("The database is not reachable", "is not an absolute folder that exists")
Fault = Callable[["Fire", random.Random], None]


@dataclass
class Report:
    """What happened to `imports` of them."""

    imports: int
    whole: int
    kills: int
    taken_over: int
    takeovers: int
    pages_twice: int
    killed_behind_page: list[int]
    faults: dict[str, int]
    seconds: float

    @property
    def read_twice(self) -> float:
        """The share of pages that the end system gave out again, of all that there are."""
        return self.pages_twice / (self.imports * PAGES)

    def line(self, what: str) -> str:
        """As a row of the table in the docs."""
        return (
            f"| {what} | {self.imports} | {self.kills} | {self.taken_over} | {self.takeovers} | {self.whole} | "
            f"{self.read_twice:.1%} | {self.seconds:.0f} |"
        )

    def write(self, what: str, **more: object) -> None:
        """To the file that `SOAK_REPORT` names, a line of JSON each."""
        pages = self.killed_behind_page or [0]
        spread = {
            "least": min(pages),
            "median": statistics.median(pages),
            "most": max(pages),
            "distinct": len({*pages}),
        }
        told = {"what": what, **more, **asdict(self), "killed_behind_page": spread, "read_twice": self.read_twice}
        if path := os.environ.get("SOAK_REPORT"):
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(json.dumps(told) + "\n")


@dataclass
class Fire:
    """The processes of one deployment and what harms them: `faults` come by chance, one after the other.

    On PostgreSQL the first process is `keyturn serve` and the others are `keyturn worker`. `served_url` leads to the same
    database as `database_url`, where that goes through something that can be cut.
    """

    world: World
    database_url: str | None
    workers: int = 1
    seed: int = 1
    folder: Any = None
    faults: tuple[Fault, ...] = ()
    at_once: int = 6
    served_url: str | None = None
    servers: list[Process] = field(default_factory=list)
    database: sa.Engine | None = None
    asked_for: threading.Event = field(default_factory=threading.Event)
    harming: dict[int, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))
    asked: Counter = field(default_factory=Counter)
    tokens_ended_at: float = 0.0
    hit: Counter = field(default_factory=Counter)
    killed_behind_page: list[int] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What the processes are told besides the usual."""
        more = {"KEYTURN_EXPORT_DIRS": str(self.folder)} if self.folder else {}
        return {"KEYTURN_LOG_LEVEL": "info", **more}

    def serve(self, at: int = 0) -> Process:
        """The process at this place, anew; again, as whoever supervises it does, where it did not find what it needs."""
        made = self.world.work if at else self.world.serve
        while True:
            try:
                return made(database_url=self.served_url or self.database_url, **self.environment)
            except AssertionError as error:
                if not any(words in str(error) for words in _COMES_AGAIN):
                    raise

    @property
    def server(self) -> Server:
        """The one with the API, as it is now."""
        server = self.servers[0]
        assert isinstance(server, Server)
        return server

    def begin(self) -> dict:
        """The processes, and a connection; the end system counts what each table asks for."""
        demo = self.world.end_system.demo
        log = demo.log_api_request

        def counting(path: str, query: str) -> None:
            self.asked[query.partition("run=")[2].partition("&")[0]] += 1
            log(path, query)

        demo.log_api_request = counting
        # A token that is used up as a process is killed can be had again; without that, somebody has to sign in anew.
        demo.faults.grace_seconds = 60.0
        self.servers = [self.serve(at) for at in range(self.workers)]
        return connect(self.world, self.server, register(self.world, self.server))

    def ask(self, connection: dict, number: int) -> str:
        """One import of a table of its own, so that its pages can be told from the others'."""
        return self.start(self.table(connection, number), number)

    def table(self, connection: dict, number: int) -> str:
        body = {
            "connection_id": connection["id"], "name": f"orders_{number}", "path": "/orders",
            "query": {"limit": str(PAGE_ROWS), "run": str(number)}, "rows_path": "$.data",
            "pagination": {"type": "next_url", "next_url_path": "$.paging.next"}, "total_path": "$.paging.total",
            "primary_key": ["id"],
        }  # fmt: skip
        return ok(self.server.api.post("/tables", json=body))["id"]

    def start(self, table_id: str, number: int) -> str:
        body = {"table_id": table_id, "destination": self.where(number)}
        while True:
            with contextlib.suppress(httpx2.TransportError):
                answer = self.server.api.post("/imports", json=body)
                if answer.status_code != 503:
                    return ok(answer)["id"]
            time.sleep(0.3)  # killed just now, or without database: but the import may have been asked for
            if asked := self.query("select id from imports where table_id = :id", id=table_id):
                return asked[0][0]

    def where(self, number: int) -> dict:
        """The destination of an import, as it is asked for."""
        url = f"{self.folder}/{number}.parquet" if self.folder else f"{number}.parquet"
        return {"type": "parquet", "url": url}

    def burn(self, count: int, *, seconds: float = _SECONDS) -> Report:
        """`count` imports under fire, or as many as can be begun in that time, compared with one that was left alone."""
        connection = self.begin()
        undisturbed = self.ask(connection, 0)
        self.ended(60)
        whole = self.digest(undisturbed, 0)
        tables = [self.table(connection, number) for number in range(1, count + 1)]
        self.world.end_system.served.clear()
        began_at = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            kills = pool.submit(self.kill_some, random.Random(self.seed), began_at + seconds + _LAST_SECONDS)
            weather = pool.submit(self.change_weather, random.Random(self.seed + 1))
            try:
                begun = itertools.takewhile(lambda _: time.monotonic() < began_at + seconds, enumerate(tables, 1))
                ids = [self.feed(table_id, number) for number, table_id in begun]
            finally:
                self.asked_for.set()
            done, faults = kills.result(), weather.result()
        took = time.monotonic() - began_at
        same = sum(self.digest(id_, number) == whole for number, id_ in enumerate(ids, 1))
        twice = sum(times - 1 for times in self.world.end_system.served.values())
        over, overs = len(self.hit), self.hit.total()
        return Report(len(ids), same, done, over, overs, twice, self.killed_behind_page, dict(faults), took)

    def feed(self, table_id: str, number: int) -> str:
        """The next import as soon as few enough are under way."""
        while len(self.unfinished()) >= self.at_once:
            time.sleep(0.1)
        return self.start(table_id, number)

    def kill_some(self, chance: random.Random, deadline: float) -> int:
        """Kill whoever runs an import that has come to some page, again and again; answers how often."""
        done = 0
        while not self.over:
            page, patience = chance.randrange(1, PAGES), time.monotonic() + _PATIENCE_SECONDS
            while not self.over and time.monotonic() < patience:
                assert time.monotonic() < deadline, self.unfinished()[:5]
                if any(self.killed(at, page) for at in chance.sample(range(self.workers), self.workers)):
                    done += 1
                    break
                time.sleep(0.02)
        return done

    def killed(self, at: int, page: int) -> bool:
        """Kill the process at this place, if it has come to that page and runs mostly what no kill has hit yet."""
        if not self.harming[at].acquire(blocking=False):
            return False
        try:
            held = self.held(self.servers[at])
            fresh = [pages for id_, pages in held.items() if id_ not in self.hit]
            if max(fresh, default=0) < page or 4 * len(fresh) < 3 * len(held):
                return False
            self.servers[at].kill()
            self.killed_behind_page += held.values()
            self.hit.update(list(held))
            self.servers[at] = self.serve(at)
            return True
        finally:
            self.harming[at].release()

    def change_weather(self, chance: random.Random) -> Counter:
        """One fault after the other, until soon after the last import was asked for, so that all can end."""
        done: Counter[str] = Counter()
        left = _CALM_BEHIND_SECONDS
        while self.faults and left > 0 and not self.over:
            pause = chance.uniform(0.5, 2.5)
            left -= pause if self.asked_for.is_set() else 0
            time.sleep(pause)
            fault = chance.choice(self.faults)
            fault(self, chance)
            done[getattr(fault, "__name__", type(fault).__name__)] += 1
        return done

    @property
    def over(self) -> bool:
        return self.asked_for.is_set() and not self.unfinished()

    def held(self, server: Process) -> dict[str, int]:
        """The pages of each import that a process runs."""
        words = "select id, pages from imports where status in ('running', 'waiting') and lease_owner = :who"
        return dict(self.query(words, who=server.owner))

    def unfinished(self) -> list[tuple]:
        words = "select id, status, pages, lease_epoch, lease_owner, waiting, cancel_requested from imports"
        return self.query(f"{words} where status not in ('complete', 'failed', 'cancelled', 'incomplete')")

    def ended(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while found := self.unfinished():
            assert time.monotonic() < deadline, found
            time.sleep(0.2)

    def state(self, import_id: str) -> dict:
        return ok(self.server.api.get(f"/imports/{import_id}"))

    def digest(self, import_id: str, number: int) -> str:
        """Every byte that an import brought, by key. It is complete, or this says what became of it."""
        item = self.state(import_id)
        assert item["status"] == "complete", item
        return hashlib.sha256(self.content(number)).hexdigest()

    def content(self, number: int) -> bytes:
        folder = self.folder or next((self.world.tmp_path / "data" / "files").iterdir())
        table = pq.read_table(folder / f"{number}.parquet").replace_schema_metadata(None).sort_by("id")
        out = pa.BufferOutputStream()
        with pa.ipc.new_stream(out, table.schema) as stream:
            stream.write_table(table.combine_chunks())
        return out.getvalue().to_pybytes()

    def query(self, words: str, **values: object) -> list[Any]:
        """Rows of the deployment's database, as they are now."""
        if self.database is None:
            url = sa.make_url(self.database_url or f"sqlite:///{self.world.tmp_path}/data/keyturn.db")
            url = url.set(drivername="postgresql+psycopg") if self.database_url else url
            # A file of SQLite is let go of at once; PostgreSQL would begin a process for each look.
            kept = sa.QueuePool if self.database_url else sa.NullPool
            self.database = sa.create_engine(url, poolclass=kept)
            weakref.finalize(self, self.database.dispose)
        while True:
            # Whoever starts on a killed process's SQLite holds it for a moment.
            with contextlib.suppress(sa.exc.OperationalError), self.database.connect() as tx:
                return [tuple(row) for row in tx.execute(sa.text(words), values)]
            time.sleep(0.05)
