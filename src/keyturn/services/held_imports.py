"""An import's row while its lease is ours: every write renews the lease, and says whether the run has to stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from keyturn.errors import Unavailable
from keyturn.model.imports import Import
from keyturn.services import events
from keyturn.services.context import Context
from keyturn.services.export_dirs import without_folders
from keyturn.services.import_sizes import ImportSize
from keyturn.storage import imports as rows
from keyturn.storage import tables as table_rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

log = structlog.get_logger(__name__)
R = TypeVar("R")

LEASE_SECONDS = 8.0
_HEARTBEAT_SECONDS = 2.0
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
        self.size = ImportSize(ctx, claimed)
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

    async def waits_for_destination(self, seconds: float, reason: str) -> None:
        """The destination is away, and asked again after a while."""
        reason = without_folders(self.ctx, reason)
        told = {"kind": "destination", "reason": reason, "until": self.ctx.clock() + seconds}
        await self.write(status="waiting", waiting=told)

    async def plan(self, files: list[dict[str, Any]], completeness: dict[str, Any]) -> None:
        """What the end will be, before it is put in place; from here on nobody removes what lies there.

        Raises `Conflict` when it would be larger than it may, and as `write` does.
        """
        if not await patiently(lambda: self.ctx.database.run(self._plan, files, completeness)):
            raise Stopped
        self._written_at = time.monotonic()

    def _plan(self, tx: Tx, files: list[dict[str, Any]], completeness: dict[str, Any]) -> bool:
        self.size.take_place(tx, files)
        values = {"files": files, "completeness": completeness, "status": "running", "waiting": None}
        return rows.progress(tx, self.ctx.workspace_id, self.item.id, self.epoch, seconds=LEASE_SECONDS, values=values)

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
        told = {"kind": kind, "reason": without_folders(self.ctx, reason), "until": self.ctx.clock() + seconds}
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
