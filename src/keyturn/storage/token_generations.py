"""Token generations that are not the present one: the one before it, and orphans, answers that came too late.

An answer is an orphan when its lease had passed on: it is never written over what stands, and never thrown away
before it is known that what stands works.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from keyturn.storage.database import Tx, metadata
from keyturn.storage.grants import grants

token_generations = sa.Table(
    "token_generations",
    metadata,
    # A replaced generation has an id of its own, an orphan that of the attempt it answers.
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    sa.Column("grant_id", sa.Text, sa.ForeignKey("grants.id", ondelete="CASCADE"), nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    # Sealed for the grant's row and this generation, as the grant's own columns are.
    sa.Column("access_sealed", sa.LargeBinary, nullable=False),
    sa.Column("refresh_sealed", sa.LargeBinary),
    sa.Column("token_type", sa.Text, nullable=False),
    sa.Column("access_expires_at", sa.Double),
    sa.Column("refresh_expires_at", sa.Double),
    sa.Column("at", sa.Double, nullable=False),
    sa.Index("ix_token_generations_grant", "grant_id", "state"),
)
_CARRIED = ("access_sealed", "refresh_sealed", "token_type", "access_expires_at", "refresh_expires_at")


@dataclass(frozen=True, slots=True)
class Orphan:
    """A token set without a place. Times are epoch seconds."""

    id: str
    generation: int
    access_sealed: bytes = field(repr=False)
    refresh_sealed: bytes | None = field(repr=False)
    token_type: str
    access_expires_at: float | None
    refresh_expires_at: float | None
    at: float


def keep_replaced(tx: Tx, workspace_id: str, grant_id: str, generation_id: str, at: float) -> None:
    """Copy the grant's present generation before the next one takes its place; older ones go."""
    here = token_generations.c
    tx.execute(
        token_generations.delete().where(
            here.workspace_id == workspace_id, here.grant_id == grant_id, here.state == "replaced"
        )
    )
    columns = ["id", "workspace_id", "grant_id", "generation", "state", "at", *_CARRIED]
    copied = sa.select(
        sa.literal(generation_id),
        grants.c.workspace_id,
        grants.c.id,
        grants.c.generation,
        sa.literal("replaced"),
        sa.literal(at, sa.Double),
        *(grants.c[name] for name in _CARRIED),
    ).where(grants.c.workspace_id == workspace_id, grants.c.id == grant_id)
    tx.execute(token_generations.insert().from_select(columns, copied))


def keep_orphan(tx: Tx, workspace_id: str, grant_id: str, attempt_id: str, values: dict[str, Any], at: float) -> None:
    """An answer whose lease had passed on."""
    row = {name: values[name] for name in _CARRIED}
    tx.execute(
        token_generations.insert().values(
            id=attempt_id,
            workspace_id=workspace_id,
            grant_id=grant_id,
            generation=values["generation"],
            state="orphan",
            at=at,
            **row,
        )
    )


def newest_orphan(tx: Tx, workspace_id: str, grant_id: str) -> Orphan | None:
    """The orphan that came last."""
    here = token_generations.c
    found = sa.select(token_generations).where(
        here.workspace_id == workspace_id, here.grant_id == grant_id, here.state == "orphan"
    )
    row = tx.execute(found.order_by(here.at.desc()).limit(1)).one_or_none()
    return None if row is None else Orphan(**{name: getattr(row, name) for name in Orphan.__dataclass_fields__})


def delete(tx: Tx, workspace_id: str, generation_id: str) -> bool:
    """Destroy one; answers whether it was there, so that only one takes an orphan's place."""
    here = token_generations.c
    found = token_generations.delete().where(here.workspace_id == workspace_id, here.id == generation_id)
    return tx.execute(found).rowcount == 1


def prune_anywhere(tx: Tx, before: float) -> int:
    """Remove what is older than `before`: an orphan only where the present generation has worked since."""
    here = token_generations.c
    works = sa.exists().where(grants.c.id == here.grant_id, grants.c.state == "active", grants.c.last_ok_at > here.at)
    gone = sa.or_(here.state == "replaced", works)
    return tx.execute(token_generations.delete().where(here.at < before, gone)).rowcount
