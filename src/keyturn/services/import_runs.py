"""A claimed import, run to its end or to where it has to wait. Whatever happens is in its row.

The end is: make everything ready, write down in the row what it will be, put it in place in one step, write the end.
Whoever takes over after a crash first fences off the former run, then looks whether its rows are in place.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import structlog

from keyturn.columns.keys import REMEMBERED_ROWS
from keyturn.destinations.destination import Away, Begun, Destination, Fenced, Left
from keyturn.errors import (
    ClientRefused,
    Conflict,
    Invalid,
    KeyturnError,
    LimitReached,
    ReconnectNeeded,
    Unavailable,
    UpstreamError,
    UpstreamTimeout,
)
from keyturn.model.imports import Import
from keyturn.rest.checkpoints import Checkpoint
from keyturn.services import audit, export_dirs, import_places, import_sizes, members, notices, reads, retention
from keyturn.services.context import Context
from keyturn.services.destination_threads import in_thread
from keyturn.services.endpoints import Asked
from keyturn.services.held_imports import LEASE_SECONDS, HeldImport, Stopped, patiently
from keyturn.services.landings import Landing, in_words, passes
from keyturn.services.reads import TableRead
from keyturn.storage import imports as rows
from keyturn.storage import marks as mark_rows

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from keyturn.storage.database import Tx
    from keyturn.storage.wakeups import Woken

log = structlog.get_logger(__name__)
Values = dict[str, Any]

# Seconds before each further attempt when no page came in between; a page begins the row anew.
PAUSES_SECONDS = (2.0, 10.0, 30.0, 120.0, 300.0, 900.0)
# A new token that is rejected at the first page may be one that was taken back at once, or that not every server of the
# API knows yet; most likely it is a matter of permission, which its owner should hear soon.
_ATTEMPTS_AT_NEW_TOKEN = 2
# A disk or a database that is away is waited for about a day: its operator has to mend it.
_ATTEMPTS_AT_DISK = 100
_PASSING = frozenset({"E-UPSTREAM", "E-DNS", "E-RATE", "E-TIMEOUT", None})


def queued(scene: Context) -> AbstractContextManager[Woken]:
    """Hear of imports that are asked for, here and on other replicas."""
    return scene.database.wakeups.watching(rows.QUEUED)


async def claim(scene: Context, *, running: Iterable[str] = (), most: int = 1) -> list[tuple[Import, int]]:
    """Take up to `most` imports that are due, of any workspace, and none that is `running` here.

    Where there may be other replicas one is taken at a time, so that they get theirs.
    """
    most = most if scene.database.is_sqlite else min(most, 1)
    owner = scene.deployment.owner
    return await scene.database.run(
        rows.claim_many_anywhere, owner=owner, seconds=LEASE_SECONDS, most=most, but=[*running]
    )


async def run(scene: Context, claimed: Import, epoch: int) -> None:
    """Run a claimed import to its end, or until it has to wait for something outside."""
    ctx = await patiently(
        lambda: members.acting_as(scene, claimed.workspace_id, claimed.created_by, claimed.created_by_name)
    )
    held = HeldImport(ctx, claimed, epoch)
    work = asyncio.create_task(_Run(held).outcome())
    heart = asyncio.create_task(held.keep(work))
    try:
        await asyncio.wait([work])
    except asyncio.CancelledError:
        # This process ends: another one, or the next start, may go on at once.
        work.cancel()
        await asyncio.wait([work])
        await ctx.database.run(rows.release, ctx.workspace_id, claimed.id, epoch)
        raise
    finally:
        heart.cancel()
    values: Values | None = {"status": "cancelled", "files": list[Values]()} if work.cancelled() else work.result()
    if values is not None:
        await patiently(lambda: _finish(held, values))


def free_all(scene: Context) -> None:
    """At the start of the only process: what a killed one held is to be had at once."""
    scene.database.run_now(rows.free_anywhere)


class _Run:
    """One run of an import under its lease."""

    def __init__(self, held: HeldImport) -> None:
        self._held, self._ctx, self._item = held, held.ctx, held.item
        self._landed = 0
        self._untouched = import_places.untouched(held.item.settings)

    async def outcome(self) -> Values | None:
        """How it ended, as the columns of its row; None when it waits, or is somebody else's."""
        try:
            return await self._to_the_end()
        except (Stopped, Fenced):
            values: Values = {"status": "cancelled"}
        except KeyturnError as error:
            if self._item.schedule_id and isinstance(error, ReconnectNeeded | ClientRefused):
                return await self._wait("reconnect", error.message, error, most=_ATTEMPTS_AT_DISK)
            if most := self._attempts_at(error):
                return await self._wait("end_system", error.message, error, most=most)
            values = {"status": "failed", "error": problem(error), "completeness": error.details.get("completeness")}
            if error.message_code in import_sizes.CODES:
                values["checkpoint"] = None
        except Away as error:
            log.warning("import_cannot_land", import_id=self._item.id, reason=error.sentence)
            return await self._wait("destination", error.sentence, Unavailable(error.sentence), most=_ATTEMPTS_AT_DISK)
        except OSError as error:
            log.warning("import_cannot_write", import_id=self._item.id, error=error.strerror)
            sentence = f"{in_words(error)} {self._untouched}"
            if passes(error):
                return await self._wait("destination", sentence, Unavailable(sentence), most=_ATTEMPTS_AT_DISK)
            values = {"status": "failed", "error": {"code": "unavailable", "message_code": None, "message": sentence}}
        except Exception:
            log.exception("import_failed", import_id=self._item.id)
            sentence = f"Something of ours failed; it is in the log. {self._untouched}"
            values = {"status": "failed", "error": {"code": "internal", "message_code": None, "message": sentence}}
        return {**values, **self._told(values.get("error")), "files": []}

    def _told(self, error: Values | None) -> Values:
        """An error as people see it: without the server's folders."""
        if error is None:
            return {}
        return {"error": {**error, "message": export_dirs.without_folders(self._ctx, error["message"])}}

    def _attempts_at(self, error: KeyturnError) -> int:
        """How often it is tried again without a page in between; 0 for what time does not mend."""
        if self._landed or self._item.has_checkpoint:
            return len(PAUSES_SECONDS) if _passes(error) else 0
        if isinstance(error, Unavailable):
            # Our own database, or the token service: it says nothing of this table.
            return len(PAUSES_SECONDS)
        return _ATTEMPTS_AT_NEW_TOKEN if error.details.get("token_rejected") else 0

    async def _wait(self, kind: str, reason: str, error: KeyturnError, *, most: int) -> Values | None:
        """Give the import back for a while; after `most` attempts without a new page, its end as failed."""
        attempts = 0 if self._landed else self._item.attempts
        if attempts >= most:
            return {"status": "failed", **self._told(problem(error)), "files": []}
        pause = PAUSES_SECONDS[min(attempts, len(PAUSES_SECONDS) - 1)]
        if isinstance(error, LimitReached):
            pause = max(pause, error.retry_after_seconds)
        log.info("import_waits", import_id=self._item.id, kind=kind, seconds=pause, attempts=attempts + 1)
        if await self._held.park(pause, attempts + 1, kind, reason):
            return None
        return {"status": "cancelled", "files": []}

    async def _to_the_end(self) -> Values:
        ctx, item = self._ctx, self._item
        started = {"started_at": item.started_at or ctx.clock(), "status": "running"}
        await self._held.write(**started)
        destination = await import_places.open_(ctx, item, self._held.epoch)
        try:
            stored = await ctx.database.read(rows.checkpoint, ctx.workspace_id, item.id)
            begun, read = await self._begin(destination, stored)
            if begun.ended is not None or read is None:
                return self._was_put(begun, stored)
            await self._held.size.begin(item.bytes if begun.read else 0)
            await self._land_pages(read, destination)
            return await self._settle(read, destination)
        except Conflict as error:
            if error.message_code in import_sizes.CODES:
                # Its pages would take the room of other imports, and it could not go on from them.
                with contextlib.suppress(Away, OSError):
                    await in_thread(destination.forget)
            raise
        finally:
            await in_thread(destination.give_up)

    async def _begin(self, destination: Destination, stored: Values | None) -> tuple[Begun, TableRead | None]:
        """The read behind the last safe page; from the start where that cannot be; none after the end."""
        ctx, item = self._ctx, self._item
        planned = await ctx.database.read(rows.files, ctx.workspace_id, item.id)
        left = Left(stored, [asdict(file) for file in planned], item.completeness)
        try:
            begun = await in_thread(destination.begin, left)
            if begun.ended is not None:
                return begun, None
            read = await reads.begin(
                ctx,
                item.settings.table_id,
                limit=item.settings.limit,
                on_wait=self._held.waiting,
                resume_from=Checkpoint.from_dict(begun.read) if begun.read else None,
                asked=await _asked(ctx, item, destination),
                owner_id=item.id,
            )
        except Invalid as error:
            if stored is None or not error.problems or error.problems[0].at != "resume_from":
                raise
            log.warning("import_begins_anew", import_id=item.id, reason=error.message)
            await self._held.write(checkpoint=None, rows=0, pages=0, bytes=0)
            return await self._begin(destination, None)
        if begun.read:
            read.remember(await in_thread(destination.last, REMEMBERED_ROWS))
        return begun, read

    async def _land_pages(self, read: TableRead, destination: Destination) -> None:
        landing = Landing(self._held, read, destination)
        landing.start()
        try:
            # Closed at once where a page cannot be taken: then the read is on record, and the error has its stamp.
            async with contextlib.aclosing(read.pages(landing.drained)) as pages:
                async for page in pages:
                    await landing.page(page)
        except BaseException:
            landing.hurry()
            raise
        finally:
            try:
                # Also when the reading failed: what came before is kept.
                await landing.settle()
            finally:
                self._landed = landing.pages

    async def _settle(self, read: TableRead, destination: Destination) -> Values:
        stamp = read.completeness.as_dict()
        schema = read.schema
        if schema is None:
            raise Invalid("The table has no columns yet, since the API answered without rows.")
        whole = stamp["complete"] is not False
        planned = await in_thread(destination.plan, schema, stamp, whole=whole)
        ended = _ended(planned.completeness, planned.files)
        self._held.high_water = read.high_water
        # Written down before the end, and only while the lease is ours: whoever takes over after a crash sees
        # whether this very file is in place, and an append is never done twice.
        await self._held.plan(ended["files"], stamp)
        await in_thread(destination.settle)
        if whole:
            await in_thread(destination.forget)
            ended["checkpoint"] = None
        return ended

    def _was_put(self, begun: Begun, stored: Values | None) -> Values:
        """The end of a run whose process died after its rows were put in place: not read, and not added, again."""
        self._held.high_water = ((stored or {}).get("read") or {}).get("high_water")
        if begun.ended is None:
            raise AssertionError
        return _ended(begun.ended.completeness, begun.ended.files)


async def _finish(held: HeldImport, values: Values) -> None:
    ctx, item = held.ctx, held.item
    ended: Values = {**values, "finished_at": ctx.clock()}

    def write(tx: Tx) -> bool:
        if not rows.finish(tx, ctx.workspace_id, item.id, held.epoch, ended):
            return False
        result = "ok" if ended["status"] == "complete" else "failed"
        if ended["status"] == "complete":
            began_at = item.started_at or item.created_at
            place, table_id = rows.place(tx, ctx.workspace_id, item.id), item.settings.table_id
            if ended["completeness"]["truncated"]:
                # Some of the rows are there now: what is added next must not begin behind those that are not.
                mark_rows.forget(tx, ctx.workspace_id, table_id, place)
            else:
                mark_rows.put(tx, ctx.workspace_id, table_id, place, held.high_water, began_at)
        retention.keep(tx, ctx, item, ended)
        audit.record(tx, ctx, "import.finished", item.id, result=result, status=ended["status"], rows=ended.get("rows"))
        notices.import_ended(tx, ctx, item.id, item.settings.table_id, ended)
        return True

    if not await ctx.database.run(write):
        log.warning("import_fenced", import_id=item.id, epoch=held.epoch)


def _ended(completeness: Values, files: list[Values]) -> Values:
    return {
        "status": "incomplete" if completeness["complete"] is False else "complete",
        "rows": completeness["rows"],
        "pages": completeness["pages"],
        "reported_total": completeness["reported_total"],
        "completeness": completeness,
        "files": files,
    }


async def _asked(ctx: Context, item: Import, destination: Destination) -> Asked:
    """The values of this import; where rows are added to what is there, only those that are new to it."""
    values = item.settings.parameters
    if item.settings.mode == "replace" or not await in_thread(destination.exists):
        return Asked(values)
    place = await ctx.database.read(rows.place, ctx.workspace_id, item.id)
    found = await ctx.database.read(mark_rows.get, ctx.workspace_id, item.settings.table_id, place)
    return Asked(values, None, *found)


def _passes(error: KeyturnError) -> bool:
    """Whether time alone may mend it."""
    if isinstance(error, LimitReached | Unavailable | UpstreamTimeout):
        return True
    status = error.details.get("status")
    if status == 401:
        # Pages came with this sign-in: a token that was just renewed may have been taken back at once, too.
        return True
    broken = error.message_code is not None or status is None
    return isinstance(error, UpstreamError) and error.message_code in _PASSING and broken


def problem(error: KeyturnError) -> Values:
    """An error as it stands in a row."""
    return {"code": error.code, "message_code": error.message_code, "message": error.message}
