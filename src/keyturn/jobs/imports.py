"""The in-process runner of imports: claims rows with a fenced lease and runs a bounded number at a time."""

from __future__ import annotations

import asyncio

import structlog

from keyturn.errors import Unavailable
from keyturn.services import imports
from keyturn.services.context import Context

log = structlog.get_logger(__name__)

AT_ONCE = 4
_POLL_SECONDS = 0.5


class ImportRunner:
    """Looks for queued imports and runs them until it is stopped."""

    def __init__(self, scene: Context) -> None:
        self._scene = scene
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """The loop; ends soon after `stop`."""
        while not self._stopping.is_set():
            claimed = None
            if len(self._running) < AT_ONCE:
                try:
                    claimed = await imports.claim(self._scene)
                except Unavailable:
                    log.warning("imports_wait_for_database")
            if claimed is None:
                await self._pause()
                continue
            task = asyncio.create_task(imports.run(self._scene, *claimed))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def stop(self) -> None:
        """Take no more. What runs is cut off; its row is claimed again when its lease is over."""
        self._stopping.set()
        for task in list(self._running):
            task.cancel()
        if self._running:
            await asyncio.wait(list(self._running), timeout=5)

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), _POLL_SECONDS)
        except TimeoutError:
            return
