"""Replicas: the processes that serve this database now, what version they are and which keys they hold."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from keyturn.storage.database import Tx, db_now, metadata

replicas = sa.Table(
    "replicas",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("fingerprints", sa.JSON, nullable=False),
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("seen_at", sa.Double, nullable=False),
)
FORGOTTEN_SECONDS = 86400.0


@dataclass(frozen=True, slots=True)
class Replica:
    """One process. `fingerprints`: the keys it holds, the one it seals with first. Times are the database's."""

    owner: str
    version: str
    fingerprints: tuple[str, ...]
    started_at: float
    seen_seconds_ago: float


def beat(tx: Tx, owner: str, version: str, fingerprints: tuple[str, ...]) -> None:
    """Say that this process is here and which keys it holds."""
    values = {"version": version, "fingerprints": list(fingerprints), "seen_at": db_now()}
    found = replicas.update().where(replicas.c.owner == owner).values(**values)
    if tx.execute(found).rowcount == 0:
        tx.execute(replicas.insert().values(owner=owner, started_at=db_now(), **values))
        tx.execute(replicas.delete().where(replicas.c.seen_at < db_now() - FORGOTTEN_SECONDS))


def leave(tx: Tx, owner: str) -> None:
    """The process ends."""
    tx.execute(replicas.delete().where(replicas.c.owner == owner))


def alive(tx: Tx, within_seconds: float) -> list[Replica]:
    """The processes heard of lately."""
    ago = (db_now() - replicas.c.seen_at).label("ago")
    found = sa.select(replicas, ago).where(replicas.c.seen_at >= db_now() - within_seconds)
    return [
        Replica(row.owner, row.version, tuple(row.fingerprints), row.started_at, max(0.0, row.ago))
        for row in tx.execute(found.order_by(replicas.c.started_at))
    ]
