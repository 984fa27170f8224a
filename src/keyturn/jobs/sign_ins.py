"""Waiting for people who sign in elsewhere: on another device, which is asked about, or by a link, which ends."""

from __future__ import annotations

import asyncio

import structlog

from keyturn.errors import Unavailable
from keyturn.services import connect_links, device_sign_ins
from keyturn.services.context import Context

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0


class DevicePoller:
    """Polls and ends what is due until it is stopped."""

    def __init__(self, scene: Context) -> None:
        self._scene = scene
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """The loop; ends soon after `stop`."""
        while not self._stopping.is_set():
            try:
                await device_sign_ins.poll_due(self._scene)
                await connect_links.end_due(self._scene)
            except Unavailable:
                log.warning("device_polls_wait_for_database")
            try:
                await asyncio.wait_for(self._stopping.wait(), _LOOK_SECONDS)
            except TimeoutError:
                continue

    async def stop(self) -> None:
        """Ask about nobody any more; what waits goes on at the next start."""
        self._stopping.set()
