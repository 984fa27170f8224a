"""Schema changes of a table: each difference that a read met, with its date, also those that its policy left out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

from keyturn.model.ids import new_id
from keyturn.model.tables import Table, TableColumn, changes_in_words
from keyturn.services import audit, notices
from keyturn.services.context import Context
from keyturn.storage import schema_changes as rows
from keyturn.storage import tables as table_rows
from keyturn.storage.database import Tx

Columns = Sequence[TableColumn]


async def store(
    ctx: Context, table: Table, columns: Columns | None, left_out: Collection[str] = (), *, verb: str | None = None
) -> None:
    """What a read learned of the columns (None: nothing), and the fields that a table which asks left out.

    `verb`: what the audit log calls it, where somebody asked for that and not for rows.
    """
    changes = differences(table.columns, columns) if table.columns is not None and columns is not None else []
    changes += [{"kind": "left_out", "column": name, "before": None, "after": None} for name in sorted(left_out)]
    sentence = "" if columns is None else changes_in_words(table.columns, tuple(columns))
    values = None if columns is None else {"columns": [asdict(column) for column in columns]}

    def write(tx: Tx) -> None:
        if values is not None:
            table_rows.update(tx, ctx.workspace_id, table.id, values)
        if verb is not None:
            audit.record(tx, ctx, verb, table.id, name=table.full_name, changes=len(changes))
        before = rows.all_of(tx, ctx.workspace_id, table.id)[:1] if changes else []
        if changes and (not before or before[0][1] != changes):
            rows.insert(tx, ctx.workspace_id, new_id("sc"), table.id, ctx.clock(), changes)
        # Who looks at the page sees it there.
        if sentence and ctx.actor.kind != "session":
            notices.tell(tx, ctx, "schema_changed", table.id, sentence=sentence)

    await ctx.database.run(write)


async def of_table(ctx: Context, table_id: str) -> list[tuple[float, list[dict[str, Any]]]]:
    """(when it was seen in epoch seconds, the differences), newest first."""
    return await ctx.database.read(rows.all_of, ctx.workspace_id, table_id)


def differences(before: Columns, after: Columns) -> list[dict[str, Any]]:
    """`added`, `removed` and `type_changed`, each with the column and its types before and after."""
    old, new = {column.source_path: column for column in before}, {column.source_path: column for column in after}
    found = []
    for path, column in new.items():
        known = old.get(path)
        if known is None:
            found.append({"kind": "added", "column": column.name, "before": None, "after": column.type})
        elif known.type != column.type:
            found.append({"kind": "type_changed", "column": column.name, "before": known.type, "after": column.type})
    gone = [column for path, column in old.items() if path not in new]
    return found + [{"kind": "removed", "column": item.name, "before": item.type, "after": None} for item in gone]
