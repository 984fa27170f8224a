"""Schema changes: what a table's columns were and became, with the moment it was seen."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from keyturn.storage.database import Tx, metadata

schema_changes = sa.Table(
    "schema_changes",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    sa.Column("table_id", sa.Text, sa.ForeignKey("tables.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("seen_at", sa.Double, nullable=False),
    sa.Column("changes", sa.JSON, nullable=False),
)
Changes = list[dict[str, Any]]


def insert(tx: Tx, workspace_id: str, change_id: str, table_id: str, seen_at: float, changes: Changes) -> None:
    """One more."""
    values = {"id": change_id, "workspace_id": workspace_id, "table_id": table_id}
    tx.execute(schema_changes.insert().values(**values, seen_at=seen_at, changes=changes))


def all_of(tx: Tx, workspace_id: str, table_id: str) -> list[tuple[float, Changes]]:
    """A table's changes, newest first."""
    found = (
        sa.select(schema_changes.c.seen_at, schema_changes.c.changes)
        .where(schema_changes.c.workspace_id == workspace_id, schema_changes.c.table_id == table_id)
        .order_by(schema_changes.c.seen_at.desc(), schema_changes.c.id.desc())
    )
    return [(row[0], row[1]) for row in tx.execute(found)]
