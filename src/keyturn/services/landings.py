"""The landing of an import's pages beside the reading: the destination first, then our row.

1. A page is given to the destination.    2. The destination makes it safe, a database together with the checkpoint.
3. One transaction writes checkpoint, what the destination wants to be kept, and counts, if the lease is still ours.
For files a crash before 3 leaves bytes that no row names: they are not there. A database knows by itself how far it is,
so a crash between 2 and 3 loses nothing either. What is written in 3 never runs ahead of what 2 made safe.
"""

from __future__ import annotations

import asyncio
import errno
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog

from keyturn.destinations.destination import Away, Destination, Doubtful
from keyturn.rest.checkpoints import Checkpoint
from keyturn.services.destination_threads import Turn, Turns, in_thread
from keyturn.services.held_imports import HeldImport
from keyturn.services.one_ahead import looks_ahead
from keyturn.services.reads import Batch, TableRead

log = structlog.get_logger(__name__)
R = TypeVar("R")
# A page typed, the mark that its destination gave for it, and its size in bytes.
Written = tuple[Batch, Any, int]

# Between two landings: pages that come fast land in groups, so that it costs a few percent; as soon as none came for a
# moment, what is there lands. A crash costs a twentieth of a second, or a hundredth of the time the pages before took.
_REST_SECONDS, _REST_SHARE = 0.05, 0.01
_REST_MOST_SECONDS = 1.0
_QUIET_SECONDS = 0.01
# While a landing takes longer no page is taken: what is read meanwhile would be read again after a crash.
_LONG_SECONDS = 0.3
# So long a run waits for its destination with the pages in its hands; then it lets go of them and of its lease.
_PATIENCE_SECONDS, _PAUSE_SECONDS, _PAUSE_MOST_SECONDS = 20.0, 0.2, 2.0
# Full, over quota, or a disk of the network that is not there just now.
_DISK_PASSES = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ENOENT, errno.ESTALE, errno.ETIMEDOUT,
     errno.ENOTCONN}
)  # fmt: skip


def passes(error: OSError) -> bool:
    """Whether time, or whoever tidies up that disk, mends it."""
    return error.errno in _DISK_PASSES


def in_words(error: Away | OSError) -> str:
    """What keeps the destination from taking rows, as a sentence."""
    return error.sentence if isinstance(error, Away) else f"The file could not be written ({error.strerror})."


class Landing:
    """Makes pages safe beside the reading. Begin it with `start`, end it with `settle`."""

    def __init__(self, held: HeldImport, read: TableRead, destination: Destination) -> None:
        self._held, self._read, self._destination = held, read, destination
        self._turns = Turns()
        self._given: deque[Turn[Written]] = deque()
        self._point: tuple[Checkpoint, Any, int] | None = None
        self._came, self._fresh, self._moved, self._closing = (asyncio.Event() for _ in range(4))
        self._tasks: list[asyncio.Task[None]] = []
        self._began_at = time.monotonic()
        self._landed_at = self._came_at = 0.0
        # Whether the last page came so long after the one before it that there is nothing to gather.
        self._slowly = False
        # When the landing that is under way began.
        self._landing_at: float | None = None
        self._hurried = False
        self.pages = 0

    def start(self) -> None:
        """Begin to look out for pages."""
        taking = asyncio.create_task(self._take())
        self._tasks = [taking, asyncio.create_task(self._land_until(taking))]
        taking.add_done_callback(lambda _: self._fresh.set())
        for task in self._tasks:
            task.add_done_callback(lambda _: self._moved.set())

    async def page(self, page: Callable[[], Batch]) -> None:
        """A page to type and write. Returns when another may be given, most likely before this one is written.

        Raises, also for pages before this one, what the destination does, or `Stopped`; `Conflict` when the import
        has become larger than it may, and `UpstreamError` for rows that are none.
        """
        self._given.append(self._turns.add(_written(page, self._destination)))
        self._came.set()
        # One that comes slowly is typed long before the next is there, and after a crash it would be read again.
        most = 1 if looks_ahead() and not self._slowly else 0
        await self._until(lambda: len(self._given) <= most and not (self._destination.crowded or self._takes_long))

    async def drained(self) -> None:
        """Every page that was given is typed and written when this returns. Raises as `page` does."""
        await self._until(lambda: not self._given)

    def hurry(self) -> None:
        """The run ends: what came is landed if it can be at once."""
        self._hurried = True

    async def settle(self) -> None:
        """Everything so far is safe when this returns. Raises as `page` does."""
        self._closing.set()
        self._came.set()
        try:
            # The second waits for the first: what came before a page that failed is kept.
            for failure in await asyncio.gather(*self._tasks, return_exceptions=True):
                if failure is not None:
                    raise failure
        finally:
            await self._turns.close()

    async def _until(self, there: Callable[[], bool]) -> None:
        """Until it is so, or something has failed, which is raised."""
        while not there() and not any(task.done() for task in self._tasks):
            self._moved.clear()
            await self._moved.wait()
        for task in self._tasks:
            if task.done():
                await task

    async def _take(self) -> None:
        """The pages in their order, as they are written."""
        while self._given or not self._closing.is_set():
            if not self._given:
                self._came.clear()
                await self._came.wait()
                continue
            batch, mark, size = await self._patiently(self._given[0].result)
            await self._read.kept(batch)
            await self._held.size.grow(size)
            self._point = batch.checkpoint, mark, self._held.size.bytes
            now = time.monotonic()
            self._slowly, self._came_at = now - self._came_at > _QUIET_SECONDS, now
            self._given.popleft()
            # The next may be long in coming, and this one weighs megabytes.
            del batch, mark
            self._fresh.set()
            self._moved.set()

    @property
    def _takes_long(self) -> bool:
        return self._landing_at is not None and time.monotonic() - self._landing_at > _LONG_SECONDS

    async def _land_until(self, taking: asyncio.Task[None]) -> None:
        """Land what came, for as long as pages are taken; and then the last of them."""
        while not taking.done():
            await self._fresh.wait()
            await self._gathered()
            self._fresh.clear()
            await self._land()
            self._landed_at = time.monotonic()
        await self._land()

    async def _gathered(self) -> None:
        """Until enough time has passed since the last landing, none comes for a moment, or none may come."""
        rest = max(_REST_SECONDS, (self._landed_at - self._began_at) * _REST_SHARE)
        ends_at = self._landed_at + min(rest, _REST_MOST_SECONDS)
        while not (self._closing.is_set() or self._destination.crowded or self._slowly):
            left = ends_at - time.monotonic()
            if left <= 0:
                return
            self._fresh.clear()
            try:
                async with asyncio.timeout(min(left, _QUIET_SECONDS)):
                    await self._fresh.wait()
            except TimeoutError:
                return

    async def _land(self) -> None:
        if self._point is None:
            return
        (checkpoint, mark, size), self._point = self._point, None
        self._landing_at = time.monotonic()
        # In the thread, since it digests the page's text.
        kept = await self._patiently(lambda: in_thread(lambda: self._destination.land(mark, checkpoint.as_dict())))
        await self._held.at_work(
            rows=checkpoint.rows - checkpoint.duplicates,
            pages=checkpoint.pages,
            reported_total=checkpoint.reported_total,
            checkpoint=kept,
            bytes=size,
        )
        self.pages += 1
        self._landing_at = None
        self._moved.set()

    async def _patiently(self, act: Callable[[], Awaitable[R]]) -> R:
        """What `act` answers. While the destination is away its pages are kept in hand, for a while."""
        pause, deadline = _PAUSE_SECONDS, time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return await act()
            except (Away, OSError) as error:
                lost = isinstance(error, Doubtful) or (isinstance(error, OSError) and not passes(error))
                if lost or self._hurried or time.monotonic() + pause > deadline:
                    raise
                if pause > _PAUSE_SECONDS:
                    await self._held.waits_for_destination(pause, in_words(error))
            await asyncio.sleep(pause)
            pause = min(pause * 2, _PAUSE_MOST_SECONDS)


def _written(page: Callable[[], Batch], destination: Destination) -> Callable[[], Written]:
    """A page typed and added in one go: each way into a thread and back costs as much as typing a small page.

    What it gives may be called again if the destination was away; the page is typed once.
    """
    typed: list[Batch] = []

    def write() -> Written:
        if not typed:
            typed.append(page())
        data, schema = typed[0].data, typed[0].schema
        return typed[0], destination.add(data, schema), data.get_total_buffer_size()

    return write
