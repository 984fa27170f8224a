"""Paces: until when nobody asks a connection's API, and its next turn, on the database's clock."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from keyturn.storage.database import Tx, db_now, metadata

paces = sa.Table(
    "paces",
    metadata,
    sa.Column("connection_id", sa.Text, sa.ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    sa.Column("open_at", sa.Double, nullable=False),
    sa.Column("turn_at", sa.Double, nullable=False),
)


def closed_seconds(tx: Tx, workspace_id: str, connection_id: str) -> float:
    """For how long the API asked to be left alone, from now."""
    found = sa.select(paces.c.open_at - db_now()).where(*_mine(workspace_id, connection_id))
    return max(0.0, tx.execute(found).scalar_one_or_none() or 0.0)


def hold(tx: Tx, workspace_id: str, connection_id: str, seconds: float) -> None:
    """Nobody asks before that many seconds have passed; a longer wait stays."""
    _be_there(tx, workspace_id, connection_id)
    until: Any = db_now() + seconds
    later = sa.case((paces.c.open_at > until, paces.c.open_at), else_=until)
    tx.execute(paces.update().where(*_mine(workspace_id, connection_id)).values(open_at=later))


def turn_seconds(tx: Tx, workspace_id: str, connection_id: str, per_second: float) -> float:
    """How long until the next turn under a cap. Takes that turn, so that no two readers have the same."""
    _be_there(tx, workspace_id, connection_id)
    now: Any = db_now()
    begins = sa.case((paces.c.turn_at > now, paces.c.turn_at), else_=now)
    taken = (
        paces.update()
        .where(*_mine(workspace_id, connection_id))
        .values(turn_at=begins + 1.0 / per_second)
        .returning(paces.c.turn_at - 1.0 / per_second - now)
    )
    return max(0.0, tx.execute(taken).scalar_one_or_none() or 0.0)


def _be_there(tx: Tx, workspace_id: str, connection_id: str) -> None:
    row = sa.select(sa.literal(connection_id), sa.literal(workspace_id), sa.literal(0.0), sa.literal(0.0)).where(
        ~sa.exists().where(paces.c.connection_id == connection_id)
    )
    names = ["connection_id", "workspace_id", "open_at", "turn_at"]
    tx.execute(paces.insert().from_select(names, row))


def _mine(workspace_id: str, connection_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return paces.c.workspace_id == workspace_id, paces.c.connection_id == connection_id
