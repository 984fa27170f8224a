"""Destinations that a Workspace Admin made: settings as one JSON column, the password sealed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from keyturn.model.destinations import DestinationSettings, SavedDestination
from keyturn.model.validation import stored
from keyturn.storage.database import Tx, metadata

destinations = sa.Table(
    "destinations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("password_sealed", sa.LargeBinary),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
)
sa.Index("uq_destinations_workspace_name", destinations.c.workspace_id, destinations.c.name, unique=True)


def insert(tx: Tx, workspace_id: str, values: dict[str, Any]) -> None:
    """A new one; `values` are the other columns."""
    tx.execute(destinations.insert().values(workspace_id=workspace_id, **values))


def all_of(tx: Tx, workspace_id: str) -> list[SavedDestination]:
    """The workspace's destinations, by name."""
    mine = sa.select(destinations).where(destinations.c.workspace_id == workspace_id)
    return [_noun(row) for row in tx.execute(mine.order_by(destinations.c.name))]


def all_anywhere(tx: Tx) -> list[SavedDestination]:
    """Every workspace's, for tidying up in them."""
    return [_noun(row) for row in tx.execute(sa.select(destinations).order_by(destinations.c.id))]


def get(tx: Tx, workspace_id: str, destination_id: str) -> SavedDestination | None:
    """One destination."""
    row = tx.execute(sa.select(destinations).where(_mine(workspace_id, destination_id))).one_or_none()
    return None if row is None else _noun(row)


def sealed(tx: Tx, workspace_id: str, destination_id: str) -> bytes | None:
    """Its sealed password, if it has one."""
    found = sa.select(destinations.c.password_sealed).where(_mine(workspace_id, destination_id))
    return tx.execute(found).scalar_one_or_none()


def update(tx: Tx, workspace_id: str, destination_id: str, values: dict[str, Any]) -> bool:
    """Set columns; answers whether it was there."""
    return tx.execute(destinations.update().where(_mine(workspace_id, destination_id)).values(**values)).rowcount == 1


def delete(tx: Tx, workspace_id: str, destination_id: str) -> bool:
    """Remove it; answers whether it was there."""
    return tx.execute(destinations.delete().where(_mine(workspace_id, destination_id))).rowcount == 1


def _mine(workspace_id: str, destination_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(destinations.c.workspace_id == workspace_id, destinations.c.id == destination_id)


def _noun(row: Any) -> SavedDestination:
    return SavedDestination(
        row.id,
        row.workspace_id,
        stored(DestinationSettings, row.settings),
        row.password_sealed is not None,
        row.created_at,
        row.updated_at,
    )
