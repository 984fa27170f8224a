"""Marks: where the last whole import of a table into a place ended, so that the next one reads only what is new."""

from __future__ import annotations

import sqlalchemy as sa

from keyturn.storage.database import Tx, metadata

marks = sa.Table(
    "marks",
    metadata,
    sa.Column("table_id", sa.Text, sa.ForeignKey("tables.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("place", sa.Text, primary_key=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    sa.Column("high_water", sa.JSON(none_as_null=True)),
    sa.Column("last_run_at", sa.Double),
)


def get(tx: Tx, workspace_id: str, table_id: str, place: str) -> tuple[str | int | None, float | None]:
    """(high water, when that run began in epoch seconds); both None before the first whole run."""
    row = tx.execute(sa.select(marks.c.high_water, marks.c.last_run_at).where(*_mine(workspace_id, table_id, place)))
    found = row.one_or_none()
    return (None, None) if found is None else (found[0], found[1])


def put(
    tx: Tx, workspace_id: str, table_id: str, place: str, high_water: str | int | None, last_run_at: float | None
) -> None:
    """A whole run ended there. A run without rows leaves the mark where it was."""
    values: dict[str, object] = {"last_run_at": last_run_at}
    if high_water is not None:
        values["high_water"] = high_water
    if tx.execute(marks.update().where(*_mine(workspace_id, table_id, place)).values(**values)).rowcount == 0:
        tx.execute(marks.insert().values(workspace_id=workspace_id, table_id=table_id, place=place, **values))


def forget(tx: Tx, workspace_id: str, table_id: str, place: str | None = None) -> None:
    """The table asks something else now, or at `place` is only a part of it: the next runs there read everything."""
    mine = _mine(workspace_id, table_id, place or "")
    tx.execute(marks.delete().where(*(mine[:2] if place is None else mine)))


def _mine(workspace_id: str, table_id: str, place: str) -> tuple[sa.ColumnElement[bool], ...]:
    return marks.c.workspace_id == workspace_id, marks.c.table_id == table_id, marks.c.place == place
