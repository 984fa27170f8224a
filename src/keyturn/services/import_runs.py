"""A claimed import, run to its end or to where it has to wait. Whatever happens is in its row.

The end is: make the whole file beside its place, write down in the row what it will be, rename, write the end. Whoever
takes over after a crash first clears away what the former run had made, then looks whether its file is in place.
"""

from __future__ import annotations

import asyncio
import errno
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from keyturn.columns.keys import REMEMBERED_ROWS
from keyturn.destinations.journal import remove_folder
from keyturn.destinations.parquet import Written, is_there
from keyturn.destinations.table_file import TableFile, Way, clear_away
from keyturn.errors import (
    ClientRefused,
    Invalid,
    KeyturnError,
    LimitReached,
    ReconnectNeeded,
    Unavailable,
    UpstreamError,
    UpstreamTimeout,
)
from keyturn.model.imports import FINISHED, Import
from keyturn.rest.checkpoints import Checkpoint
from keyturn.services import audit, imports, members, notices, reads, tables
from keyturn.services.context import Context
from keyturn.services.endpoints import Asked
from keyturn.services.held_imports import LEASE_SECONDS, HeldImport, Landing, Stopped, patiently
from keyturn.services.reads import TableRead
from keyturn.storage import imports as rows
from keyturn.storage import marks as mark_rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

log = structlog.get_logger(__name__)
Values = dict[str, Any]

# Seconds before each further attempt when no page came in between; a page begins the row anew.
PAUSES_SECONDS = (2.0, 10.0, 30.0, 120.0, 300.0, 900.0)
# A disk or a database that is away is waited for about a day: its operator has to mend it.
_ATTEMPTS_AT_DISK = 100
_PASSING = frozenset({"E-UPSTREAM", "E-DNS", "E-RATE", "E-TIMEOUT", None})
# Full, over quota, or a disk of the network that is not there just now.
_DISK_PASSES = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ENOENT, errno.ESTALE, errno.ETIMEDOUT,
     errno.ENOTCONN}
)  # fmt: skip
_KEPT_SECONDS = 7 * 86_400.0
_UNTOUCHED = "The previous file is untouched."


async def claim(scene: Context) -> tuple[Import, int] | None:
    """Take an import that is due, of any workspace; None when there is nothing to do."""
    return await scene.database.run(rows.claim_anywhere, owner=scene.deployment.owner, seconds=LEASE_SECONDS)


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


async def tidy(scene: Context) -> int:
    """Remove the pages of imports that are whole, gone, or ended a week ago; answers how many folders went."""
    found = await asyncio.to_thread(_folders, [scene.deployment.data_dir / "files", *scene.deployment.export_dirs])
    states = await scene.database.read(rows.states_anywhere, found)
    old = scene.clock() - _KEPT_SECONDS
    gone = 0
    for import_id, folder in found.items():
        status, finished_at = states.get(import_id, ("complete", None))
        if status == "complete" or (status in FINISHED and (finished_at or 0.0) < old):
            await asyncio.to_thread(remove_folder, folder)
            gone += 1
    return gone


class _Run:
    """One run of an import under its lease."""

    def __init__(self, held: HeldImport) -> None:
        self._held, self._ctx, self._item = held, held.ctx, held.item
        self._landed = 0

    async def outcome(self) -> Values | None:
        """How it ended, as the columns of its row; None when it waits, or is somebody else's."""
        try:
            return await self._to_the_end()
        except Stopped:
            values: Values = {"status": "cancelled"}
        except KeyturnError as error:
            if self._item.schedule_id and isinstance(error, ReconnectNeeded | ClientRefused):
                return await self._wait("reconnect", error.message, error, most=_ATTEMPTS_AT_DISK)
            if _passes(error) and (self._landed or self._item.has_checkpoint):
                return await self._wait("end_system", error.message, error, most=len(PAUSES_SECONDS))
            values = {"status": "failed", "error": problem(error), "completeness": error.details.get("completeness")}
        except OSError as error:
            log.warning("import_cannot_write", import_id=self._item.id, error=error.strerror)
            sentence = f"The file could not be written ({error.strerror}). {_UNTOUCHED}"
            if error.errno in _DISK_PASSES:
                return await self._wait("destination", sentence, Unavailable(sentence), most=_ATTEMPTS_AT_DISK)
            values = {"status": "failed", "error": {"code": "unavailable", "message_code": None, "message": sentence}}
        except Exception:
            log.exception("import_failed", import_id=self._item.id)
            sentence = f"Something of ours failed; it is in the log. {_UNTOUCHED}"
            values = {"status": "failed", "error": {"code": "internal", "message_code": None, "message": sentence}}
        return {**values, "files": []}

    async def _wait(self, kind: str, reason: str, error: KeyturnError, *, most: int) -> Values | None:
        """Give the import back for a while; after `most` attempts without a new page, its end as failed."""
        attempts = 0 if self._landed else self._item.attempts
        if attempts >= most:
            return {"status": "failed", "error": problem(error), "files": []}
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
        target = await asyncio.to_thread(_place, ctx, item)
        stored = await ctx.database.read(rows.checkpoint, ctx.workspace_id, item.id)
        folder = imports.pages_folder(target, item.id)
        # First this, so that a late process cannot put its file in place after we have looked.
        await asyncio.to_thread(clear_away, folder, (stored or {}).get("segments", ()))
        put_before = await self._put_before(target, stored)
        if put_before is not None:
            await asyncio.to_thread(remove_folder, folder)
            return put_before
        file, read = await self._begin(target, folder, stored)
        try:
            await self._land_pages(read, file)
            return await self._swap(read, file)
        finally:
            await asyncio.to_thread(file.close)

    async def _begin(self, target: Path, folder: Path, stored: Values | None) -> tuple[TableFile, TableRead]:
        """The file and the read, behind the last safe page; or from the start where that cannot be."""
        ctx, item = self._ctx, self._item
        way = await _way(ctx, item)
        run = f"e{self._held.epoch}"
        try:
            point = Checkpoint.from_dict(stored["read"]) if stored else None
            file = TableFile(target, way, folder, run=run, segments=stored["segments"] if stored else ())
            read = await reads.begin(
                ctx,
                item.settings.table_id,
                on_wait=self._held.waiting,
                resume_from=point,
                asked=await _asked(ctx, item, target),
                owner_id=item.id,
            )
        except Invalid as error:
            if stored is None or not error.problems or error.problems[0].at != "resume_from":
                raise
            log.warning("import_begins_anew", import_id=item.id, reason=error.message)
            await self._held.write(checkpoint=None, rows=0, pages=0)
            await asyncio.to_thread(clear_away, folder, ())
            return await self._begin(target, folder, None)
        if point is not None:
            read.remember(await asyncio.to_thread(file.last, REMEMBERED_ROWS))
        return file, read

    async def _land_pages(self, read: TableRead, file: TableFile) -> None:
        landing = Landing(self._held, file)
        landing.start()
        try:
            async for batch in read.batches():
                await landing.page(batch)
        finally:
            # Also when the reading failed: what came before is kept.
            await landing.settle()
            self._landed = landing.pages

    async def _swap(self, read: TableRead, file: TableFile) -> Values:
        stamp = read.completeness.as_dict()
        schema = read.schema
        if schema is None:
            raise Invalid("The table has no columns yet, since the API answered without rows.")
        whole = stamp["complete"] is not False
        place = file.path if whole else file.path.with_name(f"{file.path.stem}.incomplete{file.path.suffix}")
        written = await asyncio.to_thread(file.make, schema, stamp, path=place)
        ended = _ended(stamp, [_file(written, file.cells_changed)])
        self._held.high_water = read.high_water
        # Written down before the swap, and only while the lease is ours: whoever takes over after a crash sees
        # whether this very file is in place, and an append is never done twice.
        await self._held.at_work(files=ended["files"], completeness=stamp)
        await asyncio.to_thread(file.put, written)
        if whole:
            await asyncio.to_thread(file.discard)
            ended["checkpoint"] = None
        return ended

    async def _put_before(self, target: Path, stored: Values | None) -> Values | None:
        """The end of a run whose process died after its file was put in place: not read, and not appended, again."""
        planned = await self._ctx.database.read(rows.files, self._ctx.workspace_id, self._item.id)
        stamp = self._item.completeness
        self._held.high_water = ((stored or {}).get("read") or {}).get("high_water")
        if not planned or stamp is None:
            return None
        for file in planned:
            if not await asyncio.to_thread(is_there, Written(target.parent / file.name, file.bytes, file.sha256)):
                return None
        return _ended(stamp, [asdict(file) for file in planned])


async def _finish(held: HeldImport, values: Values) -> None:
    ctx, item = held.ctx, held.item
    ended = {**values, "finished_at": ctx.clock()}
    place = str(imports.destination_path(ctx, item.settings.destination.url)) if ended["status"] == "complete" else ""

    def write(tx: Tx) -> bool:
        if not rows.finish(tx, ctx.workspace_id, item.id, held.epoch, ended):
            return False
        result = "ok" if ended["status"] == "complete" else "failed"
        if ended["status"] == "complete":
            began_at = item.started_at or item.created_at
            mark_rows.put(tx, ctx.workspace_id, item.settings.table_id, place, held.high_water, began_at)
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


async def _asked(ctx: Context, item: Import, target: Path) -> Asked:
    """The values of this import; where rows are added to a file that is there, only those that are new to it."""
    values = item.settings.parameters
    if item.settings.mode == "replace" or not await asyncio.to_thread(target.exists):
        return Asked(values)
    found = await ctx.database.read(mark_rows.get, ctx.workspace_id, item.settings.table_id, str(target))
    return Asked(values, None, *found)


def _place(ctx: Context, item: Import) -> Path:
    """Where the file goes. Raises FileNotFoundError while a folder of the operator's is not there."""
    url = item.settings.destination.url
    target = imports.destination_path(ctx, url)
    if not Path(url).is_absolute():
        target.parent.mkdir(parents=True, exist_ok=True)
    elif not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(target.parent))
    return target


async def _way(ctx: Context, item: Import) -> Way:
    """How the file is made: its format and mode, with the table's key and name as they are now."""
    settings = item.settings
    table = await tables.get(ctx, settings.table_id)
    return Way(
        format=settings.destination.type,
        mode=settings.mode,
        key=table.settings.row_key,
        table=settings.destination.table or table.name,
        neutralise_formulas=settings.destination.neutralise_formulas,
    )


def _passes(error: KeyturnError) -> bool:
    """Whether time alone may mend it."""
    if isinstance(error, LimitReached | Unavailable | UpstreamTimeout):
        return True
    status = error.details.get("status")
    broken = error.message_code is not None or status is None
    return isinstance(error, UpstreamError) and error.message_code in _PASSING and broken


def problem(error: KeyturnError) -> Values:
    """An error as it stands in a row."""
    return {"code": error.code, "message_code": error.message_code, "message": error.message}


def _folders(roots: list[Path]) -> dict[str, Path]:
    found = (path for root in roots if root.is_dir() for path in root.rglob(f"{imports.PAGES_PREFIX}*"))
    return {path.name.removeprefix(imports.PAGES_PREFIX): path for path in found if path.is_dir()}


def _file(written: Written, cells_changed: int) -> Values:
    return {
        "name": written.path.name,
        "bytes": written.bytes,
        "sha256": written.sha256,
        "cells_changed": cells_changed,
    }
