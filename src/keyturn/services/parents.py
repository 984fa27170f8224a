"""The parents of a table: found by name, and refused where they lead nowhere, in a circle, or to no such column."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from keyturn.errors import Conflict, Invalid
from keyturn.model.connections import Connection
from keyturn.model.parameters import ParameterSettings
from keyturn.model.tables import ParentSettings, Table, TableSettings
from keyturn.services import connection_lists, connections
from keyturn.services.context import Context
from keyturn.storage import tables as rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

_DEEPEST = 5


async def checked(
    ctx: Context, connection: Connection, settings: TableSettings, *, own_id: str | None = None
) -> tuple[TableSettings, tuple[Table, ...]]:
    """The settings with the parent's plain name, and the tables above, the nearest first. Raises `Invalid`."""
    if settings.parent is None:
        return settings, ()
    name = settings.parent.table.removeprefix(f"{connection.name}.")
    settings = settings.model_copy(update={"parent": settings.parent.model_copy(update={"table": name})})
    parents = await above(ctx, connection, settings, own_id=own_id)
    if settings.parent is not None:
        check_columns(settings.parent, parents[0])
    return settings, parents


async def above(
    ctx: Context, connection: Connection, settings: TableSettings, *, own_id: str | None = None
) -> tuple[Table, ...]:
    """The tables for whose rows a table is read, the nearest first; none for a table that stands for itself."""
    found: list[Table] = []
    link = settings.parent
    path = [settings.name]
    while link is not None:
        if link.table == settings.name:
            raise _circle([*path, link.table])
        table = await ctx.database.read(rows.by_name, ctx.workspace_id, connection.name, link.table)
        if table is None:
            raise await _unknown(ctx, connection, link.table, except_id=own_id)
        path.append(table.name)
        if table.id == own_id or table.id in {item.id for item in found}:
            raise _circle(path)
        if len(found) == _DEEPEST:
            raise Invalid(f"More than {_DEEPEST} tables stand above each other. Choose a parent nearer to the top.",
                          at="parent.table")  # fmt: skip
        found.append(table)
        link = table.settings.parent
    return tuple(found)


async def asked_for(ctx: Context, table: Table) -> tuple[ParameterSettings, ...]:
    """What must be given to read a saved table: what it asks for itself, then what those above it ask for."""
    found = {item.name: item for item in table.settings.parameters}
    if table.settings.parent is not None:
        connection = await connections.get(ctx, table.settings.connection_id)
        for parent in await above(ctx, connection, table.settings, own_id=table.id):
            found = {item.name: item for item in parent.settings.parameters} | found
    return tuple(found.values())


def refuse_orphans(tx: Tx, ctx: Context, table: Table) -> None:
    """Raises `Conflict` where another table is read for each row of this one, which goes or gets another name."""
    found = rows.all_of(tx, ctx.workspace_id, table.settings.connection_id)
    for other in found:
        if other.settings.parent is not None and other.settings.parent.table == table.name:
            raise Conflict(
                f"{other.full_name} is read for each row of {table.name}. Delete it, or take its parent away, first.",
                at="name",
            )


def check_columns(link: ParentSettings, parent: Table) -> None:
    """Raises `Invalid` for a column that the parent has not. A parent that was never read is looked at when it is."""
    if parent.columns is None:
        return
    known = [column.name for column in parent.columns]
    for name, column in link.values.items():
        if column not in known:
            close = difflib.get_close_matches(column, known, n=1, cutoff=0.6)
            hint = f"Did you mean {close[0]}?" if close else f"It has {', '.join(known[:10])}."
            raise Invalid(f"{parent.name} has no column {column[:60]}. {hint}", at=f"parent.values.{name}")


async def _unknown(ctx: Context, connection: Connection, name: str, *, except_id: str | None) -> Invalid:
    visible = await connection_lists.visible_ids(ctx)
    stored = await ctx.database.read(rows.all_of, ctx.workspace_id)
    everywhere = [table for table in stored if table.settings.connection_id in visible]
    here = [t.name for t in everywhere if t.settings.connection_id == connection.id and t.id != except_id]
    plain = name.rpartition(".")[2]
    if any(t.settings.connection_id != connection.id and name in {t.name, t.full_name} for t in everywhere):
        hint = f"A parent is of the same connection: make {plain[:60]} a table of {connection.name}."
        return Invalid(f"{name[:60]} is a table of another connection. {hint}", at="parent.table")
    close = difflib.get_close_matches(plain, here, n=1, cutoff=0.6)
    there = f"It has {', '.join(here[:10])}." if here else "Make that table first."
    hint = f"Did you mean {close[0]}?" if close else there
    return Invalid(f"{connection.name} has no table {name[:60]}. {hint}", at="parent.table")


def _circle(path: list[str]) -> Invalid:
    if len(path) == 2:
        return Invalid("A table cannot be its own parent. Choose another one.", at="parent.table")
    return Invalid(f"These lead in a circle: {' → '.join(path)}. Choose a parent outside of it.", at="parent.table")
