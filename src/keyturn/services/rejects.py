"""Rejects: values that did not fit their columns, kept for 30 days with row and path: nothing is dropped unsaid."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import orjson

from keyturn.services import connections, imports, reads, tables
from keyturn.services.context import Context
from keyturn.storage import rejects as rows

KEPT_SECONDS = 30 * 86_400.0


async def of_read(ctx: Context, read_id: str) -> AsyncGenerator[bytes]:
    """Those of a read as NDJSON. Raises `NotFound`."""
    table = await tables.get(ctx, (await reads.stamp(ctx, read_id))["table_id"])
    connections.require_use(ctx, await connections.get(ctx, table.settings.connection_id))
    return _lines(ctx, read_id)


async def of_import(ctx: Context, import_id: str) -> AsyncGenerator[bytes]:
    """Those of an import as NDJSON. Raises `NotFound`."""
    ctx.require("tables:read")
    await imports.require_rows(ctx, await imports.get(ctx, import_id))
    return _lines(ctx, import_id)


@dataclass(frozen=True, slots=True)
class Rejected:
    """What did not fit in one read or import: the first of its values, and whether there are more."""

    owner_id: str
    at: float
    found: list[dict[str, Any]]
    more: bool


async def of_table(ctx: Context, table_id: str, *, limit: int = 5, values: int = 10) -> list[Rejected]:
    """Those of a table's newest reads and imports, at most so many values of each. Raises `NotFound`."""
    ctx.require("tables:read")
    await tables.get(ctx, table_id)
    found = []
    for owner_id, at in await ctx.database.read(rows.owners_of, ctx.workspace_id, table_id, limit):
        first = await ctx.database.read(rows.after, ctx.workspace_id, owner_id, -1)
        if first is not None:
            following = await ctx.database.read(rows.after, ctx.workspace_id, owner_id, first[0])
            more = len(first[1]) > values or following is not None
            found.append(Rejected(owner_id, at, first[1][:values], more))
    return found


async def prune(scene: Context) -> int:
    """Forget what is older than 30 days."""
    return await scene.database.run(rows.prune_anywhere, scene.clock() - KEPT_SECONDS)


async def _lines(ctx: Context, owner_id: str) -> AsyncGenerator[bytes]:
    place = -1
    while (found := await ctx.database.read(rows.after, ctx.workspace_id, owner_id, place)) is not None:
        place, values = found
        yield b"".join(orjson.dumps(value) + b"\n" for value in values)
