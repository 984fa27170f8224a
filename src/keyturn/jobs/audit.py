"""What has to be written and tidied by itself: uses of API tokens every second; what is over, a few times a day."""

from __future__ import annotations

import asyncio
import time

import structlog

from keyturn.errors import Unavailable
from keyturn.services import audit, rejects, sessions
from keyturn.services.context import Context
from keyturn.services.token_uses import TokenUses

log = structlog.get_logger(__name__)

_FLUSH_SECONDS = 1.0
_PRUNE_SECONDS = 6 * 3600.0


class AuditWriter:
    """Writes what was noted until it is stopped, and then once more."""

    def __init__(self, scene: Context, uses: TokenUses) -> None:
        self._scene = scene
        self._uses = uses
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """The loop; ends soon after `stop`."""
        pruned_at: float | None = None
        while not self._stopping.is_set():
            await self._uses.flush(self._scene.database)
            if pruned_at is None or time.monotonic() - pruned_at > _PRUNE_SECONDS:
                pruned_at = time.monotonic()
                await self._prune()
            try:
                await asyncio.wait_for(self._stopping.wait(), _FLUSH_SECONDS)
            except TimeoutError:
                continue
        await self._uses.flush(self._scene.database)

    async def stop(self) -> None:
        """Take no more time than one last write."""
        self._stopping.set()

    async def _prune(self) -> None:
        try:
            await audit.prune(self._scene)
            await sessions.tidy(self._scene)
            await rejects.prune(self._scene)
        except Unavailable:
            log.warning("audit_waits_for_database")
