"""Files whose time is over are removed: when files come or limits change, and every few minutes besides."""

from __future__ import annotations

import asyncio

import structlog

from keyturn.errors import Conflict, Unavailable
from keyturn.services import retention
from keyturn.services.context import Context

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 300.0


class FileKeeper:
    """Sweeps until it is stopped; any number of them share the work."""

    def __init__(self, scene: Context) -> None:
        self._scene = scene
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """The loop; ends soon after `stop`."""
        with retention.changed(self._scene) as woken:
            while not self._stopping.is_set():
                try:
                    await retention.sweep(self._scene)
                except (Unavailable, Conflict) as error:
                    log.warning("files_not_removed", reason=error.message)
                except Exception:
                    log.exception("files_not_removed")
                stopping = asyncio.create_task(self._stopping.wait())
                waiting = asyncio.ensure_future(woken(_LOOK_SECONDS))
                await asyncio.wait({stopping, waiting}, return_when=asyncio.FIRST_COMPLETED)
                stopping.cancel()
                waiting.cancel()

    async def stop(self) -> None:
        """Sweep no more."""
        self._stopping.set()
