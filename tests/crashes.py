"""Imports under fire: processes killed at random moments, tokens that end, limits, errors, disks that are away.

`Fire.burn` asks for many imports of about a hundred pages each, does harm until all have ended, and says what it cost.
"""

from __future__ import annotations

import concurrent.futures
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from world import Server, World, connect, ok, register

PAGE_ROWS = 12
PAGES = -(-1234 // PAGE_ROWS)
ENDED = {"complete", "incomplete", "failed", "cancelled"}


@dataclass
class Report:
    """What happened to `imports` of them."""

    imports: int
    kills: int
    whole: int
    taken_over: int
    takeovers: int
    pages_asked: int
    seconds: float

    @property
    def read_twice(self) -> float:
        """The share of pages that were asked for more often than an undisturbed run does."""
        return self.pages_asked / (self.imports * PAGES) - 1

    @property
    def read_twice_each_time(self) -> float:
        """The same for each time that a process was killed over an import."""
        return self.read_twice * self.imports / max(1, self.takeovers)

    def line(self, what: str) -> str:
        """As a row of the table in the docs."""
        return (
            f"| {what} | {self.imports} | {self.kills} | {self.taken_over} | {self.takeovers} | {self.whole} | "
            f"{self.read_twice:.1%} | {self.read_twice_each_time:.1%} | {self.seconds:.0f} |"
        )


@dataclass
class Fire:
    """Servers of one deployment and what harms them. `faults` are called now and then, with a source of chance."""

    world: World
    database_url: str | None
    workers: int = 1
    seed: int = 1
    folder: Any = None
    faults: tuple[Callable[[World, random.Random], None], ...] = ()
    pause_seconds: tuple[float, float] = (0.5, 3.0)
    asked: Counter = field(default_factory=Counter)
    servers: list[Server] = field(default_factory=list)
    database: sa.Engine | None = None
    asked_for: threading.Event = field(default_factory=threading.Event)

    def serve(self) -> Server:
        more = {"KEYTURN_EXPORT_DIRS": str(self.folder)} if self.folder else {}
        return self.world.serve(database_url=self.database_url, KEYTURN_LOG_LEVEL="info", **more)

    def begin(self) -> dict:
        """The servers, and a connection; the end system counts each import's pages."""
        demo = self.world.end_system.demo
        log = demo.log_api_request

        def counting(path: str, query: str) -> None:
            self.asked[query.partition("run=")[2].partition("&")[0]] += 1
            log(path, query)

        demo.log_api_request = counting
        self.servers = [self.serve() for _ in range(self.workers)]
        return connect(self.world, self.servers[0], register(self.world, self.servers[0]))

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
        return ok(self.servers[0].api.post("/tables", json=body))["id"]

    def start(self, table_id: str, number: int) -> str:
        body = {"table_id": table_id, "destination": self.where(number)}
        while True:
            try:
                return ok(self.servers[0].api.post("/imports", json=body))["id"]
            except httpx2.TransportError:
                time.sleep(0.3)  # killed just now: another one is on its way, and the import may have been asked for
            try:
                asked = self.query("select id from imports where table_id = :id", id=table_id)
            except sa.exc.OperationalError:
                continue  # whoever starts on a killed process's SQLite holds it for a moment
            if asked:
                return asked[0][0]

    def where(self, number: int) -> dict:
        """The destination of an import, as it is asked for."""
        url = f"{self.folder}/{number}.parquet" if self.folder else f"{number}.parquet"
        return {"type": "parquet", "url": url}

    def burn(self, count: int, *, seconds: float = 1200) -> Report:
        """`count` imports; whoever runs mostly such as no kill has hit yet is killed at some moment, until all ended."""
        chance = random.Random(self.seed)
        connection = self.begin()
        undisturbed = self.ask(connection, 0)
        self.ended(60)
        whole = rows_of(self, undisturbed, 0)
        tables = [self.table(connection, number) for number in range(1, count + 1)]
        self.asked.clear()
        began_at = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            harm = pool.submit(self.harm, chance, began_at + seconds)
            try:
                ids = [self.start(table_id, number) for number, table_id in enumerate(tables, 1)]
            finally:
                self.asked_for.set()
            done = harm.result()
        took = time.monotonic() - began_at
        same = sum(rows_of(self, id_, number).equals(whole) for number, id_ in enumerate(ids, 1))
        taken_over, takeovers = self.taken_over(ids)
        return Report(count, done, same, taken_over, takeovers, sum(self.asked.values()), took)

    def harm(self, chance: random.Random, deadline: float) -> int:
        done = 0
        while self.unfinished() or not self.asked_for.is_set():
            assert time.monotonic() < deadline, [self.state(id_) for id_ in self.unfinished()[:5]]
            time.sleep(chance.uniform(*self.pause_seconds))
            at = chance.randrange(len(self.servers))
            held, fresh = self.held(self.servers[at])
            if fresh and 4 * fresh >= 3 * held:
                self.servers[at].kill()
                done += 1
                for fault in self.faults:
                    fault(self.world, chance)
                self.servers[at] = self.serve()
        return done

    def held(self, server: Server) -> tuple[int, int]:
        """How many imports a process runs, and how many of those nobody else has run before."""
        words = "select lease_epoch from imports where status in ('running', 'waiting') and lease_owner like :who"
        epochs = [row[0] for row in self.query(words, who=f"%-{server.process.pid}-%")]
        return len(epochs), epochs.count(1)

    def unfinished(self) -> list[str]:
        words = "select id from imports where status not in ('complete', 'failed', 'cancelled', 'incomplete')"
        return [row[0] for row in self.query(words)]

    def ended(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.unfinished():
            assert time.monotonic() < deadline, [self.state(id_) for id_ in self.unfinished()]
            time.sleep(0.2)

    def state(self, import_id: str) -> dict:
        return ok(self.servers[0].api.get(f"/imports/{import_id}"))

    def taken_over(self, ids: list[str]) -> tuple[int, int]:
        """How many imports were run by more than one process, and how often one was taken over."""
        epochs = dict(self.query("select id, lease_epoch from imports"))
        return sum(epochs[id_] > 1 for id_ in ids), sum(epochs[id_] - 1 for id_ in ids)

    def query(self, words: str, **values: object) -> list[Any]:
        """Rows of the deployment's database, as they are now."""
        if self.database is None:
            url = sa.make_url(self.database_url or f"sqlite:///{self.world.tmp_path}/data/keyturn.db")
            url = url.set(drivername="postgresql+psycopg") if self.database_url else url
            self.database = sa.create_engine(url, poolclass=sa.NullPool)
        with self.database.connect() as tx:
            return [tuple(row) for row in tx.execute(sa.text(words), values)]


def rows_of(fire: Fire, import_id: str, number: int) -> pa.Table:
    """The file of an import, by key."""
    item = fire.state(import_id)
    assert item["status"] == "complete", item
    folder = fire.folder or next((fire.world.tmp_path / "data" / "files").iterdir())
    path = folder / f"{number}.parquet"
    return pq.read_table(path).replace_schema_metadata(None).sort_by("id")


def short_tokens(world: World, chance: random.Random) -> None:
    """Every access token lives a few seconds from now on."""
    world.end_system.demo.faults.access_token_seconds = 4


def limits_and_errors(world: World, chance: random.Random) -> None:
    """Some calls are told to wait, some fail."""
    world.end_system.demo.faults.api_429s += chance.randrange(2)
    world.end_system.demo.faults.api_500s += chance.randrange(3)


def disk_away(folder: Any) -> Callable[[World, random.Random], None]:
    """The destination's folder is gone for a second."""

    def fault(world: World, chance: random.Random) -> None:
        away = folder.with_name(f"{folder.name}-away")
        folder.rename(away)
        threading.Timer(1.0, lambda: away.rename(folder)).start()

    return fault
