"""Migrations at start, under a lock: of many replicas that start at once, one migrates and the others wait."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from keyturn.storage.database import Database, Tx

_LOCK = 7_306_215_044_311


def migrate(database: Database, revision: str = "head") -> None:
    """Bring the schema to `revision`, in one transaction. Raises `Unavailable` when the database is away."""
    database.run_now(upgrade, revision)


def upgrade(tx: Tx, revision: str = "head") -> None:
    """The same in an open transaction."""
    if tx.dialect.name == "postgresql":
        tx.execute(sa.text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    command.upgrade(config_for(tx), revision)


def config_for(tx: Tx) -> Config:
    """Alembic's configuration on an open transaction."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = tx
    return config
