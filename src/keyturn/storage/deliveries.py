"""Deliveries: the outbox. Rows are put in by the transaction they tell of, and claimed under a lease with a fence."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from keyturn.model.deliveries import Delivery
from keyturn.storage.database import Tx, db_now, metadata

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("target_id", sa.Text, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("last_error", sa.Text),
    sa.Column("created_at", sa.Double, nullable=False),
    # On the database's clock, like the lease; NULL when there is no next attempt.
    sa.Column("next_attempt_at", sa.Double),
    sa.Column("finished_at", sa.Double),
    sa.Column("lease_owner", sa.Text),
    sa.Column("lease_until", sa.Double),
    sa.Column("lease_epoch", sa.Integer, nullable=False),
    sa.Index("ix_deliveries_due", "next_attempt_at"),
    sa.Index("ix_deliveries_target", "workspace_id", "target_id", "created_at"),
)


def insert(tx: Tx, workspace_id: str, values: dict[str, Any]) -> None:
    """A message to be sent from now on."""
    fixed: dict[str, Any] = {"state": "waiting", "attempts": 0, "lease_epoch": 0, "next_attempt_at": db_now()}
    tx.execute(deliveries.insert().values(workspace_id=workspace_id, **fixed, **values))


def is_due_anywhere(tx: Tx) -> bool:
    """Whether there is anything to claim; a look that writes nothing."""
    return tx.execute(sa.select(deliveries.c.id).where(*_due()).limit(1)).first() is not None


def claim_anywhere(tx: Tx, *, owner: str, seconds: float, limit: int) -> list[tuple[Delivery, int]]:
    """Take messages that are due, each with the epoch of its lease."""
    due = (
        sa.select(deliveries.c.id)
        .where(*_due())
        .order_by(deliveries.c.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = list(tx.execute(due).scalars())
    if not ids:
        return []
    found = (
        deliveries.update()
        .where(deliveries.c.id.in_(ids))
        .values(
            lease_owner=owner,
            lease_until=db_now() + seconds,
            lease_epoch=deliveries.c.lease_epoch + 1,
            attempts=deliveries.c.attempts + 1,
        )
        .returning(deliveries)
    )
    return [(_noun(row), row.lease_epoch) for row in tx.execute(found)]


def finish(
    tx: Tx,
    workspace_id: str,
    delivery_id: str,
    epoch: int,
    *,
    values: dict[str, Any],
    pause_seconds: float | None = None,
) -> bool:
    """Write how an attempt ended, if the lease is still ours; with `pause_seconds` it is tried again."""
    c = deliveries.c
    found = deliveries.update().where(c.workspace_id == workspace_id, c.id == delivery_id, c.lease_epoch == epoch)
    due = None if pause_seconds is None else db_now() + pause_seconds
    return tx.execute(found.values(lease_owner=None, lease_until=None, next_attempt_at=due, **values)).rowcount == 1


def again(tx: Tx, workspace_id: str, target_id: str, delivery_id: str) -> bool:
    """Send one that was given up once more; answers whether there was such a one."""
    c = deliveries.c
    found = deliveries.update().where(
        c.workspace_id == workspace_id, c.id == delivery_id, c.target_id == target_id, c.state == "given_up"
    )
    fresh = {"state": "waiting", "attempts": 0, "finished_at": None, "next_attempt_at": db_now()}
    return tx.execute(found.values(**fresh)).rowcount == 1


def newest(
    tx: Tx,
    workspace_id: str,
    *,
    channel: str,
    target_id: str | None = None,
    before: tuple[float, str] | None = None,
    limit: int = 100,
) -> list[Delivery]:
    """A channel's messages, or one receiver's, newest first, after `before` = (created_at, id)."""
    c = deliveries.c
    found = sa.select(deliveries).where(c.workspace_id == workspace_id, c.channel == channel)
    if target_id is not None:
        found = found.where(c.target_id == target_id)
    if before is not None:
        found = found.where(sa.tuple_(c.created_at, c.id) < sa.tuple_(*before))
    return [_noun(row) for row in tx.execute(found.order_by(c.created_at.desc(), c.id.desc()).limit(limit))]


def given_up_by_target(tx: Tx, workspace_id: str) -> dict[str, int]:
    """How many messages never arrived, by receiver."""
    c = deliveries.c
    found = (
        sa.select(c.target_id, sa.func.count())
        .where(c.workspace_id == workspace_id, c.state == "given_up")
        .group_by(c.target_id)
    )
    return {row[0]: row[1] for row in tx.execute(found)}


def delete_of_target(tx: Tx, workspace_id: str, target_id: str) -> None:
    """The receiver is gone, and what was for it."""
    c = deliveries.c
    tx.execute(deliveries.delete().where(c.workspace_id == workspace_id, c.target_id == target_id))


def prune_anywhere(tx: Tx, before: float) -> int:
    """Remove what was finished before that time."""
    return tx.execute(deliveries.delete().where(deliveries.c.finished_at < before)).rowcount


def give_up_anywhere(tx: Tx, now: float, why: str) -> int:
    """Whatever waits is sent no more; it can be sent again by hand. Answers how many."""
    ended: dict[str, Any] = {"state": "given_up", "last_error": why, "finished_at": now, "next_attempt_at": None}
    found = deliveries.update().where(deliveries.c.state == "waiting")
    return tx.execute(found.values(lease_owner=None, lease_until=None, **ended)).rowcount


def _due() -> tuple[sa.ColumnElement[bool], ...]:
    c = deliveries.c
    free = sa.or_(c.lease_until.is_(None), c.lease_until < db_now())
    return (c.state == "waiting", c.next_attempt_at <= db_now(), free)


def _noun(row: Any) -> Delivery:
    return Delivery(
        id=row.id,
        workspace_id=row.workspace_id,
        channel=row.channel,
        target_id=row.target_id,
        event=row.event,
        body=row.body,
        state=row.state,
        attempts=row.attempts,
        last_error=row.last_error,
        created_at=row.created_at,
        next_attempt_at=row.next_attempt_at,
        finished_at=row.finished_at,
    )
