"""Leases on the database's clock: the right to renew a grant, or to run an import, now and on one replica alone.

One conditional UPDATE takes a lease if it is free or past its end; each taking raises the epoch, and whoever
writes a result must name the epoch it was given (the fence), so that a stopped process cannot write later.
"""

from __future__ import annotations

import sqlalchemy as sa

from keyturn.model.grants import Grant
from keyturn.storage import grants as grant_rows
from keyturn.storage.database import Tx, db_now
from keyturn.storage.grants import grants


def take_for_refresh(
    tx: Tx, workspace_id: str, grant_id: str, *, generation: int, owner: str, seconds: float, force: bool = False
) -> int | None:
    """Take the lease to renew that generation; answers its epoch, or None if it is not to be had.

    Not while another holds it, nor if the generation has moved on, nor before `next_attempt_at` unless `force`.
    """
    now = db_now()
    found = (
        grants.update()
        .where(
            grants.c.workspace_id == workspace_id,
            grants.c.id == grant_id,
            grants.c.generation == generation,
            grants.c.state.in_(("active", "suspended")),
            sa.or_(grants.c.lease_until.is_(None), grants.c.lease_until < now),
        )
        .values(
            lease_owner=owner,
            lease_until=now + seconds,
            lease_epoch=grants.c.lease_epoch + 1,
            attempts=grants.c.attempts + 1,
        )
        .returning(grants.c.lease_epoch)
    )
    if not force:
        found = found.where(sa.or_(grants.c.next_attempt_at.is_(None), grants.c.next_attempt_at <= now))
    return tx.execute(found).scalar_one_or_none()


def seconds_left(tx: Tx, workspace_id: str, grant_id: str, epoch: int) -> float:
    """How long the lease of that epoch still lasts by the database's clock; 0 if it is not held any more."""
    found = sa.select(grants.c.lease_until - db_now()).where(
        grants.c.workspace_id == workspace_id, grants.c.id == grant_id, grants.c.lease_epoch == epoch
    )
    return max(0.0, tx.execute(found).scalar_one_or_none() or 0.0)


def finish_refresh(
    tx: Tx, workspace_id: str, grant_id: str, *, epoch: int, generation: int, values: dict[str, object]
) -> bool:
    """Write a refresh's result and give the lease back, if epoch and generation are still ours (compare-and-set)."""
    found = (
        grants.update()
        .where(
            grants.c.workspace_id == workspace_id,
            grants.c.id == grant_id,
            grants.c.lease_epoch == epoch,
            grants.c.generation == generation,
        )
        .values(lease_owner=None, lease_until=None, **values)
    )
    return tx.execute(found).rowcount == 1


def current(tx: Tx, workspace_id: str, grant_id: str) -> tuple[Grant | None, float]:
    """The grant as it is now, and the database's clock in epoch seconds."""
    return grant_rows.get(tx, workspace_id, grant_id), tx.execute(sa.select(db_now())).scalar_one()
