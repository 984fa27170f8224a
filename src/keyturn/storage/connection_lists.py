"""Lists of connections a page at a time: who may see them, and what is left out."""

from __future__ import annotations

import sqlalchemy as sa

from keyturn.model.connections import Connection
from keyturn.storage import shares
from keyturn.storage.connections import connections, noun, selection
from keyturn.storage.database import Tx
from keyturn.storage.grants import grants


def page(
    tx: Tx,
    workspace_id: str,
    account_id: str | None,
    *,
    after: str | None,
    limit: int,
    paused: bool | None,
    broken_by: float | None,
    **equal: str | None,
) -> list[Connection]:
    """The next connections by name that a member may see (all without one), their health not yet filled in.

    `equal`: columns and what they are, None for whatever. `broken_by`: those alone that may need a reconnect by then.
    """
    found = selection(workspace_id).where(_seen_by(account_id))
    found = found.where(*(connections.c[name] == value for name, value in equal.items() if value is not None))
    if after is not None:
        found = found.where(connections.c.name > after)
    if paused is not None:
        found = found.where(connections.c.paused == paused)
    if broken_by is not None:
        found = found.where(_may_need_reconnect(broken_by))
    rows = tx.execute(found.order_by(connections.c.name).limit(limit)).all()
    shared = shares.of_connections(tx, workspace_id, [row.id for row in rows])
    return [noun(row, shared.get(row.id, ())) for row in rows]


def visible_ids(tx: Tx, workspace_id: str, account_id: str | None) -> set[str]:
    """The ids of the connections that a member may see; of all without one."""
    found = sa.select(connections.c.id).where(connections.c.workspace_id == workspace_id, _seen_by(account_id))
    return set(tx.execute(found).scalars())


def _seen_by(account_id: str | None) -> sa.ColumnElement[bool]:
    """`Connection.visible_to`, for the database."""
    if account_id is None:
        return sa.true()
    c, share = connections.c, shares.connection_shares.c
    shared = sa.exists().where(share.connection_id == c.id, share.account_id == account_id)
    return sa.or_(c.owner_id == account_id, c.settings["access"].as_string() != "only_me", shared)


def _may_need_reconnect(now: float) -> sa.ColumnElement[bool]:
    """Whether somebody's sign-in may have to be renewed: the state worked out of it is what counts."""
    c = grants.c
    ended = sa.and_(c.access_expires_at.is_not(None), c.access_expires_at <= now)
    return sa.exists().where(
        c.connection_id == connections.c.id, sa.or_(c.state.in_(("reconnect_needed", "revoked")), ended)
    )
