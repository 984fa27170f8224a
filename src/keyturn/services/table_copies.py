"""A table's settings used on another connection too: with those it is read for, without rows or marks of imports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from keyturn import redaction
from keyturn.errors import Conflict, Invalid, Problem
from keyturn.model.connections import Connection
from keyturn.model.ids import new_id
from keyturn.model.table_copies import CopySettings
from keyturn.model.tables import Table, TableSettings
from keyturn.model.validation import parse
from keyturn.rest.fillings import names_secret
from keyturn.services import audit, connections, parents, secrets, tables
from keyturn.services.context import Context
from keyturn.storage import tables as rows
from keyturn.wire import origin_of

if TYPE_CHECKING:
    from keyturn.storage.database import Tx


@dataclass(frozen=True, slots=True)
class Copied:
    """The new table, and the full names of the parents that were copied with it, the topmost first."""

    table: Table
    parents: tuple[str, ...]


async def copy(ctx: Context, table_id: str, raw: Mapping[str, Any]) -> Copied:
    """Copy a table to `connection_id`, as `name` or under its own name. Nothing is asked of the endpoint there.

    All settings and the learned columns go along, and the parents that the other connection has not. Raises `NotFound`
    for either of the two, `Conflict` for a name that is taken, `Invalid` for a key that would reach another host.
    """
    ctx.require("connections:write")
    table = await tables.get(ctx, table_id)
    asked = parse(CopySettings, raw)
    source = await connections.get(ctx, table.settings.connection_id)
    target = await connections.get(ctx, asked.connection_id)
    connections.require_tables(ctx, target)
    above = await parents.above(ctx, source, table.settings, own_id=table.id)
    for each in (*above, table):
        _check_keys(each, source, target)
        await secrets.check(ctx, each.settings, target)
    named = table.settings.model_copy(update={"name": asked.name or table.name})
    new_ids = await ctx.database.run(_write, ctx, target, (named, table), above)
    *copied, made = [await tables.get(ctx, new_id) for new_id in new_ids]
    return Copied(made, tuple(parent.full_name for parent in copied))


def _write(
    tx: Tx, ctx: Context, target: Connection, mine: tuple[TableSettings, Table], above: tuple[Table, ...]
) -> list[str]:
    settings, table = mine
    if rows.name_taken(tx, ctx.workspace_id, target.id, settings.name):
        raise Conflict(f"{target.name}.{settings.name} exists already. Give the copy another name.", at="name")
    child = settings
    missing: list[Table] = []
    for parent in above:
        there = rows.by_name(tx, ctx.workspace_id, target.name, parent.name)
        if there is not None:
            _check_parent(there, parent, child)
            break
        if parent.name == settings.name:
            raise Conflict(f"Its parent is called {parent.name} too. Give the copy another name.", at="name")
        missing.append(parent)
        child = parent.settings
    made = [_insert(tx, ctx, target, parent.settings, parent) for parent in reversed(missing)]
    return [*made, _insert(tx, ctx, target, settings, table)]


def _insert(tx: Tx, ctx: Context, target: Connection, settings: TableSettings, table: Table) -> str:
    settings = settings.model_copy(update={"connection_id": target.id})
    sentence = f"Copied from {table.full_name}. Nothing was asked on {target.name} yet."
    now, table_id = ctx.clock(), new_id("tb")
    values = {
        "id": table_id,
        "connection_id": target.id,
        "name": settings.name,
        "settings": settings.model_dump(mode="json"),
        "columns": None if table.columns is None else [asdict(column) for column in table.columns],
        "evidence": [{"at": "path", "sentence": sentence}],
        "created_at": now,
        "updated_at": now,
    }
    tables.refuse_too_many(tx, ctx, target)
    rows.insert(tx, ctx.workspace_id, values)
    audit.record(tx, ctx, "table.created", table_id, name=f"{target.name}.{settings.name}", copied_from=table.full_name)
    return table_id


def _check_parent(there: Table, parent: Table, child: TableSettings) -> None:
    """A table of the parent's name is its parent there if it reads the same endpoint and has the columns."""
    if (there.settings.method, there.settings.path) != (parent.settings.method, parent.settings.path):
        raise Conflict(
            f"{child.name} is read for each row of {parent.name}, and {there.full_name} reads {there.settings.path}, "
            f"not {parent.settings.path}. Rename one of the two first.",
            at="connection_id",
        )  # fmt: skip
    if child.parent is not None:
        parents.check_columns(child.parent, there)


def _check_keys(table: Table, source: Connection, target: Connection) -> None:
    """A key that somebody wrote into the table is for the host it was written for."""
    base_urls = [origin_of(each.settings.base_url) if each.settings.base_url else None for each in (source, target)]
    if base_urls[0] == base_urls[1]:
        return
    places = {"headers": table.settings.headers, "query": table.settings.query}
    problems = [
        Problem(
            f"{at}.{name}",
            f"{name} of {table.full_name} looks like a key, and {target.name} reads another host. Save it as a secret "
            "and write {{secret:NAME}} there first.",
        )
        for at, values in places.items()
        for name, text in values.items()
        if redaction.is_secret_name(name) and not names_secret(text)
    ]
    if problems:
        raise Invalid(problems=tuple(problems))
