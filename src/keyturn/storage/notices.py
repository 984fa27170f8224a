"""Notices: episodes of trouble, one row each. While one is open, its key is unique, so that it is told once."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from keyturn.model.notices import Notice
from keyturn.storage.database import Tx, metadata

notices = sa.Table(
    "notices",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject_id", sa.Text, nullable=False),
    # '' is everybody's; else the member whose own sign-in it is about.
    sa.Column("account_id", sa.Text, nullable=False, server_default=""),
    # How far a trouble that grows has grown: each stage is told once.
    sa.Column("stage", sa.Text, nullable=False, server_default=""),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Column("opened_at", sa.Double, nullable=False),
    sa.Column("closed_at", sa.Double),
    # Set while the episode is open, NULL afterwards: NULLs do not collide.
    sa.Column("open_key", sa.Text, unique=True),
    sa.Index("ix_notices_subject", "workspace_id", "subject_id", "opened_at"),
)


def open_(tx: Tx, workspace_id: str, values: dict[str, Any]) -> bool:
    """Begin an episode; False if one of its kind is open for that thing already, on whichever replica."""
    found = (workspace_id, values["kind"], values["subject_id"], values["account_id"])
    if is_open(tx, *found):
        return False
    try:
        with tx.begin_nested():
            tx.execute(notices.insert().values(workspace_id=workspace_id, open_key=_key(*found), **values))
    except sa.exc.IntegrityError:
        return False
    return True


def is_open(tx: Tx, workspace_id: str, kind: str, subject_id: str, account_id: str) -> bool:
    """Whether an episode of that kind is open for that thing."""
    key = _key(workspace_id, kind, subject_id, account_id)
    return tx.execute(sa.select(notices.c.id).where(notices.c.open_key == key)).first() is not None


def advance(
    tx: Tx, workspace_id: str, kind: str, subject_id: str, account_id: str, stage: str, data: dict[str, Any]
) -> str | None:
    """Move the open episode on to another stage; answers its id, or None if it is there already."""
    found = notices.update().where(
        notices.c.open_key == _key(workspace_id, kind, subject_id, account_id), notices.c.stage != stage
    )
    return tx.execute(found.values(stage=stage, data=data).returning(notices.c.id)).scalar_one_or_none()


def close(tx: Tx, workspace_id: str, kind: str, subject_id: str, account_id: str, closed_at: float) -> Notice | None:
    """End the open episode; answers it to whoever ended it, None to everybody else."""
    found = notices.update().where(notices.c.open_key == _key(workspace_id, kind, subject_id, account_id))
    row = tx.execute(found.values(closed_at=closed_at, open_key=None).returning(notices)).one_or_none()
    return None if row is None else _noun(row)


def insert_closed(tx: Tx, workspace_id: str, values: dict[str, Any]) -> None:
    """An episode without a length: something that happened."""
    tx.execute(notices.insert().values(workspace_id=workspace_id, closed_at=values["opened_at"], **values))


def newest(tx: Tx, workspace_id: str, *, open_only: bool, before: tuple[float, str] | None, limit: int) -> list[Notice]:
    """Episodes, the one that began last first, after `before` = (opened_at, id)."""
    found = sa.select(notices).where(notices.c.workspace_id == workspace_id)
    if open_only:
        found = found.where(notices.c.open_key.is_not(None))
    if before is not None:
        found = found.where(sa.tuple_(notices.c.opened_at, notices.c.id) < sa.tuple_(*before))
    found = found.order_by(notices.c.opened_at.desc(), notices.c.id.desc()).limit(limit)
    return [_noun(row) for row in tx.execute(found)]


def open_anywhere(tx: Tx) -> list[Notice]:
    """Every open episode of the deployment."""
    return [_noun(row) for row in tx.execute(sa.select(notices).where(notices.c.open_key.is_not(None)))]


def prune_anywhere(tx: Tx, before: float) -> int:
    """Remove episodes that ended before that time."""
    return tx.execute(notices.delete().where(notices.c.closed_at < before)).rowcount


def _key(workspace_id: str, kind: str, subject_id: str, account_id: str) -> str:
    return f"{workspace_id}|{kind}|{subject_id}|{account_id}"


def _noun(row: Any) -> Notice:
    return Notice(
        row.id, row.workspace_id, row.kind, row.subject_id, row.account_id or None, row.stage, row.data,
        row.opened_at, row.closed_at,
    )  # fmt: skip
