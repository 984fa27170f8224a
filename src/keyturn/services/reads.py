"""Reading a table: pages become typed batches, the schema learns, and every read ends with its stamp on record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keyturn.columns.build import Misfit, build
from keyturn.columns.schema import Column, Schema, infer, widen
from keyturn.errors import KeyturnError, NotFound
from keyturn.model.connections import Connection
from keyturn.model.ids import new_id
from keyturn.model.tables import Table
from keyturn.services import connections, tables
from keyturn.services.context import Context
from keyturn.storage import tables as rows

if TYPE_CHECKING:
    import pyarrow as pa

    from keyturn.rest.reader import Completeness


@dataclass(frozen=True, slots=True)
class Batch:
    """One page as Arrow. `schema` is what is known of the columns by now: it only ever widens in a read."""

    page: int
    data: pa.RecordBatch
    schema: Schema
    widened_by: Misfit | None


class TableRead:
    """One read of a table. Iterate `batches()` to its end; then `completeness` is the stamp and it is on record.

    A failed read leaves the stamp with `stop_reason` "error" on record too, and raises.
    """

    def __init__(
        self,
        ctx: Context,
        table: Table,
        connection: Connection,
        *,
        limit: int | None = None,
        on_wait: Callable[[float, str], Any] | None = None,
    ) -> None:
        self.id = new_id("rd")
        self.table = table
        self.schema: Schema | None = _stored(table)
        self._ctx = ctx
        self._reader = tables.reader_of(ctx, connection, table.settings, max_rows=limit, on_wait=on_wait)
        self._limit = limit

    @property
    def completeness(self) -> Completeness:
        """The stamp so far; final once `batches()` ended."""
        return self._reader.completeness

    async def batches(self) -> AsyncIterator[Batch]:
        """Typed batches, page by page. Raises what the end system or the token service raises."""
        await self._ctx.database.run(
            rows.insert_read, self._ctx.workspace_id, self.id, self.table.id, self._ctx.clock()
        )
        error: dict[str, Any] | None = None
        try:
            async for page in self._reader.pages():
                yield await asyncio.to_thread(self._typed, page.number, page.rows)
        except KeyturnError as failure:
            error = {"code": failure.code, "message_code": failure.message_code, "message": failure.message}
            raise
        finally:
            await self._finish(error)

    def _typed(self, number: int, page_rows: list[Any]) -> Batch:
        settings = self.table.settings
        misfit: Misfit | None = None
        if self.schema is None:
            self.schema = infer(page_rows, pins=tables.pins(settings), infer_types=settings.infer_types)
        try:
            data = build(self.schema, page_rows)
        except Misfit as found:
            misfit = found
            self.schema = widen(self.schema, page_rows)
            data = build(self.schema, page_rows)
        return Batch(number, data, self.schema, misfit)

    async def _finish(self, error: dict[str, Any] | None) -> None:
        ctx = self._ctx
        await ctx.database.run(
            rows.finish_read,
            ctx.workspace_id,
            self.id,
            completeness=self.completeness.as_dict(),
            error=error,
            now=ctx.clock(),
        )
        if self.schema is not None and tables.as_columns(self.schema) != self.table.columns:
            await tables.store_columns(ctx, self.table, tables.as_columns(self.schema))
        if error is None:
            values = {"last_read_at": ctx.clock()}
            await ctx.database.run(rows.update, ctx.workspace_id, self.table.id, values)


async def begin(ctx: Context, table_id: str, *, limit: int | None = None, on_wait: Any = None) -> TableRead:
    """A read of a table by the actor. Raises `NotFound`, `Forbidden`; uses no network yet."""
    ctx.require("tables:read")
    table = await tables.get(ctx, table_id)
    connection = await connections.get(ctx, table.settings.connection_id)
    connections.require_use(ctx, connection)
    return TableRead(ctx, table, connection, limit=limit, on_wait=on_wait)


async def stamp(ctx: Context, read_id: str) -> dict[str, Any]:
    """The record of a read: its stamp, or None while it runs. Raises `NotFound`."""
    ctx.require("tables:read")
    found = await ctx.database.read(rows.get_read, ctx.workspace_id, read_id)
    if found is None:
        raise NotFound("There is no such read in this workspace.")
    return found


def _stored(table: Table) -> Schema | None:
    if table.columns is None:
        return None
    return Schema(
        tuple(
            Column(name=c.name, type=c.type, source_path=c.source_path, nullable=c.nullable, note=c.note)
            for c in table.columns
        )
    )
