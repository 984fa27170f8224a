"""Events: what happened to a thing, newest first. Append-only; no secret is ever in one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from keyturn.storage.accounts import accounts
from keyturn.storage.database import Tx, metadata

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    sa.Column("subject_id", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Column("actor_id", sa.Text),
    sa.Column("at", sa.Double, nullable=False),
    sa.Index("ix_events_subject", "workspace_id", "subject_id", "at"),
)


def insert(tx: Tx, workspace_id: str, values: dict[str, Any]) -> None:
    """A new event; `values` are the other columns."""
    tx.execute(events.insert().values(workspace_id=workspace_id, **values))


def prune_anywhere(tx: Tx, before: float) -> int:
    """Remove events from before that time."""
    return tx.execute(events.delete().where(events.c.at < before)).rowcount


def of_subject(tx: Tx, workspace_id: str, subject_id: str, limit: int) -> list[dict[str, Any]]:
    """The newest events of one thing, with the name of who did it."""
    found = (
        sa.select(events, accounts.c.name.label("actor_name"))
        .outerjoin(accounts, accounts.c.id == events.c.actor_id)
        .where(events.c.workspace_id == workspace_id, events.c.subject_id == subject_id)
        .order_by(events.c.at.desc(), events.c.id.desc())
        .limit(limit)
    )
    return [row._asdict() for row in tx.execute(found)]


def latest_at(tx: Tx, workspace_id: str, subject_id: str, kinds: Sequence[str], actor_id: str | None) -> float | None:
    """When one of these last happened to a thing, by anybody or by `actor_id`; in epoch seconds."""
    found = sa.select(sa.func.max(events.c.at)).where(
        events.c.workspace_id == workspace_id, events.c.subject_id == subject_id, events.c.kind.in_(kinds)
    )
    if actor_id:
        found = found.where(events.c.actor_id == actor_id)
    return tx.execute(found).scalar_one_or_none()
