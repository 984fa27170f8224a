"""What is found when all is over: the grants as they stand in the database, and tokens where none may be."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

from keyturn.egress import Egress
from keyturn.services import grants
from keyturn.simulation import ground
from keyturn.simulation.issuer import ACCESS_MARK, REFRESH_MARK
from keyturn.simulation.judge import GrantSeen
from keyturn.simulation.plan import Plan
from keyturn.storage import backups
from keyturn.storage import connections as connection_rows
from keyturn.storage import grants as grant_rows
from keyturn.storage.database import Database, Tx


@dataclass(frozen=True, slots=True)
class StoredGrant:
    """A grant's row, opened."""

    number: int
    state: str
    reason: str | None
    generation: int
    refresh_token: str | None = field(repr=False)

    def seen(self, refresh_token_number: int | None) -> GrantSeen:
        """For the judge, who knows tokens by their number."""
        return GrantSeen(self.number, self.state, self.reason, self.generation, refresh_token_number)


@dataclass(frozen=True, slots=True)
class Found:
    """`leaks`: where a token was in the open, without the token."""

    grants: list[StoredGrant]
    leaks: list[str]


def look(plan: Plan, url: str, key: bytes, folder: Path) -> Found:
    """Open the database once more, and read it and the logs whole."""
    database = Database(url)
    try:
        ctx = ground.context(plan, database, Egress(ground.door("judge")), key, owner="judge", data_dir=folder)

        def fetch(tx: Tx) -> tuple[list[StoredGrant], list[str]]:
            numbers = {item.id: int(item.name[1:]) for item in connection_rows.all_of(tx, ground.WORKSPACE)}
            rows = grant_rows.all_of(tx, ground.WORKSPACE)
            stored = [
                StoredGrant(
                    numbers[row.connection_id], row.state, row.reason, row.generation, grants.refresh_token(ctx, row)
                )
                for row in rows
            ]
            dumped = io.BytesIO()
            backups.dump(tx, dumped)
            return stored, leaks_in("a table", dumped.getvalue())

        stored, leaks = database.run_now(fetch)
    finally:
        database.close()
    for log in sorted(folder.rglob("*")):
        leaks += leaks_in(log.name, log.read_bytes()) if log.is_file() else []
    return Found(stored, leaks)


def leaks_in(place: str, text: bytes) -> list[str]:
    """Whether a token of the simulation stands in the open there; it is not repeated."""
    return [f"{place} holds a {mark}…" for mark in (REFRESH_MARK, ACCESS_MARK) if mark.encode() in text]
