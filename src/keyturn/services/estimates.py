"""Estimates: about how many requests an import of a table is, and how long it takes. Nobody is asked."""

from __future__ import annotations

from keyturn.errors import Invalid
from keyturn.model.connections import Connection
from keyturn.model.estimates import Estimate, Known, calls_in_words, estimate, short_parents
from keyturn.model.tables import Table, TableSettings
from keyturn.services import connections, parents, tables
from keyturn.services.context import Context


async def of_table(ctx: Context, table_id: str) -> Estimate:
    """Of a saved table. Raises `NotFound`."""
    ctx.require("tables:read")
    table = await tables.get(ctx, table_id)
    connection = await connections.get(ctx, table.settings.connection_id)
    above = await parents.above(ctx, connection, table.settings, own_id=table.id)
    caps = [table.settings.requests_per_second, connection.settings.requests_per_second]
    slowest = min((cap for cap in caps if cap is not None), default=None)
    return estimate([_known(table), *map(_known, above)], per_second=slowest)


async def of_parent(ctx: Context, connection: Connection, settings: TableSettings, table: Table | None) -> list[str]:
    """What reading a table for each row of another one means, in sentences; none without a parent, or one unknown."""
    if settings.parent is None:
        return []
    try:
        above = await parents.above(ctx, connection, settings, own_id=None if table is None else table.id)
    except Invalid:
        return []  # told at its field
    own = Known(settings.name, None, None) if table is None else _known(table)
    chain = [own, *map(_known, above)]
    once = f"Run once per row of {above[0].name}: {settings.path}. {calls_in_words(chain)}"
    return [once, *short_parents(chain)]


def _known(table: Table) -> Known:
    settings = table.settings
    return Known(
        name=table.name,
        sample=table.last_sample,
        read=table.last_read,
        paged=settings.pagination.type != "none",
        draft=settings.is_draft,
        incremental=settings.incremental is not None,
        max_pages=settings.pagination.max_pages,
    )
