"""The keeper of grants: looks every two seconds for refreshes to recover, to try again and to make ahead of time."""

from __future__ import annotations

import asyncio
import time

import structlog

from keyturn.errors import Unavailable
from keyturn.services import upkeep
from keyturn.services.context import Context

log = structlog.get_logger(__name__)

# Together with a lease of 12 s, a server that takes a used token again for 15 s still does when a crash is noticed.
LOOK_SECONDS = 2.0
AT_ONCE = 50
_PRUNE_SECONDS = 600.0


class GrantKeeper:
    """Keeps grants alive until it is stopped; a bounded number of refreshes at a time."""

    def __init__(self, scene: Context, *, look_seconds: float = LOOK_SECONDS) -> None:
        self._scene = scene
        self._look_seconds = look_seconds
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """The loop; ends soon after `stop`."""
        pruned_at: float | None = None
        while not self._stopping.is_set():
            try:
                full = await self.look()
                if pruned_at is None or time.monotonic() - pruned_at > _PRUNE_SECONDS:
                    pruned_at = time.monotonic()
                    await upkeep.prune(self._scene)
            except Unavailable:
                full = False
                log.warning("grants_wait_for_database")
            except Exception:
                full = False
                log.exception("grants_not_kept")
            await self._pause(full=full)

    async def look(self) -> bool:
        """Once around; answers whether more is waiting than could be taken."""
        await self._scene.database.look_at_clock()
        # Never behind anything else: the grace of a server is running.
        self._keep(await upkeep.recover(self._scene))
        self._keep(await upkeep.probe(self._scene))
        room = AT_ONCE - len(self._running)
        if room > 0:
            taken, more = await upkeep.renew_ahead(self._scene, min(room, upkeep.BATCH))
            self._keep(taken)
            return more
        return True

    async def stop(self) -> None:
        """Take no more; who ends the process waits for what is in flight."""
        self._stopping.set()

    def _keep(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _pause(self, *, full: bool) -> None:
        """Until it is time to look again: at once when a place is free and more is waiting."""
        if full and len(self._running) < AT_ONCE:
            return
        stopping = asyncio.create_task(self._stopping.wait())
        waiting = {stopping, *(self._running if full else ())}
        try:
            await asyncio.wait(waiting, timeout=self._look_seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
