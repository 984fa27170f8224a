"""The in-process runner of imports: claims rows with a fenced lease and runs a bounded number at a time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from keyturn.errors import Conflict, Unavailable
from keyturn.model.imports import Import
from keyturn.services import import_places, import_runs
from keyturn.services.context import Context

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = structlog.get_logger(__name__)

# Each holds a few pages and a row group in memory; the event loop and the threads serve them in turn.
AT_ONCE = 50
# In one transaction, which nobody else should wait for long.
_CLAIMED_AT_ONCE = 10
_TIDY_SECONDS = 6 * 3600.0
_POLL_SECONDS = 0.5


class ImportRunner:
    """Looks for queued imports and runs them until it is stopped."""

    def __init__(self, scene: Context) -> None:
        self._scene = scene
        self._running: dict[asyncio.Task[None], str] = {}
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """The loop; ends soon after `stop`. An import that is asked for begins at once."""
        with import_runs.queued(self._scene) as woken:
            await self._run(woken)

    async def _run(self, woken: Callable[[float], Awaitable[None]]) -> None:
        tidied_at: float | None = None
        while not self._stopping.is_set():
            if tidied_at is None or time.monotonic() - tidied_at > _TIDY_SECONDS:
                tidied_at = time.monotonic()
                await self._tidy()
            claimed = await self._claimed(AT_ONCE - len(self._running))
            for item, epoch in claimed:
                task = asyncio.create_task(import_runs.run(self._scene, item, epoch))
                self._running[task] = item.id
                task.add_done_callback(self._ended)
            if not claimed:
                await woken(_POLL_SECONDS)

    async def stop(self) -> None:
        """Take no more. What runs is cut off; its row is claimed again when its lease is over."""
        self._stopping.set()
        for task in list(self._running):
            task.cancel()
        if self._running:
            await asyncio.wait(list(self._running), timeout=5)

    async def _claimed(self, room: int) -> list[tuple[Import, int]]:
        """More of them, but none that runs here: after a stall its lease may be over, and it goes on all the same.

        Those that were asked for together begin together: one by one the last would wait for turns of all before it.
        """
        if not room:
            return []
        try:
            most = min(room, _CLAIMED_AT_ONCE)
            return await import_runs.claim(self._scene, running=self._running.values(), most=most)
        except Unavailable:
            log.warning("imports_wait_for_database")
        except Conflict:
            # Another process took one for the same place in this moment.
            log.info("imports_claimed_elsewhere")
        except Exception:
            log.exception("imports_not_claimed")
        return []

    def _ended(self, task: asyncio.Task[None]) -> None:
        import_id = self._running.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its lease will be over, and it is claimed again.
            log.error("import_run_failed", import_id=import_id, exc_info=error)

    async def _tidy(self) -> None:
        try:
            await import_places.tidy(self._scene)
        except (Unavailable, OSError) as error:
            log.warning("imports_not_tidied", reason=str(error))
