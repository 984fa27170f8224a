"""Migrations at start, under a lock: of many replicas that start at once, one migrates and the others wait.

Alembic is loaded only where there is something to do: most starts find the schema as it should be.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from keyturn.storage.database import Database, Tx

if TYPE_CHECKING:
    from alembic.config import Config

_LOCK = 7_306_215_044_311
_FOLDER = Path(__file__).parent / "migrations"


def migrate(database: Database, revision: str = "head") -> None:
    """Bring the schema to `revision`, in one transaction. Raises `Unavailable` when the database is away."""
    database.run_now(upgrade, revision)


def upgrade(tx: Tx, revision: str = "head") -> None:
    """The same in an open transaction."""
    # Beyond our last one a newer release has migrated. Migrations only add, so ours runs beside it for a while.
    if revision == "head" and (stored_revision(tx) or "") >= newest_revision():
        return
    from alembic import command

    if tx.dialect.name == "postgresql":
        tx.execute(sa.text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    command.upgrade(config_for(tx), revision)


def config_for(tx: Tx) -> Config:
    """Alembic's configuration on an open transaction."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = tx
    return config


def stored_revision(tx: Tx) -> str | None:
    """The last migration of this database; None before the first."""
    if not sa.inspect(tx).has_table("alembic_version"):
        return None
    return tx.execute(sa.text("select version_num from alembic_version")).scalar_one_or_none()


def newest_revision() -> str:
    """The last migration of this version: the files begin with their revisions, which are one line."""
    return max(path.name.partition("_")[0] for path in (_FOLDER / "versions").glob("[0-9]*_*.py"))
