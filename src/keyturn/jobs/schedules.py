"""The tick: once a second, what is due is queued. Every replica ticks; the rows let each moment count once."""

from __future__ import annotations

import asyncio

import structlog

from keyturn.errors import Conflict, Unavailable
from keyturn.services import schedules
from keyturn.services.context import Context

log = structlog.get_logger(__name__)

_TICK_SECONDS = 1.0
# Those that are held cost a look at their connections, so they are looked at less often.
_HELD_EVERY = 5


class Ticker:
    """Ticks until it is stopped."""

    def __init__(self, scene: Context) -> None:
        self._scene = scene
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """The loop; ends soon after `stop`."""
        ticks = 0
        while not self._stopping.is_set():
            try:
                await schedules.tick(self._scene, held=ticks % _HELD_EVERY == 0)
            except (Unavailable, Conflict) as error:
                log.warning("schedules_wait", reason=error.message)
            except Exception:
                log.exception("schedules_failed")
            ticks += 1
            try:
                await asyncio.wait_for(self._stopping.wait(), _TICK_SECONDS)
            except TimeoutError:
                continue

    async def stop(self) -> None:
        """Tick no more."""
        self._stopping.set()
