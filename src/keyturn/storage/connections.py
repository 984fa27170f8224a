"""Connections: settings as one JSON column; who owns it, its OAuth client and its sealed secret as columns."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from keyturn.model.connections import Connection, ConnectionSettings
from keyturn.model.shares import Share
from keyturn.model.validation import stored
from keyturn.storage import shares
from keyturn.storage.accounts import accounts
from keyturn.storage.database import Tx, metadata
from keyturn.storage.oauth_clients import oauth_clients
from keyturn.storage.wakeups import notify

connections = sa.Table(
    "connections",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    # RESTRICT is news on its way up: an OAuth client in use cannot vanish, and its verbs need not know connections.
    sa.Column("oauth_client_id", sa.Text, sa.ForeignKey("oauth_clients.id", ondelete="RESTRICT"), index=True),
    sa.Column("owner_id", sa.Text, sa.ForeignKey("accounts.id"), nullable=False),
    # Whose it is among the people of a program that embeds us, by that program's own id of them.
    sa.Column("end_user", sa.Text),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("secret_sealed", sa.LargeBinary),
    sa.Column("paused", sa.Boolean, nullable=False),
    sa.Column("detail", sa.Text),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    sa.UniqueConstraint("workspace_id", "name"),
    sa.Index("uq_connections_end_user", "workspace_id", "oauth_client_id", "end_user", unique=True),
)


def insert(tx: Tx, workspace_id: str, values: dict[str, Any]) -> None:
    """A new connection; `values` are the other columns."""
    tx.execute(connections.insert().values(workspace_id=workspace_id, paused=False, **values))


def name_taken(tx: Tx, workspace_id: str, name: str, *, except_id: str | None = None) -> bool:
    """Whether another connection of the workspace has that name."""
    found = sa.select(connections.c.id).where(connections.c.workspace_id == workspace_id, connections.c.name == name)
    if except_id is not None:
        found = found.where(connections.c.id != except_id)
    return tx.execute(found).first() is not None


def selection(workspace_id: str) -> sa.Select[Any]:
    """What `noun` reads, of every connection of the workspace."""
    return (
        sa.select(connections, accounts.c.name.label("owner_name"), oauth_clients.c.settings.label("client_settings"))
        .join(accounts, accounts.c.id == connections.c.owner_id)
        .outerjoin(oauth_clients, oauth_clients.c.id == connections.c.oauth_client_id)
        .where(connections.c.workspace_id == workspace_id)
    )


def get(tx: Tx, workspace_id: str, connection_id: str) -> Connection | None:
    """One connection, its health not yet filled in."""
    row = tx.execute(selection(workspace_id).where(connections.c.id == connection_id)).one_or_none()
    return None if row is None else noun(row, shares.of_connection(tx, workspace_id, row.id))


def by_name(tx: Tx, workspace_id: str, name: str) -> Connection | None:
    """The connection of that name."""
    row = tx.execute(selection(workspace_id).where(connections.c.name == name)).one_or_none()
    return None if row is None else noun(row, shares.of_connection(tx, workspace_id, row.id))


def of_end_user(tx: Tx, workspace_id: str, oauth_client_id: str, end_user: str) -> Connection | None:
    """The connection of an end user on an OAuth client: there is one at most."""
    c = connections.c
    found = selection(workspace_id).where(c.oauth_client_id == oauth_client_id, c.end_user == end_user)
    row = tx.execute(found).one_or_none()
    return None if row is None else noun(row, shares.of_connection(tx, workspace_id, row.id))


def all_of(tx: Tx, workspace_id: str, *, oauth_client_id: str | None = None) -> list[Connection]:
    """The workspace's connections by name, or those on one OAuth client."""
    found = selection(workspace_id)
    if oauth_client_id is not None:
        found = found.where(connections.c.oauth_client_id == oauth_client_id)
    shared = shares.by_connection(tx, workspace_id)
    return [noun(row, shared.get(row.id, ())) for row in tx.execute(found.order_by(connections.c.name))]


def sealed_secret(tx: Tx, workspace_id: str, connection_id: str) -> bytes | None:
    """The sealed credential of a connection that was given one by hand."""
    found = sa.select(connections.c.secret_sealed).where(
        connections.c.workspace_id == workspace_id, connections.c.id == connection_id
    )
    return tx.execute(found).scalar_one_or_none()


def update(tx: Tx, workspace_id: str, connection_id: str, values: dict[str, Any]) -> bool:
    """Set columns; answers whether it was there."""
    found = connections.update().where(connections.c.workspace_id == workspace_id, connections.c.id == connection_id)
    return tx.execute(found.values(**values)).rowcount == 1


def pause_anywhere(tx: Tx) -> list[tuple[str, str]]:
    """Pause every connection that is not; answers (workspace, id) of each."""
    found = connections.update().where(connections.c.paused.is_(False)).values(paused=True)
    rows = tx.execute(found.returning(connections.c.workspace_id, connections.c.id))
    return [(row.workspace_id, row.id) for row in rows]


def detach_from_client(tx: Tx, workspace_id: str, oauth_client_id: str) -> None:
    """The OAuth client goes; its connections stay, not connected, with the reason."""
    found = connections.update().where(
        connections.c.workspace_id == workspace_id, connections.c.oauth_client_id == oauth_client_id
    )
    tx.execute(found.values(oauth_client_id=None, detail="client_deleted"))


def delete(tx: Tx, workspace_id: str, connection_id: str) -> bool:
    """Remove it with its grants, tables and authorizations."""
    notify(tx, connection_id)
    found = connections.delete().where(connections.c.workspace_id == workspace_id, connections.c.id == connection_id)
    return tx.execute(found).rowcount == 1


def noun(row: Any, shared: tuple[Share, ...]) -> Connection:
    """A row of `selection` with its shares, its health not yet filled in."""
    settings = dict(row.settings)
    if settings["auth"]["type"] == "oauth2":
        settings["auth"] = {"type": "oauth2", "oauth_client_id": row.oauth_client_id}
    return Connection(
        id=row.id,
        workspace_id=row.workspace_id,
        owner_id=row.owner_id,
        owner_name=row.owner_name,
        settings=stored(ConnectionSettings, settings),
        oauth_client_id=row.oauth_client_id,
        oauth_client_name=row.client_settings["name"] if row.client_settings else None,
        paused=row.paused,
        created_at=row.created_at,
        updated_at=row.updated_at,
        status_detail=row.detail,
        end_user=row.end_user,
        shares=shared,
    )
