"""Events: what happened to a thing, newest first. Append-only; no secret is ever in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def page(
    tx: Tx,
    workspace_id: str,
    subjects: Mapping[str, Sequence[str]],
    *,
    since: float,
    kinds: Sequence[str] = (),
    before: tuple[float, str] | None = None,
    limit: int,
) -> list[dict[str, Any]]:
    """Events of several things, newest first, after `before` = (at, id).

    `subjects`: which kinds of each thing; none named are all of them. `kinds` narrows them further.
    """
    found = (
        sa.select(events, accounts.c.name.label("actor_name"))
        .outerjoin(accounts, accounts.c.id == events.c.actor_id)
        .where(events.c.workspace_id == workspace_id, _among(subjects), events.c.at >= since)
    )
    if kinds:
        found = found.where(events.c.kind.in_(kinds))
    if before is not None:
        found = found.where(sa.tuple_(events.c.at, events.c.id) < sa.tuple_(*before))
    return [row._asdict() for row in tx.execute(found.order_by(events.c.at.desc(), events.c.id.desc()).limit(limit))]


def turns(
    tx: Tx, workspace_id: str, subjects: Mapping[str, Sequence[str]], *, since: float, kinds: Sequence[str]
) -> list[dict[str, Any]]:
    """Events of these kinds in order, of several alike in a row the first alone: where a thing's state turned."""
    c = events.c
    before = sa.func.lag(c.kind).over(order_by=(c.at, c.id)).label("before")
    every = (
        sa.select(c.id, c.kind, c.at, c.data, before)
        .where(c.workspace_id == workspace_id, _among(subjects), c.at >= since, c.kind.in_(kinds))
        .subquery()
    )
    e = every.c
    found = sa.select(e.id, e.kind, e.at, e.data).where(sa.or_(e.before.is_(None), e.before != e.kind))
    return [row._asdict() for row in tx.execute(found.order_by(e.at, e.id))]


def latest_at(tx: Tx, workspace_id: str, subject_id: str, kinds: Sequence[str], actor_id: str | None) -> float | None:
    """When one of these last happened to a thing, by anybody or by `actor_id`; in epoch seconds."""
    found = sa.select(sa.func.max(events.c.at)).where(
        events.c.workspace_id == workspace_id, events.c.subject_id == subject_id, events.c.kind.in_(kinds)
    )
    if actor_id:
        found = found.where(events.c.actor_id == actor_id)
    return tx.execute(found).scalar_one_or_none()


def _among(subjects: Mapping[str, Sequence[str]]) -> sa.ColumnElement[bool]:
    c = events.c
    return sa.or_(
        *(sa.and_(c.subject_id == name, c.kind.in_(kinds)) if kinds else c.subject_id == name
          for name, kinds in subjects.items())
    )  # fmt: skip
