"""Connect links: one row each; what opens one is in its authorization, by hash. They go with connection and maker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from keyturn.model.connect_links import ConnectLink
from keyturn.storage.accounts import accounts
from keyturn.storage.connections import connections
from keyturn.storage.database import Tx, metadata

connect_links = sa.Table(
    "connect_links",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    sa.Column(
        "connection_id", sa.Text, sa.ForeignKey("connections.id", ondelete="CASCADE"), nullable=False, index=True
    ),
    sa.Column("oauth_client_id", sa.Text, nullable=False),
    sa.Column("account_id", sa.Text, nullable=False),
    sa.Column("end_user", sa.Text),
    sa.Column("return_url", sa.Text),
    sa.Column("hold", sa.Boolean, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("account", sa.Text),
    sa.Column("error", sa.JSON),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Column("ends_at", sa.Double, nullable=False),
    sa.Column("opened_at", sa.Double),
    sa.Column("ended_at", sa.Double),
    # Nobody goes on asking in the name of a member who left.
    sa.ForeignKeyConstraint(
        ["workspace_id", "account_id"],
        ["members.workspace_id", "members.account_id"],
        name="fk_connect_links_member",
        ondelete="CASCADE",
    ),
    sa.Index("ix_connect_links_newest", "workspace_id", "created_at"),
    sa.Index("ix_connect_links_due", "status", "ends_at"),
)
_OPEN = ("pending", "undecided")


def insert(tx: Tx, workspace_id: str, values: dict[str, Any]) -> None:
    """A new link; `values` are the other columns."""
    tx.execute(connect_links.insert().values(workspace_id=workspace_id, status="pending", **values))


def count_made(tx: Tx, workspace_id: str, since: float, *, account_id: str | None = None) -> int:
    """How many the workspace, or one member of it, has made since then."""
    c = connect_links.c
    found = sa.select(sa.func.count()).where(c.workspace_id == workspace_id, c.created_at > since)
    if account_id is not None:
        found = found.where(c.account_id == account_id)
    return tx.execute(found).scalar_one()


def waiting(tx: Tx, workspace_id: str, connection_id: str, now: float) -> ConnectLink | None:
    """The newest link of a connection that nobody has opened yet and that can still be opened."""
    c = connect_links.c
    found = _selection(workspace_id).where(
        c.connection_id == connection_id, c.status == "pending", c.opened_at.is_(None), c.expires_at > now
    )
    row = tx.execute(found.order_by(c.created_at.desc(), c.id.desc()).limit(1)).one_or_none()
    return None if row is None else _noun(row)


def get(tx: Tx, workspace_id: str, connect_link_id: str) -> ConnectLink | None:
    """One link."""
    row = tx.execute(_selection(workspace_id).where(connect_links.c.id == connect_link_id)).one_or_none()
    return None if row is None else _noun(row)


def newest(
    tx: Tx,
    workspace_id: str,
    *,
    limit: int,
    before: tuple[float, str] | None = None,
    seen_by: str | None = None,
    **equal: str | None,
) -> list[ConnectLink]:
    """Links, the newest first, after `before` = (created_at, id); `equal`: columns that must have that value.

    `seen_by`: of the member who made it or whose connection it is for; everybody's otherwise.
    """
    c = connect_links.c
    found = _selection(workspace_id)
    for name, value in equal.items():
        if value is not None:
            found = found.where(c[name] == value)
    if seen_by is not None:
        found = found.where(sa.or_(c.account_id == seen_by, connections.c.owner_id == seen_by))
    if before is not None:
        found = found.where(sa.tuple_(c.created_at, c.id) < sa.tuple_(*before))
    found = found.order_by(c.created_at.desc(), c.id.desc()).limit(limit)
    return [_noun(row) for row in tx.execute(found)]


def move(tx: Tx, workspace_id: str, connect_link_id: str, before: Sequence[str], values: dict[str, Any]) -> bool:
    """Set columns of a link that is in one of those statuses; answers whether it was: only one ends it."""
    c = connect_links.c
    found = connect_links.update().where(
        c.workspace_id == workspace_id, c.id == connect_link_id, c.status.in_(tuple(before))
    )
    return tx.execute(found.values(**values)).rowcount == 1


def due_anywhere(tx: Tx, now: float, limit: int) -> list[ConnectLink]:
    """Links whose state has ended by itself."""
    c = connect_links.c
    found = _selection().where(c.status.in_(_OPEN), c.ends_at <= now).order_by(c.ends_at).limit(limit)
    return [_noun(row) for row in tx.execute(found)]


def prune_anywhere(tx: Tx, before: float) -> int:
    """Remove links that ended before that time; answers how many."""
    return tx.execute(connect_links.delete().where(connect_links.c.ended_at < before)).rowcount


def _selection(workspace_id: str | None = None) -> sa.Select[Any]:
    found = (
        sa.select(
            connect_links,
            accounts.c.name.label("made_by"),
            connections.c.name.label("connection_name"),
            connections.c.owner_id,
        )
        .join(accounts, accounts.c.id == connect_links.c.account_id)
        .join(connections, connections.c.id == connect_links.c.connection_id)
    )
    return found if workspace_id is None else found.where(connect_links.c.workspace_id == workspace_id)


def _noun(row: Any) -> ConnectLink:
    return ConnectLink(**row._asdict())
