"""Notices by themselves: the outbox every second, a look at what time alone brings every minute, old ones pruned."""

from __future__ import annotations

import asyncio
import time

import structlog

from keyturn.errors import Unavailable
from keyturn.services import connect_links, deliveries, events, forecasts, notices
from keyturn.services.context import Context

log = structlog.get_logger(__name__)

_SEND_SECONDS = 1.0
_LOOK_SECONDS = 60.0
_PRUNE_SECONDS = 6 * 3600.0


class Notifier:
    """Sends, looks and prunes until it is stopped; any number of them share the work."""

    def __init__(self, scene: Context) -> None:
        self._scene = scene
        self._stopping = asyncio.Event()
        self._done_at: dict[str, float] = {}

    async def run(self) -> None:
        """The loop; ends soon after `stop`, when what is being sent has been sent."""
        while not self._stopping.is_set():
            more = False
            try:
                more = await deliveries.send_due(self._scene) > 0
                if self._is_time("look", _LOOK_SECONDS):
                    await forecasts.look(self._scene)
                if self._is_time("prune", _PRUNE_SECONDS):
                    await self._prune()
            except Unavailable:
                log.warning("notices_wait_for_database")
            except Exception:
                log.exception("notices_failed")
            if more:
                continue
            try:
                await asyncio.wait_for(self._stopping.wait(), _SEND_SECONDS)
            except TimeoutError:
                continue

    async def stop(self) -> None:
        """Take no more."""
        self._stopping.set()

    async def _prune(self) -> None:
        for noun in (deliveries, events, notices, connect_links):
            await noun.prune(self._scene)

    def _is_time(self, what: str, every_seconds: float) -> bool:
        now = time.monotonic()
        if now - self._done_at.get(what, -every_seconds) < every_seconds:
            return False
        self._done_at[what] = now
        return True
