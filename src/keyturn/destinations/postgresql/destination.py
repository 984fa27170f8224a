"""A PostgreSQL table as a destination: pages wait in a table of ours beside it, the end is one transaction.

Each landing is one transaction: its pages, and the row that says how far the import is and which run of it counts
(`epoch`). Whoever begins raises the epoch, so that nothing a run before it writes is accepted any more. The last
transaction takes the pages into the table, and writes down that it did; so an end is never done twice.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from keyturn.columns.schema import Schema
from keyturn.columns.write import cast_batch
from keyturn.destinations.destination import Begun, Ended, Fenced, Left, Values
from keyturn.destinations.postgresql import bookkeeping, rows, target
from keyturn.destinations.postgresql.session import Server, Session
from keyturn.destinations.postgresql.target import Incoming, Place, TableWay

if TYPE_CHECKING:
    import psycopg

    Tx = psycopg.Connection[Any]

# So much may wait in memory for its landing.
_CROWDED_BYTES = 32 << 20
_PAGES_AT_ONCE = 8
_ENDING_SECONDS = 10.0


class PostgresDestination:
    """One import's rows on their way into the table at `place`."""

    def __init__(self, server: Server, place: Place, way: TableWay, *, import_id: str, epoch: int) -> None:
        self._session, self._place, self._way = Session(server), place, way
        self._import_id, self._epoch = import_id, epoch
        self._number = 0
        self._pending: list[bookkeeping.Page] = []
        self._lock, self._busy = threading.Lock(), threading.Lock()
        self._ending: tuple[Schema, Values] | None = None

    def begin(self, left: Left) -> Begun:
        """As the port says; what the database has is what counts."""
        with self._busy, self._session.transaction() as tx:
            bookkeeping.prepare(tx, self._place.schema)
            state = bookkeeping.take(tx, self._place.schema, self._import_id, self._epoch)
            if state is None:
                raise Fenced
            if state.completeness is not None:
                return Begun(ended=Ended(state.completeness))
            self._number = state.page
            if left.checkpoint is not None and state.read is not None:
                return Begun(read=state.read)
            # The row says that it begins anew: the table changed, or nobody knows of these pages.
            bookkeeping.clear(tx, self._place.schema, self._import_id)
            self._number = 0
            self._pending.clear()
        return Begun()

    def exists(self) -> bool:
        """Whether there is a table."""
        with self._busy, self._session.transaction() as tx:
            return target.look(tx, self._place) is not None

    def add(self, batch: pa.RecordBatch, schema: Schema) -> int:  # noqa: ARG002 - the batch has its own columns
        """Keep a page until it is landed."""
        data = _packed(batch)
        with self._lock:
            self._number += 1
            self._pending.append(bookkeeping.Page(self._number, batch.num_rows, data))
            return self._number

    @property
    def crowded(self) -> bool:
        """As the port says."""
        with self._lock:
            return sum(len(page.data) for page in self._pending) > _CROWDED_BYTES

    def land(self, mark: int, read: Values) -> Values:
        """One transaction: the pages, and the point behind them, if this run still counts."""
        with self._lock:
            pages = [page for page in self._pending if page.number <= mark]
        with self._busy, self._session.transaction() as tx:
            if not bookkeeping.advance(tx, self._place.schema, self._import_id, self._epoch, mark, read):
                raise Fenced
            bookkeeping.insert(tx, self._place.schema, self._import_id, pages)
        with self._lock:
            self._pending = [page for page in self._pending if page.number > mark]
        return {"read": read}

    def last(self, rows: int) -> list[pa.RecordBatch]:
        """As the port says."""
        with self._busy, self._session.transaction() as tx:
            found = bookkeeping.last(tx, self._place.schema, self._import_id, rows)
        return [batch for data in found for batch in _unpacked(data)]

    def plan(self, schema: Schema, completeness: Values, *, whole: bool) -> Ended:
        """What is short of its end waits for Resume, and the table stays as it is."""
        self._ending = (schema, completeness) if whole else None
        return Ended(completeness)

    def settle(self) -> None:
        """One transaction: the pages go into the table, and it is written down that they did."""
        if self._ending is None:
            return
        schema, completeness = self._ending
        columns = dict(zip(rows.names_of(schema), (rows.type_of(c.kind) for c in schema.columns), strict=True))
        with self._busy, self._session.transaction() as tx:
            if not bookkeeping.end(tx, self._place.schema, self._import_id, self._epoch, completeness):
                raise Fenced
            incoming = target.make_incoming(tx, columns)
            changed = self._bring(tx, incoming, schema)
            if changed:
                note = f"{changed:,} texts held U+0000, which PostgreSQL cannot: U+FFFD stands in its place."
                completeness["note"] = completeness.get("note") or note
                bookkeeping.end(tx, self._place.schema, self._import_id, self._epoch, completeness)
            target.fill(tx, self._place, incoming, self._way)
            bookkeeping.forget_pages(tx, self._place.schema, self._import_id)

    def give_up(self) -> None:
        """Stop, also when another thread of ours waits for the server."""
        free = self._busy.acquire(blocking=False)
        if not free:
            self._session.interrupt()
            free = self._busy.acquire(timeout=_ENDING_SECONDS)
        self._session.close()
        if free:
            self._busy.release()

    def forget(self) -> None:
        """Nothing: the last transaction removed the pages."""

    def _bring(self, tx: Tx, incoming: Incoming, schema: Schema) -> int:
        """Every page into the temporary table; answers how many texts had to be changed."""
        from psycopg import sql

        names = sql.SQL(", ").join(map(sql.Identifier, incoming.columns))
        words = sql.SQL("copy pg_temp.keyturn_incoming ({}) from stdin (format csv)").format(names)
        changed = 0
        for data in bookkeeping.pages(tx, self._place.schema, self._import_id, at_once=_PAGES_AT_ONCE):
            for batch in _unpacked(data):
                if batch.num_rows:
                    text, count = rows.as_csv(cast_batch(batch, schema), schema)
                    with tx.cursor() as cursor, cursor.copy(words) as copy:
                        copy.write(text)
                    changed += count
        return changed


def forget_imports(server: Server, schema: str, gone: Collection[str]) -> int:
    """Forget these imports with their pages; answers how many there were. Raises as a session does."""
    session = Session(server)
    try:
        with session.transaction() as tx:
            return bookkeeping.tidy(tx, schema, list(gone))
    finally:
        session.close()


def imports_at(server: Server, schema: str) -> list[str]:
    """The imports that a database remembers. Raises as a session does."""
    session = Session(server)
    try:
        with session.transaction() as tx:
            return bookkeeping.imports(tx, schema)
    finally:
        session.close()


def _packed(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def _unpacked(data: bytes) -> Iterator[pa.RecordBatch]:
    with pa.ipc.open_stream(pa.BufferReader(data)) as stream:
        yield from stream
