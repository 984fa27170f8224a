"""Schedules: one row each, moved on by a compare-and-set of the moment it is due, so that each is met once."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError

from keyturn.model.schedules import Schedule, ScheduleSettings, UnreadableSettings
from keyturn.model.validation import stored, unreadable
from keyturn.storage.accounts import accounts
from keyturn.storage.connections import connections
from keyturn.storage.database import Tx, db_now, metadata
from keyturn.storage.tables import tables

schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    sa.Column("table_id", sa.Text, sa.ForeignKey("tables.id", ondelete="CASCADE"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("paused", sa.Boolean, nullable=False),
    sa.Column("held", sa.Boolean, nullable=False),
    sa.Column("next_at", sa.Double, index=True),
    sa.Column("last", sa.JSON(none_as_null=True)),
    sa.Column("created_by", sa.Text, sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    sa.UniqueConstraint("workspace_id", "name"),
)
_DUE_MOST = 200


def insert(tx: Tx, workspace_id: str, values: dict[str, Any]) -> None:
    """A new schedule; `values` are the other columns."""
    tx.execute(schedules.insert().values(workspace_id=workspace_id, held=False, **values))


def _selection() -> sa.Select[*tuple[Any, ...]]:
    full_name = connections.c.name + "." + tables.c.name
    return (
        sa.select(schedules, full_name.label("table_name"), accounts.c.name.label("created_by_name"))
        .join(tables, tables.c.id == schedules.c.table_id)
        .join(connections, connections.c.id == tables.c.connection_id)
        .join(accounts, accounts.c.id == schedules.c.created_by)
    )


def get(tx: Tx, workspace_id: str, schedule_id: str) -> Schedule | None:
    """One schedule."""
    found = _selection().where(schedules.c.workspace_id == workspace_id, schedules.c.id == schedule_id)
    row = tx.execute(found).one_or_none()
    return None if row is None else _noun(row)


def by_name(tx: Tx, workspace_id: str, name: str) -> str | None:
    """The id of the schedule of that name."""
    found = sa.select(schedules.c.id).where(schedules.c.workspace_id == workspace_id, schedules.c.name == name)
    return tx.execute(found).scalar_one_or_none()


def all_of(tx: Tx, workspace_id: str) -> list[Schedule]:
    """Every schedule of the workspace, by name."""
    found = _selection().where(schedules.c.workspace_id == workspace_id).order_by(schedules.c.name)
    return [_noun(row) for row in tx.execute(found)]


def update(tx: Tx, workspace_id: str, schedule_id: str, values: dict[str, Any]) -> bool:
    """Change columns; answers whether it is there."""
    mine = sa.and_(schedules.c.workspace_id == workspace_id, schedules.c.id == schedule_id)
    return tx.execute(schedules.update().where(mine).values(**values)).rowcount == 1


def delete(tx: Tx, workspace_id: str, schedule_id: str) -> bool:
    """Delete it; answers whether it was there."""
    mine = sa.and_(schedules.c.workspace_id == workspace_id, schedules.c.id == schedule_id)
    return tx.execute(schedules.delete().where(mine)).rowcount == 1


def now(tx: Tx) -> float:
    """The database's clock, by which schedules are met on every replica alike."""
    return tx.execute(sa.select(db_now())).scalar_one()


def due_anywhere(
    tx: Tx, *, held: bool, after: tuple[float, str] | None = None
) -> tuple[float, list[Schedule], tuple[float, str] | None]:
    """The database's clock, and the schedules that are due by it; those that are held too, if asked for.

    So many at a time: the third is where to go on (`after`), None at the end.
    """
    found = _selection().where(schedules.c.paused.is_(False), schedules.c.next_at <= db_now())
    if not held:
        found = found.where(schedules.c.held.is_(False))
    if after is not None:
        found = found.where(sa.tuple_(schedules.c.next_at, schedules.c.id) > sa.tuple_(*after))
    due = tx.execute(found.order_by(schedules.c.next_at, schedules.c.id).limit(_DUE_MOST)).all()
    further = (due[-1].next_at, due[-1].id) if len(due) == _DUE_MOST else None
    return now(tx), [_noun(row) for row in due], further


def hold(tx: Tx, workspace_id: str, schedule_id: str, *, due_at: float) -> bool:
    """Hold it, if it is still due at `due_at`: another replica may have met that moment since we looked."""
    mine = sa.and_(
        schedules.c.workspace_id == workspace_id,
        schedules.c.id == schedule_id,
        schedules.c.next_at == due_at,
        schedules.c.held.is_(False),
    )
    return tx.execute(schedules.update().where(mine).values(held=True)).rowcount == 1


def past_anywhere(tx: Tx, now: float) -> list[Schedule]:
    """Every schedule whose next moment is before `now`, paused or not."""
    return [_noun(row) for row in tx.execute(_selection().where(schedules.c.next_at <= now))]


def move_on(
    tx: Tx, workspace_id: str, schedule_id: str, *, due_at: float, next_at: float | None, last: dict[str, Any]
) -> bool:
    """Set when it is due next, if it is still due at `due_at`: only one replica is answered True."""
    mine = sa.and_(
        schedules.c.workspace_id == workspace_id,
        schedules.c.id == schedule_id,
        schedules.c.next_at == due_at,
        schedules.c.paused.is_(False),
    )
    return tx.execute(schedules.update().where(mine).values(next_at=next_at, held=False, last=last)).rowcount == 1


def _settings(row: Any) -> ScheduleSettings | UnreadableSettings:
    """One that makes no sense to this release is shown and held like any other, and does not keep the rest."""
    try:
        return stored(ScheduleSettings, row.settings)
    except ValidationError as error:
        return UnreadableSettings(row.table_id, *unreadable(ScheduleSettings, row.settings, error))


def _noun(row: Any) -> Schedule:
    return Schedule(
        id=row.id,
        workspace_id=row.workspace_id,
        name=row.name,
        settings=_settings(row),
        table_name=row.table_name,
        paused=row.paused,
        held=row.held,
        next_at=row.next_at,
        last=row.last,
        created_by=row.created_by,
        created_by_name=row.created_by_name,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
