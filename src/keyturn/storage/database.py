"""The database: engines, threads, transactions, and the rules that keep SQLite safe. It knows no noun.

`run` is the one place that takes a function: it runs `fn(tx, *args)` in a bounded thread as one transaction
and commits. On SQLite every write goes through one connection on one thread (a second writer waits unfairly
for seconds), checkpoints happen on that connection alone (the WAL-reset bug of SQLite before 3.51.3 needs two),
there is no mmap, and `synchronous=FULL` makes a commit survive power loss (sqlite.org/wal.html §2.2).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection as Tx
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from keyturn.errors import Conflict, Invalid, Unavailable
from keyturn.storage.clock import DatabaseClock, SteadyClock
from keyturn.storage.wakeups import WOKEN, Wakeups

__all__ = ["Database", "Tx", "at_end", "db_now", "metadata"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
THREADS = 8
_AT_END = "keyturn_at_end"
_CHECKPOINT_EVERY = 500
_BUSY_TIMEOUT_MS = 15_000
# A process that stands still in the middle of a transaction holds no row for longer: the session is ended.
_IDLE_MS = 15_000


class db_now(FunctionElement[float]):  # noqa: N801 - it reads as the SQL function it is
    """The database's own clock as epoch seconds: what leases are measured by, on every replica alike."""

    type = sa.Double()
    inherit_cache = True


@compiles(db_now, "sqlite")
def _sqlite_now(element: db_now, compiler: sa.Compiled, **kw: object) -> str:  # noqa: ARG001
    return "keyturn_now()"


@compiles(db_now, "postgresql")
def _postgresql_now(element: db_now, compiler: sa.Compiled, **kw: object) -> str:  # noqa: ARG001
    return "extract(epoch from clock_timestamp())::double precision"


class Database:
    """One database, either SQLite (`sqlite:///path`) or PostgreSQL (`postgresql://…`).

    `clock` is its time in epoch seconds; `wakeups` tells who waits for a change that the change is there.
    """

    def __init__(self, url: str, *, wall: Callable[[], float] = time.time) -> None:
        self.url = sa.make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.clock = SteadyClock(wall) if self.is_sqlite else DatabaseClock(wall)
        self.wakeups = Wakeups(None if self.is_sqlite else self.url)
        if self.is_sqlite:
            self._reader = _sqlite_engine(self.url, self.clock, pool_size=THREADS, read_only=True)
            self._writer = _sqlite_engine(self.url, self.clock, pool_size=1, read_only=False)
        else:
            self._reader = self._writer = _postgresql_engine(self.url)
        self._write_threads = ThreadPoolExecutor(1 if self.is_sqlite else THREADS, thread_name_prefix="db-write")
        self._read_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="db-read")
        self._write_lock = threading.Lock()
        self._writes = 0
        self._gathered: dict[Any, list[tuple[Any, Future[Any]]]] = {}
        self._gathered_lock = threading.Lock()

    async def run(self, fn: Callable[Concatenate[Tx, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """`fn(tx, …)` as one committed transaction. Raises `Unavailable` when the database is away."""
        loop = asyncio.get_running_loop()
        context = copy_context()
        return await loop.run_in_executor(
            self._write_threads, lambda: context.run(lambda: self.run_now(fn, *args, **kwargs))
        )

    async def run_together(self, fn: Callable[[Tx, list[T]], list[R]], item: T) -> R:
        """What `fn(tx, items)` answers for `item`. On SQLite those that wait for their turn are one transaction.

        A commit waits for the disk, and one for many costs as much as one for each. Raises as `run` does.
        """
        if not self.is_sqlite:
            return (await self.run(fn, [item]))[0]
        answer: Future[R] = Future()
        with self._gathered_lock:
            gathered = self._gathered.setdefault(fn, [])
            is_first = not gathered
            gathered.append((item, answer))
        if is_first:
            self._write_threads.submit(self._write_gathered, fn)
        return await asyncio.wrap_future(answer)

    def _write_gathered(self, fn: Callable[[Tx, list[T]], list[R]]) -> None:
        with self._gathered_lock:
            gathered = self._gathered.pop(fn)
        gathered = [(item, answer) for item, answer in gathered if answer.set_running_or_notify_cancel()]
        try:
            results = self.run_now(fn, [item for item, _ in gathered])
        except BaseException as error:  # noqa: BLE001 - each that waits is told
            for _, answer in gathered:
                answer.set_exception(error)
        else:
            for (_, answer), result in zip(gathered, results, strict=True):
                answer.set_result(result)

    async def read(self, fn: Callable[Concatenate[Tx, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """`fn(tx, …)` as a read: on SQLite it cannot write, and does not wait for the writer."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._read_threads, lambda: _once(self._reader, self.wakeups, fn, *args, **kwargs)
        )

    def run_now(self, fn: Callable[Concatenate[Tx, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """`run` for callers without a loop: migrations, commands, tests."""
        if not self.is_sqlite:
            return _once(self._writer, self.wakeups, fn, *args, **kwargs)
        with self._write_lock:
            result = _once(self._writer, self.wakeups, fn, *args, **kwargs)
            self._writes += 1
            if self._writes % _CHECKPOINT_EVERY == 0:
                # What was written is safe in the WAL: on a full disk it stays there until the next time.
                with contextlib.suppress(DBAPIError):
                    self._checkpoint("PASSIVE")
            return result

    def read_now(self, fn: Callable[Concatenate[Tx, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """`read` for callers without a loop."""
        return _once(self._reader, self.wakeups, fn, *args, **kwargs)

    async def look_at_clock(self) -> None:
        """See what time it is by the database; half of the way there and back is taken off."""
        if self.is_sqlite:
            return
        asked_at = time.monotonic()
        now = await self.read(lambda tx: tx.execute(sa.select(db_now())).scalar_one())
        answered_at = time.monotonic()
        self.clock.look(now, (asked_at + answered_at) / 2)

    def close(self) -> None:
        """Finish what runs, fold the WAL into the file, and give all connections back."""
        self.wakeups.close()
        self._read_threads.shutdown(wait=True)
        self._write_threads.shutdown(wait=True)
        self._reader.dispose()
        if self.is_sqlite:
            with self._write_lock:
                self._checkpoint("TRUNCATE")
        self._writer.dispose()

    def _checkpoint(self, mode: str) -> None:
        with self._writer.connect() as connection:
            connection.exec_driver_sql("ROLLBACK")
            connection.exec_driver_sql(f"PRAGMA wal_checkpoint({mode})")
            connection.exec_driver_sql("BEGIN")

    @property
    def path(self) -> Path | None:
        """The SQLite file, None on PostgreSQL."""
        return Path(self.url.database) if self.is_sqlite and self.url.database else None


def at_end(tx: Tx, action: Callable[[Tx, list[T]], None], item: T) -> None:
    """Collect `item`; `action(tx, items)` runs once, last in this transaction, before its commit."""
    collected: dict[Any, list[Any]] = tx.info.setdefault(_AT_END, {})
    collected.setdefault(action, []).append(item)


def _once(
    engine: sa.Engine, wakeups: Wakeups, fn: Callable[Concatenate[Tx, P], R], *args: P.args, **kwargs: P.kwargs
) -> R:
    try:
        with engine.begin() as tx:
            # `info` belongs to the database connection: what a failed transaction collected is not ours.
            tx.info.pop(_AT_END, None)
            tx.info.pop(WOKEN, None)
            result = fn(tx, *args, **kwargs)
            for action, items in tx.info.pop(_AT_END, {}).items():
                action(tx, items)
            woken = tx.info.pop(WOKEN, ())
    except OperationalError as error:
        # Lost, refused or locked: nothing was committed, so the caller may come again.
        raise Unavailable("The database is not reachable. We try again by ourselves.") from error
    except IntegrityError as error:
        if getattr(error.orig, "sqlite_errorname", "") == "SQLITE_CONSTRAINT_TRIGGER":
            raise
        # Two came at the same moment and the other was first; the verbs look before they write, so this is rare.
        raise Conflict("Somebody else just saved what clashes with this. Look again, then repeat it.") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable("The database is not reachable. We try again by ourselves.") from error
        if isinstance(error, DataError) and "NUL" in str(error.orig):
            # The one character that texts of PostgreSQL do not hold; whatever came from outside may have it.
            raise Invalid("A text holds the character NUL (U+0000), which cannot be stored. Leave it out.") from error
        raise
    for key in woken:
        wakeups.wake(key)
    return result


def _sqlite_engine(url: sa.URL, clock: Callable[[], float], *, pool_size: int, read_only: bool) -> sa.Engine:
    engine = sa.create_engine(
        url,
        poolclass=sa.QueuePool,
        pool_size=pool_size,
        max_overflow=0,
        connect_args={"check_same_thread": False, "timeout": _BUSY_TIMEOUT_MS / 1000, "isolation_level": None},
    )

    @sa.event.listens_for(engine, "connect")
    def _on_connect(dbapi_connection: object, record: object) -> None:  # noqa: ARG001
        dbapi_connection.create_function("keyturn_now", 0, clock)  # type: ignore[attr-defined]  # pyrefly: ignore
        cursor = dbapi_connection.cursor()  # type: ignore[attr-defined]  # pyrefly: ignore
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "wal_autocheckpoint=0",
            "mmap_size=0",
            "foreign_keys=ON",
            "secure_delete=ON",
            f"busy_timeout={_BUSY_TIMEOUT_MS}",
            f"query_only={'ON' if read_only else 'OFF'}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _on_begin(connection: Tx) -> None:
        # IMMEDIATE takes the write lock first, so that a lease's read and write cannot be split.
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _postgresql_engine(url: sa.URL) -> sa.Engine:
    try:
        import psycopg  # noqa: F401 - asked for here so that the sentence below can say what to install
    except ImportError:
        raise Unavailable("PostgreSQL needs the extra: install keyturn[postgres].") from None
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=THREADS * 2,
        max_overflow=4,
        pool_timeout=10,
        pool_pre_ping=True,
        connect_args={"connect_timeout": 5, "application_name": "keyturn"},
    )

    @sa.event.listens_for(engine, "connect")
    def _on_connect(dbapi_connection: object, record: object) -> None:  # noqa: ARG001
        dbapi_connection.execute(f"set idle_in_transaction_session_timeout = {_IDLE_MS}")  # type: ignore[attr-defined]  # pyrefly: ignore
        dbapi_connection.commit()  # type: ignore[attr-defined]  # pyrefly: ignore

    return engine
