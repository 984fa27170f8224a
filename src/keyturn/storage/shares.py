"""Shares of connections: one row for each member it is shared with; it goes with the connection and the membership."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from keyturn.model.shares import Share
from keyturn.storage.accounts import accounts
from keyturn.storage.database import Tx, metadata

connection_shares = sa.Table(
    "connection_shares",
    metadata,
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    sa.Column("connection_id", sa.Text, sa.ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("account_id", sa.Text, primary_key=True),
    sa.Column("rights", sa.Text, nullable=False),
    sa.Column("with_credentials", sa.Boolean, nullable=False),
    sa.Column("shared_by", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    # Who leaves the workspace takes no share along, and finds none when they come back.
    sa.ForeignKeyConstraint(
        ["workspace_id", "account_id"],
        ["members.workspace_id", "members.account_id"],
        name="fk_connection_shares_member",
        ondelete="CASCADE",
    ),
    sa.Index("ix_connection_shares_member", "workspace_id", "account_id"),
)


def of_connection(tx: Tx, workspace_id: str, connection_id: str) -> tuple[Share, ...]:
    """With whom one connection is shared, by name."""
    found = _selection(workspace_id).where(connection_shares.c.connection_id == connection_id)
    return tuple(_noun(row) for row in tx.execute(found))


def of_connections(tx: Tx, workspace_id: str, connection_ids: Sequence[str]) -> dict[str, tuple[Share, ...]]:
    """The same for some connections."""
    found: dict[str, tuple[Share, ...]] = {}
    for row in tx.execute(_selection(workspace_id).where(connection_shares.c.connection_id.in_(connection_ids))):
        found[row.connection_id] = (*found.get(row.connection_id, ()), _noun(row))
    return found


def by_connection(tx: Tx, workspace_id: str) -> dict[str, tuple[Share, ...]]:
    """The same for every connection of the workspace that is shared."""
    found: dict[str, tuple[Share, ...]] = {}
    for row in tx.execute(_selection(workspace_id)):
        found[row.connection_id] = (*found.get(row.connection_id, ()), _noun(row))
    return found


def put(tx: Tx, workspace_id: str, connection_id: str, account_id: str, values: dict[str, Any], now: float) -> bool:
    """Share it with a member, or change what they may do; answers whether it is new."""
    mine = _mine(workspace_id, connection_id, account_id)
    values = {**values, "updated_at": now}
    if tx.execute(connection_shares.update().where(*mine).values(**values)).rowcount:
        return False
    key = {"workspace_id": workspace_id, "connection_id": connection_id, "account_id": account_id}
    tx.execute(connection_shares.insert().values(**key, **values, created_at=now))
    return True


def delete(tx: Tx, workspace_id: str, connection_id: str, account_id: str) -> bool:
    """Take it back; answers whether it was there."""
    return tx.execute(connection_shares.delete().where(*_mine(workspace_id, connection_id, account_id))).rowcount == 1


def _mine(workspace_id: str, connection_id: str, account_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    c = connection_shares.c
    return c.workspace_id == workspace_id, c.connection_id == connection_id, c.account_id == account_id


def _selection(workspace_id: str) -> sa.Select[Any]:
    return (
        sa.select(connection_shares, accounts.c.name.label("account_name"))
        .join(accounts, accounts.c.id == connection_shares.c.account_id)
        .where(connection_shares.c.workspace_id == workspace_id)
        .order_by(accounts.c.name, connection_shares.c.account_id)
    )


def _noun(row: Any) -> Share:
    return Share(
        row.connection_id,
        row.account_id,
        row.account_name,
        row.rights,
        row.with_credentials,
        row.shared_by,
        row.created_at,
        row.updated_at,
    )
