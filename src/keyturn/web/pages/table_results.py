"""The builder's right pane: a sample from a real call with what was sent and answered, the schema, and its history."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from keyturn.errors import KeyturnError
from keyturn.model.connections import Connection
from keyturn.model.tables import Table, TableSettings
from keyturn.services import estimates, parents, rejects, samples, tables
from keyturn.services.endpoints import Asked
from keyturn.services.tables import Preview
from keyturn.web.auth import Visit
from keyturn.web.pages import table_form, table_usage

_ROWS_SHOWN = 20
# What a page carries of its rows for their menus.
_ROWS_CHARACTERS = 1_000_000
CHANGES = {"added": "New", "removed": "Gone", "type_changed": "Another type", "left_out": "Left out"}


@dataclass(frozen=True, slots=True)
class Result:
    """A sample, or why there is none; the evidence for what was found; endpoints to choose from; what was left out."""

    preview: Preview | None = None
    error: KeyturnError | None = None
    evidence: tuple[dict[str, str], ...] = ()
    drafts: tuple[dict[str, Any], ...] = ()
    left_out: tuple[str, ...] = ()
    found_at: str | None = None
    settings: TableSettings | None = None

    def noting(self, left_out: list[str]) -> Result:
        """With what a pasted source had and the table has not."""
        return replace(self, left_out=tuple(left_out))


@dataclass(frozen=True, slots=True)
class SchemaRow:
    """A column as the Schema tab shows it; `seen` says whether the sample has it with a value."""

    name: str
    type: str
    source_path: str
    nullable: bool
    note: str
    pin: str
    empty_percent: int | None


async def sampled(read: Callable[[], Awaitable[Preview]]) -> Result:
    """The sample, or why there is none."""
    try:
        return Result(preview=await read())
    except KeyturnError as error:
        return Result(error=error)


async def with_parent(visit: Visit, result: Result, connection: Connection | None, table: Table | None) -> Result:
    """With what it means that a table is read for each row of another one, as far as it is known."""
    settings = result.settings or (None if table is None else table.settings)
    if settings is None or connection is None:
        return result
    said = await estimates.of_parent(visit.ctx, connection, settings, table)
    kinds: list[dict[str, str]] = [{}] + [{"kind": "doubt"}] * (len(said) - 1)
    told = [{"at": "parent.table", "sentence": words, **kind} for words, kind in zip(said, kinds, strict=False)]
    return replace(result, evidence=(*result.evidence, *told))


async def history(visit: Visit, table: Table | None) -> dict[str, Any]:
    """What changed of a saved table's columns, what did not fit them, and how its rows are read elsewhere."""
    if table is None:
        return {"changes": [], "rejected": [], "usages": [], "needs": []}
    changes = await tables.schema_history(visit.ctx, table.id)
    needs = [item for item in await parents.asked_for(visit.ctx, table) if item.default is None]
    usages: list[table_usage.Usage] = []
    if not table.settings.is_draft:
        usages = table_usage.usages(table, needs, visit.ctx.deployment.public_url)
    return {
        "changes": changes[:20],
        "rejected": await rejects.of_table(visit.ctx, table.id),
        "usages": usages,
        "needs": [item.name for item in needs],
    }


def drawn(
    result: Result, connection: Connection | None, table: Table | None, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything the pane's template draws."""
    preview, settings = result.preview, result.settings or (None if table is None else table.settings)
    found: dict[str, Any] = {
        "result": result,
        "preview": preview,
        "objects": [],
        "request": {},
        "response": {},
        "lists": [],
        "evidence": by_field(result),
        "schema": schema_rows(preview, table, table_form.pins_of(values)),
        "empty": {},
        "expanded": {},
        "rows_json": "[]",
        "change_words": CHANGES,
    }
    if preview is not None and connection is not None:
        names = [column.name for column in preview.columns]
        rows = [dict(zip(names, row, strict=False)) for row in preview.rows[:_ROWS_SHOWN]]
        found["objects"] = [_pretty(row) for row in rows]
        found |= samples.exchange(connection, preview, table_form.asked(values))
        found["lists"] = samples.lists(preview.response)
        found["rows_json"] = _rows_json(preview, settings, table_form.asked(values))
        found["empty"] = _empty(preview)
        found["expanded"] = _expanded(preview)
    return found


def _rows_json(preview: Preview, settings: TableSettings | None, asked: Asked) -> str:
    """What the script shows of each row: the row, the row as it came and what is nested, as text; null behind a limit.

    Texts, because a script would round large numbers.
    """
    names, left = [column.name for column in preview.columns], _ROWS_CHARACTERS
    raw: list[str] = [] if settings is None else samples.raw_rows(preview, settings, asked)
    found: list[dict[str, Any] | None] = []
    for at, row in enumerate(preview.rows):
        values = dict(zip(names, row, strict=False))
        nested = {name: _pretty(value) for name, value in values.items() if isinstance(value, list | dict)}
        one = {"json": _pretty(values), "raw": raw[at] if raw else None, "nested": nested}
        left -= len(one["json"]) + len(one["raw"] or "") + sum(map(len, nested.values()))
        found.append(one if left > 0 else None)
    return orjson.dumps(found).decode()


def _pretty(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def by_field(result: Result) -> dict[str, list[dict[str, str]]]:
    """The evidence by the setting it speaks of."""
    found: dict[str, list[dict[str, str]]] = {}
    for item in result.evidence:
        found.setdefault(item["at"], []).append(item)
    return found


def schema_rows(preview: Preview | None, table: Table | None, pins: Mapping[str, str]) -> list[SchemaRow]:
    """The sample's columns, then those only other reads met, then pins of columns nobody met yet."""
    empty = {} if preview is None else _empty(preview)
    found: dict[str, SchemaRow] = {}
    for column in preview.columns if preview is not None else ():
        note = column.note or ""
        found[column.name] = SchemaRow(
            column.name, column.type, column.source_path, column.nullable, note,
            pins.get(column.name, ""), empty.get(column.name),
        )  # fmt: skip
    for column in (table.columns or ()) if table is not None else ():
        note = column.note or ("" if preview is None else "not in this sample")
        pin = pins.get(column.name, "")
        known = SchemaRow(column.name, column.type, column.source_path, column.nullable, note, pin, None)
        found.setdefault(column.name, known)
    for name, kind in pins.items():
        found.setdefault(name, SchemaRow(name, kind, "", True, "not seen yet", kind, None))
    return list(found.values())


def _empty(preview: Preview) -> dict[str, int]:
    """How many percent of each column's sampled values are null or empty text."""
    count = len(preview.rows)
    if not count:
        return {}
    missing = [sum(row[at] is None or row[at] == "" for row in preview.rows) for at in range(len(preview.columns))]
    return {column.name: round(100 * missing[at] / count) for at, column in enumerate(preview.columns)}


def _expanded(preview: Preview) -> dict[str, int]:
    """How many rows the sample becomes with one for each item of a list, by the list's column."""
    columns = [(at, c.name) for at, c in enumerate(preview.columns) if c.type.startswith("list<struct")]
    return {name: sum(max(1, len(row[at] or ())) for row in preview.rows) for at, name in columns}
