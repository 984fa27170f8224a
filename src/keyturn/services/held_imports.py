"""An import's row while its lease is ours, and the landing of its pages: the destination first, then our row.

1. A page is given to the destination.    2. The destination makes it safe, a database together with the checkpoint.
3. One transaction writes checkpoint, what the destination wants to be kept, and counts, if the lease is still ours.
For files a crash before 3 leaves bytes that no row names: they are not there. A database knows by itself how far it is,
so a crash between 2 and 3 loses nothing either. What is written in 3 never runs ahead of what 2 made safe.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from keyturn.destinations.destination import Destination
from keyturn.errors import Unavailable
from keyturn.model.imports import Import
from keyturn.rest.checkpoints import Checkpoint
from keyturn.services import events
from keyturn.services.context import Context
from keyturn.services.destination_threads import in_thread
from keyturn.services.reads import Batch
from keyturn.storage import imports as rows
from keyturn.storage import tables as table_rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

log = structlog.get_logger(__name__)
R = TypeVar("R")

LEASE_SECONDS = 8.0
_HEARTBEAT_SECONDS = 2.0
# Between two landings: pages that come slowly land one by one, fast ones in groups, so that it costs a few percent,
# and a crash never costs more than a hundredth of the time that the pages before it took.
_REST_SECONDS, _REST_SHARE = 0.015, 0.01
_REST_MOST_SECONDS = 1.0
_PATIENCE_MOST_SECONDS = 3.0


class Stopped(Exception):
    """The run has to end: cancelled by a person, or its lease belongs to somebody else now."""


async def patiently(act: Callable[[], Awaitable[R]]) -> R:
    """What `act` answers, as soon as the database is there."""
    pause = 0.25
    while True:
        try:
            return await act()
        except Unavailable:
            log.warning("import_waits_for_database")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _PATIENCE_MOST_SECONDS)


def _tell_wait(tx: Tx, ctx: Context, item: Import, seconds: float, reason: str) -> None:
    table = table_rows.get(tx, ctx.workspace_id, item.settings.table_id)
    if table is not None:
        sentence = f"{reason} {table.full_name} waits {max(1, round(seconds))} s, and nothing is lost."
        events.record(tx, ctx, table.settings.connection_id, "slowed_down", sentence=sentence, import_id=item.id)


class HeldImport:
    """The row of a claimed import. Every write renews the lease, and waits while the database is away."""

    def __init__(self, ctx: Context, claimed: Import, epoch: int) -> None:
        self.ctx, self.item, self.epoch = ctx, claimed, epoch
        # The highest value of the column that tells new rows, once the file is made.
        self.high_water: str | int | None = None
        self._written_at = 0.0
        self._waits_until = 0.0

    async def write(self, **values: Any) -> None:
        """Columns of the row. Raises `Stopped` when the run was cancelled or is somebody else's."""
        if not await patiently(lambda: self._progress(values)):
            raise Stopped

    async def waiting(self, seconds: float, reason: str, kind: str) -> None:
        """The API asked us to wait, of which the timeline tells once in a run; or a turn under the own cap is far."""
        if self._waits_until == 0.0 and kind == "rate_limit":
            await patiently(lambda: self.ctx.database.run(_tell_wait, self.ctx, self.item, seconds, reason))
        self._waits_until = self.ctx.clock() + seconds
        told = {"kind": kind, "reason": reason, "until": self._waits_until}
        await self.write(status="waiting", waiting=told)

    async def at_work(self, **values: Any) -> None:
        """The same as `write`; and it is said that the run goes on, unless it waits just now."""
        if self.ctx.clock() >= self._waits_until:
            values |= {"status": "running", "waiting": None}
        await self.write(**values)

    async def keep(self, work: asyncio.Task[Any]) -> None:
        """Hold the lease while nothing lands, and cancel `work` when it has to stop."""
        while True:
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            if time.monotonic() - self._written_at < _HEARTBEAT_SECONDS:
                continue
            try:
                if not await self._progress({}):
                    work.cancel()
                    return
            except Unavailable:
                continue

    async def park(self, seconds: float, attempts: int, kind: str, reason: str) -> bool:
        """Give the row back for a while. Answers False when the run was cancelled, or is somebody else's."""
        told = {"kind": kind, "reason": reason, "until": self.ctx.clock() + seconds}
        return await patiently(
            lambda: self.ctx.database.run(
                rows.park, self.ctx.workspace_id, self.item.id, self.epoch, seconds=seconds, attempts=attempts,
                waiting=told,
            )
        )  # fmt: skip

    async def _progress(self, values: dict[str, Any]) -> bool:
        told = rows.Progress(self.ctx.workspace_id, self.item.id, self.epoch, LEASE_SECONDS, values)
        go_on = await self.ctx.database.run_together(rows.progress_of_many, told)
        self._written_at = time.monotonic()
        return go_on


class Landing:
    """Makes pages safe beside the reading. Begin it with `start`, end it with `settle`."""

    def __init__(self, held: HeldImport, destination: Destination) -> None:
        self._held, self._destination = held, destination
        self._point: tuple[Checkpoint, Any] | None = None
        self._fresh, self._closing, self._landed = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._began_at = time.monotonic()
        self.pages = 0

    def start(self) -> None:
        """Begin to look out for pages."""
        self._task = asyncio.create_task(self._loop())

    async def page(self, batch: Batch) -> None:
        """A page to write. Raises what the destination does, or `Stopped`, also for pages before this one."""
        mark = await in_thread(self._destination.add, batch.data, batch.schema)
        self._point = batch.checkpoint, mark
        self._fresh.set()
        if self._task is not None:
            await self._room(self._task)
            if self._task.done():
                await self._task

    async def _room(self, task: asyncio.Task[None]) -> None:
        """Until the destination may be given more, or landing has failed."""
        while self._destination.crowded and not task.done():
            self._landed.clear()
            landed = asyncio.create_task(self._landed.wait())
            try:
                await asyncio.wait({task, landed}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                landed.cancel()

    async def settle(self) -> None:
        """Everything so far is safe when this returns. Raises as `page` does."""
        self._closing.set()
        self._fresh.set()
        if self._task is not None:
            await self._task

    async def _loop(self) -> None:
        while not self._closing.is_set():
            await self._fresh.wait()
            self._fresh.clear()
            await self._land()
            # Not longer where the disk is slow: landing waits for it beside the reading, and takes more pages at once.
            rest = max(_REST_SECONDS, (time.monotonic() - self._began_at) * _REST_SHARE)
            rest = min(rest, _REST_MOST_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), rest)
        await self._land()

    async def _land(self) -> None:
        if self._point is None:
            return
        (checkpoint, mark), self._point = self._point, None
        kept = await in_thread(self._destination.land, mark, checkpoint.as_dict())
        await self._held.at_work(
            rows=checkpoint.rows - checkpoint.duplicates,
            pages=checkpoint.pages,
            reported_total=checkpoint.reported_total,
            checkpoint=kept,
        )
        self.pages += 1
        self._landed.set()
