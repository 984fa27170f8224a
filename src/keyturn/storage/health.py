"""How the database is: its clock, its migrations, and on SQLite the rules that keep what was written."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from keyturn.storage.database import Tx, db_now
from keyturn.storage.migrate import newest_revision, stored_revision


@dataclass(frozen=True, slots=True)
class DatabaseHealth:
    """`now` is its clock in epoch seconds; `rules` are SQLite's settings that are not as they should be."""

    kind: str
    version: str
    now: float
    revision: str | None
    newest: str
    broken_rules: tuple[str, ...]


# What each connection of ours sets, and what it must then answer.
_RULES = {"journal_mode": "wal", "foreign_keys": "1", "synchronous": "2"}


def look(tx: Tx) -> DatabaseHealth:
    """Ask it."""
    is_sqlite = tx.dialect.name == "sqlite"
    version = tx.execute(sa.text("select sqlite_version()" if is_sqlite else "show server_version")).scalar_one()
    rules = _RULES if is_sqlite else dict[str, str]()
    found = {name: str(tx.execute(sa.text(f"pragma {name}")).scalar_one()) for name in rules}
    return DatabaseHealth(
        kind="SQLite" if is_sqlite else "PostgreSQL",
        version=str(version).partition(" ")[0],
        now=tx.execute(sa.select(db_now())).scalar_one(),
        revision=stored_revision(tx),
        newest=newest_revision(),
        broken_rules=tuple(f"{name} is {value}" for name, value in found.items() if value.lower() != rules[name]),
    )
