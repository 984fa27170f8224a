"""Secrets of a workspace by name, sealed, with the hosts they may be sent to."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from keyturn.model.secrets import Secret
from keyturn.storage.database import Tx, metadata

workspace_secrets = sa.Table(
    "workspace_secrets",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("value_sealed", sa.LargeBinary, nullable=False),
    sa.Column("allowed_hosts", sa.JSON, nullable=False),
    sa.Column("saved_at", sa.Double, nullable=False),
    sa.Column("saved_by", sa.Text),
    sa.UniqueConstraint("workspace_id", "name", name="uq_workspace_secrets_name"),
)


def insert(tx: Tx, workspace_id: str, values: dict[str, Any]) -> None:
    """A new secret; `values` are the other columns."""
    tx.execute(workspace_secrets.insert().values(workspace_id=workspace_id, **values))


def update(tx: Tx, workspace_id: str, secret_id: str, values: dict[str, Any]) -> bool:
    """Set columns; answers whether it was there."""
    c = workspace_secrets.c
    found = workspace_secrets.update().where(c.workspace_id == workspace_id, c.id == secret_id)
    return tx.execute(found.values(**values)).rowcount == 1


def delete(tx: Tx, workspace_id: str, secret_id: str) -> bool:
    """Remove it; answers whether it was there."""
    c = workspace_secrets.c
    found = workspace_secrets.delete().where(c.workspace_id == workspace_id, c.id == secret_id)
    return tx.execute(found).rowcount == 1


def all_of(tx: Tx, workspace_id: str) -> list[Secret]:
    """The workspace's secrets by name, without their values."""
    found = sa.select(workspace_secrets).where(workspace_secrets.c.workspace_id == workspace_id)
    return [_noun(row) for row in tx.execute(found.order_by(workspace_secrets.c.name))]


def by_name(tx: Tx, workspace_id: str, name: str) -> Secret | None:
    """One secret without its value."""
    c = workspace_secrets.c
    found = sa.select(workspace_secrets).where(c.workspace_id == workspace_id, c.name == name)
    row = tx.execute(found).one_or_none()
    return None if row is None else _noun(row)


def sealed(tx: Tx, workspace_id: str, names: Collection[str]) -> dict[str, tuple[Secret, bytes]]:
    """The named ones with their sealed values, as far as there are such."""
    c = workspace_secrets.c
    found = sa.select(workspace_secrets).where(c.workspace_id == workspace_id, c.name.in_(names))
    return {row.name: (_noun(row), row.value_sealed) for row in tx.execute(found)}


def _noun(row: Any) -> Secret:
    return Secret(row.id, row.workspace_id, row.name, tuple(row.allowed_hosts), row.saved_at, row.saved_by)
