"""Rejects: values that did not fit their columns, by page, of a read or an import."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from keyturn.storage.database import Tx, metadata

rejects = sa.Table(
    "rejects",
    metadata,
    # A read or an import.
    sa.Column("owner_id", sa.Text, primary_key=True),
    # How many rows came before the page.
    sa.Column("rows_before", sa.BigInteger, primary_key=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    sa.Column("table_id", sa.Text, sa.ForeignKey("tables.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("values", sa.JSON, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False, index=True),
)
Value = dict[str, Any]


def put(
    tx: Tx, workspace_id: str, table_id: str, owner_id: str, rows_before: int, values: Sequence[Value], now: float
) -> None:
    """Those of one page."""
    tx.execute(
        rejects.insert().values(
            owner_id=owner_id, rows_before=rows_before, workspace_id=workspace_id, table_id=table_id,
            values=list(values), created_at=now,
        )
    )  # fmt: skip


def forget_from(tx: Tx, workspace_id: str, owner_id: str, rows_before: int) -> None:
    """Pages that are read again: theirs will come again."""
    mine = rejects.c.workspace_id == workspace_id, rejects.c.owner_id == owner_id
    tx.execute(rejects.delete().where(*mine, rejects.c.rows_before >= rows_before))


def after(tx: Tx, workspace_id: str, owner_id: str, rows_before: int) -> tuple[int, list[Value]] | None:
    """Those of the next page behind `rows_before` (-1 for the first), with its place; None at the end."""
    found = (
        sa.select(rejects.c.rows_before, rejects.c["values"])
        .where(
            rejects.c.workspace_id == workspace_id,
            rejects.c.owner_id == owner_id,
            rejects.c.rows_before > rows_before,
        )
        .order_by(rejects.c.rows_before)
        .limit(1)
    )
    row = tx.execute(found).one_or_none()
    return None if row is None else (row[0], row[1])


def owners_of(tx: Tx, workspace_id: str, table_id: str, limit: int) -> list[tuple[str, float]]:
    """The reads and imports of a table with values that did not fit, newest first, and when the last one came."""
    at = sa.func.max(rejects.c.created_at)
    found = (
        sa.select(rejects.c.owner_id, at)
        .where(rejects.c.workspace_id == workspace_id, rejects.c.table_id == table_id)
        .group_by(rejects.c.owner_id)
        .order_by(at.desc())
        .limit(limit)
    )
    return [(row[0], row[1]) for row in tx.execute(found)]


def prune_anywhere(tx: Tx, before: float) -> int:
    """Remove what is older than `before` (epoch seconds)."""
    return tx.execute(rejects.delete().where(rejects.c.created_at < before)).rowcount
