"""Uses of API tokens by programs, told to the audit log: counted here and written together every second.

Uses that are alike (token, route, thing, status, address) within that second are one entry with a count, so that
a program that reads all day does not write more than it reads. What a use changed is written by its verb at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from keyturn.errors import Unavailable
from keyturn.model.audit import Who
from keyturn.services import audit

if TYPE_CHECKING:
    from keyturn.storage.database import Database, Tx

log = structlog.get_logger(__name__)

WAITING_MOST = 20_000


@dataclass(frozen=True, slots=True)
class Use:
    """One way of using one API token: in which workspace, on which route, on what, and how it was answered."""

    workspace_id: str
    who: Who
    route: str
    subject_id: str
    status: int


class TokenUses:
    """What waits to be written. One for each process."""

    def __init__(self) -> None:
        self._waiting: dict[Use, tuple[int, float]] = {}
        self._lost = 0

    def note(self, use: Use, at: float) -> None:
        """Count a use; `at` is epoch seconds."""
        times, _ = self._waiting.get(use, (0, at))
        if times == 0 and len(self._waiting) >= WAITING_MOST:
            self._lost += 1
            return
        self._waiting[use] = (times + 1, at)

    async def flush(self, database: Database) -> int:
        """Write what waits, in one transaction; without a database it goes on waiting. Answers how many entries."""
        if not self._waiting and not self._lost:
            return 0
        taken = self._waiting
        self._waiting = type(taken)()
        lost, self._lost = self._lost, 0
        try:
            await database.run(_write, taken, lost)
        except Unavailable:
            self._lost += lost
            for use, (times, at) in taken.items():
                more, later = self._waiting.get(use, (0, at))
                self._waiting[use] = (times + more, later)
            log.warning("token_uses_wait_for_database", entries=len(self._waiting))
            return 0
        return len(taken)


def _write(tx: Tx, taken: dict[Use, tuple[int, float]], lost: int) -> None:
    for use, (times, at) in taken.items():
        result = "ok" if use.status < 400 else "refused" if use.status < 500 else "failed"
        audit.record_as(
            tx,
            use.workspace_id,
            use.who,
            "api_token.used",
            use.who.via or "",
            at=at,
            result=result,
            route=use.route,
            on=use.subject_id or None,
            status=use.status,
            times=times,
        )
    if lost:
        audit.record_as(tx, audit.DEPLOYMENT, Who(), "api_token.uses_lost", result="failed", times=lost)
