"""The process among the others: it says that it is here, and reads keys again where they were changed."""

from __future__ import annotations

import asyncio
import time

import structlog

from keyturn.errors import KeyturnError, Unavailable
from keyturn.services import keys
from keyturn.services.context import Context

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0
_BEAT_SECONDS = 5.0
# What was sealed with a key and then stored after the key was taken away was under way no longer than this.
_STRAGGLING_SECONDS = 90.0


class Presence:
    """Looks at the keys every second (where that is cheap) and beats every five, or at once when they changed."""

    def __init__(self, scene: Context, *, look_seconds: float = _LOOK_SECONDS) -> None:
        self._scene = scene
        self._look_seconds = look_seconds
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """The loop; ends soon after `stop`."""
        looked_at = beat_at = straggling_until = 0.0
        while not self._stopping.is_set():
            now = time.monotonic()
            changed = False
            if now - looked_at >= self._look_seconds:
                looked_at = now
                changed = await self._look()
            if changed or now - beat_at >= _BEAT_SECONDS:
                beat_at = now
                straggling_until = now + _STRAGGLING_SECONDS if changed else straggling_until
                await self._beat(stragglers=now < straggling_until)
            try:
                await asyncio.wait_for(self._stopping.wait(), _LOOK_SECONDS)
            except TimeoutError:
                continue
        try:
            await keys.leave(self._scene)
        except Unavailable:
            log.info("left_without_a_word")

    async def stop(self) -> None:
        """Take leave."""
        self._stopping.set()

    async def _look(self) -> bool:
        try:
            changed = await asyncio.to_thread(self._scene.keyring.look_again)
        except KeyturnError as error:
            log.warning("keys_unreadable", reason=error.message)
            return False
        if changed:
            log.info("keys_changed", fingerprints=self._scene.keyring.fingerprints)
        return changed

    async def _beat(self, *, stragglers: bool) -> None:
        try:
            await keys.beat(self._scene, version=self._scene.deployment.version)
            if stragglers:
                await keys.wrap_stragglers(self._scene)
        except Unavailable:
            log.warning("replica_waits_for_database")
