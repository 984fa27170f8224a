"""Refresh attempts: each token request is written down before it is sent, so that a crash leaves evidence."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from keyturn.model.refreshes import Attempt, Stage
from keyturn.storage.database import Tx, db_now, metadata
from keyturn.storage.grants import grants

refresh_attempts = sa.Table(
    "refresh_attempts",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    sa.Column("grant_id", sa.Text, sa.ForeignKey("grants.id", ondelete="CASCADE"), nullable=False),
    sa.Column("from_generation", sa.Integer, nullable=False),
    # Keyed, so that it says only whether two attempts used the same refresh token.
    sa.Column("token_hash", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("deadline", sa.Double, nullable=False),
    sa.Column("outcome", sa.Text),
    sa.Column("code", sa.Text),
    sa.Column("ended_at", sa.Double),
    sa.Index("ix_refresh_attempts_grant", "grant_id", "from_generation"),
    sa.Index("ix_refresh_attempts_ended", "ended_at"),
)


def insert(tx: Tx, workspace_id: str, values: dict[str, Any]) -> None:
    """An attempt that is about to be sent."""
    tx.execute(refresh_attempts.insert().values(workspace_id=workspace_id, stage="sent", **values))


def abandon(tx: Tx, workspace_id: str, grant_id: str) -> list[str]:
    """Attempts of the grant that never heard an answer: what came of them is unknown. Answers their ids."""
    found = refresh_attempts.update().where(
        refresh_attempts.c.workspace_id == workspace_id,
        refresh_attempts.c.grant_id == grant_id,
        refresh_attempts.c.stage == "sent",
    )
    ended = found.values(stage="unknown", outcome="unknown_outcome", ended_at=db_now())
    return list(tx.execute(ended.returning(refresh_attempts.c.id)).scalars())


def stage_of(tx: Tx, workspace_id: str, attempt_id: str) -> Stage | None:
    """How far it came; None if the grant is gone and the attempt with it."""
    found = sa.select(refresh_attempts.c.stage).where(
        refresh_attempts.c.workspace_id == workspace_id, refresh_attempts.c.id == attempt_id
    )
    return tx.execute(found).scalar_one_or_none()


def finish(tx: Tx, workspace_id: str, attempt_id: str, stage: Stage, *, outcome: str, code: str | None = None) -> None:
    """Write down how it ended."""
    found = refresh_attempts.update().where(
        refresh_attempts.c.workspace_id == workspace_id, refresh_attempts.c.id == attempt_id
    )
    tx.execute(found.values(stage=stage, outcome=outcome, code=code, ended_at=db_now()))


def of_generation(tx: Tx, workspace_id: str, grant_id: str, generation: int) -> list[Attempt]:
    """Every attempt to renew that generation, the oldest first."""
    found = sa.select(refresh_attempts).where(
        refresh_attempts.c.workspace_id == workspace_id,
        refresh_attempts.c.grant_id == grant_id,
        refresh_attempts.c.from_generation == generation,
    )
    return [_noun(row) for row in tx.execute(found.order_by(refresh_attempts.c.epoch))]


def prune_anywhere(tx: Tx, before: float) -> int:
    """Remove what ended before that time, but not while it may still explain the present generation."""
    current = sa.select(grants.c.generation).where(grants.c.id == refresh_attempts.c.grant_id).scalar_subquery()
    found = refresh_attempts.delete().where(
        refresh_attempts.c.ended_at < before,
        sa.or_(refresh_attempts.c.from_generation < current, refresh_attempts.c.stage == "failed"),
    )
    return tx.execute(found).rowcount


def _noun(row: Any) -> Attempt:
    return Attempt(
        id=row.id,
        workspace_id=row.workspace_id,
        grant_id=row.grant_id,
        from_generation=row.from_generation,
        token_hash=row.token_hash,
        purpose=row.purpose,
        stage=row.stage,
        owner=row.owner,
        epoch=row.epoch,
        deadline=row.deadline,
        outcome=row.outcome,
        code=row.code,
    )
