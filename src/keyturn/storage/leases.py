"""Leases on the database's clock: the right to renew a grant now, and on one replica alone.

One conditional UPDATE takes a lease if it is free or past its end; each taking raises the epoch, and whoever
writes a result must name the epoch it was given (the fence), so that a stopped process cannot write later.
The same transaction writes the attempt down: the database is known to be writable before a token is spent.
"""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa

from keyturn.model.grants import Grant
from keyturn.model.ids import new_id
from keyturn.model.refreshes import Deadlines, Lease, Purpose
from keyturn.storage import grants as grant_rows
from keyturn.storage import refresh_attempts
from keyturn.storage.database import Tx, db_now
from keyturn.storage.grants import grants
from keyturn.storage.token_hosts import token_hosts
from keyturn.storage.wakeups import notify

_LIVING = ("active", "suspended")
# These do not wait for `next_attempt_at`.
_AT_ONCE = frozenset({"asked", "recovery", "probe"})


def take(
    tx: Tx,
    workspace_id: str,
    grant_id: str,
    *,
    generation: int,
    owner: str,
    deadlines: Deadlines,
    token_hash: str,
    purpose: Purpose,
    after: Lease | None = None,
) -> Lease | None:
    """Take the lease to renew that generation and write the attempt down, or None if it is not to be had.

    Not while another holds it, nor if the generation has moved on, nor before `next_attempt_at` if it is only due.
    `after`: the lease we hold, for another attempt at once.
    """
    # Counted from before the transaction, so that it never seems longer to us than to the database.
    taken_at = time.monotonic()
    now = db_now()
    free = sa.or_(grants.c.lease_until.is_(None), grants.c.lease_until < now)
    found = grants.update().where(
        grants.c.workspace_id == workspace_id,
        grants.c.id == grant_id,
        grants.c.generation == generation,
        grants.c.state.in_(_LIVING),
        free if after is None else grants.c.lease_epoch == after.epoch,
    )
    if purpose not in _AT_ONCE and after is None:
        found = found.where(sa.or_(grants.c.next_attempt_at.is_(None), grants.c.next_attempt_at <= now))
    values = {
        "lease_owner": owner,
        "lease_until": now + deadlines.lease_seconds,
        "lease_epoch": grants.c.lease_epoch + 1,
        "attempts": grants.c.attempts + 1,
    }
    epoch = tx.execute(found.values(**values).returning(grants.c.lease_epoch)).scalar_one_or_none()
    if epoch is None:
        return None
    abandoned = tuple(refresh_attempts.abandon(tx, workspace_id, grant_id))
    attempt_id = new_id("ra")
    refresh_attempts.insert(
        tx,
        workspace_id,
        {
            "id": attempt_id,
            "grant_id": grant_id,
            "from_generation": generation,
            "token_hash": token_hash,
            "purpose": purpose,
            "owner": owner,
            "epoch": epoch,
            "deadline": now + deadlines.lease_seconds,
        },
    )
    return Lease(attempt_id, epoch, deadlines, purpose, taken_at, () if after else abandoned)


def finish(tx: Tx, workspace_id: str, grant_id: str, *, epoch: int, generation: int, values: dict[str, object]) -> bool:
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
    connection_id = tx.execute(found.returning(grants.c.connection_id)).scalar_one_or_none()
    if connection_id is None:
        return False
    notify(tx, connection_id)
    return True


def past_anywhere(tx: Tx, limit: int) -> list[Grant]:
    """Grants whose lease ended without a word: first of all work."""
    found = sa.select(grants).where(
        grants.c.lease_owner.is_not(None), grants.c.lease_until < db_now(), grants.c.state.in_(_LIVING)
    )
    return _claimed(tx, found.order_by(grants.c.lease_until), limit)


def due_anywhere(tx: Tx, limit: int) -> list[Grant]:
    """Grants to renew ahead, the longest due first; of a token host that is away only those whose grace may run.

    Nobody else gets them now.
    """
    now = db_now()
    away = sa.exists().where(
        token_hosts.c.workspace_id == grants.c.workspace_id,
        token_hosts.c.origin == grants.c.token_origin,
        token_hosts.c.open_until.is_not(None),
    )
    found = _due(now).where(sa.or_(~away, grant_rows.grace_may_run()))
    return _claimed(tx, found.order_by(grants.c.refresh_after), limit)


def due_of_host(tx: Tx, workspace_id: str, origin: str) -> Grant | None:
    """One grant to try a token host with: due, waiting for that host or not."""
    found = (
        sa.select(grants)
        .where(
            grants.c.workspace_id == workspace_id,
            grants.c.token_origin == origin,
            grants.c.state == "active",
            grants.c.lease_owner.is_(None),
            grants.c.refresh_after <= db_now(),
        )
        .order_by(grants.c.refresh_after)
    )
    return next(iter(_claimed(tx, found, 1)), None)


def _due(now: sa.ColumnElement[float]) -> sa.Select[Any]:
    return sa.select(grants).where(
        grants.c.state == "active",
        grants.c.refresh_after <= now,
        grants.c.lease_owner.is_(None),
        sa.or_(grants.c.next_attempt_at.is_(None), grants.c.next_attempt_at <= now),
    )


def _claimed(tx: Tx, found: sa.Select[Any], limit: int) -> list[Grant]:
    """The first rows that no other replica holds."""
    rows = tx.execute(found.limit(limit).with_for_update(of=grants, skip_locked=True))
    return [grant_rows.noun(row) for row in rows]


def release_own_anywhere(tx: Tx, owner: str) -> int:
    """A process that came back ends the leases it held when it died: nobody else sends with them. Answers how many."""
    found = grants.update().where(grants.c.lease_owner == owner)
    return tx.execute(found.values(lease_until=db_now() - 1.0)).rowcount
