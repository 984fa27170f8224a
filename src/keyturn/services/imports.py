"""Imports: a queued row is the request; `run` reads the whole table into its destination under a fenced lease."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from keyturn.destinations.parquet import Written, is_there, remove_leftovers
from keyturn.destinations.table_file import TableFile, Way
from keyturn.errors import Conflict, Invalid, KeyturnError, NotFound, Unavailable
from keyturn.model.ids import new_id
from keyturn.model.imports import FINISHED, Import, ImportFile, ImportSettings
from keyturn.model.permissions import permissions_of
from keyturn.model.validation import parse
from keyturn.services import audit, notices, reads, tables
from keyturn.services.context import Actor, Context
from keyturn.services.reads import TableRead
from keyturn.storage import accounts as account_rows
from keyturn.storage import imports as rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

log = structlog.get_logger(__name__)

LEASE_SECONDS = 20.0
_HEARTBEAT_SECONDS = 5.0
_PROGRESS_EVERY_SECONDS = 0.4
_LATEST_LOOK = 50


class _Stopped(Exception):
    """The run has to end: cancelled by a person, or its lease belongs to somebody else now."""


async def create(ctx: Context, raw: Mapping[str, Any]) -> Import:
    """Ask for an import; it is run by whoever claims the row. Raises `Invalid` for a file that may not be written."""
    ctx.require("imports:run")
    settings = parse(ImportSettings, raw)
    await reads.begin(ctx, settings.table_id)
    table = await tables.get(ctx, settings.table_id)
    if settings.mode == "update" and not table.settings.primary_key:
        raise Invalid(f"{table.full_name} lacks a unique key to match rows by. Add one, or choose Append.", at="mode")
    target = destination_path(ctx, settings.destination.url)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Invalid(f"The folder of {settings.destination.url} is not writable by the server.",
                      at="destination.url") from error  # fmt: skip
    import_id = new_id("im")
    values = {
        "id": import_id,
        "table_id": settings.table_id,
        "settings": settings.model_dump(mode="json"),
        "created_by": ctx.actor.account_id,
        "created_at": ctx.clock(),
    }

    def write(tx: Tx) -> None:
        rows.insert(tx, ctx.workspace_id, values)
        audit.record(tx, ctx, "import.created", import_id, table_id=settings.table_id)

    await ctx.database.run(write)
    return await get(ctx, import_id)


async def get(ctx: Context, import_id: str) -> Import:
    """One import. Raises `NotFound`, also when its table's connection is not the actor's to see."""
    found = await ctx.database.read(rows.get, ctx.workspace_id, import_id)
    if found is None:
        raise NotFound("There is no such import in this workspace.")
    await tables.get(ctx, found.settings.table_id)
    return found


async def list_(ctx: Context, *, limit: int = 100, table_id: str | None = None) -> list[Import]:
    """The newest imports the actor may see."""
    visible = {table.id for table in await tables.list_(ctx)}
    found = await ctx.database.read(rows.all_of, ctx.workspace_id, limit, table_id)
    return [item for item in found if item.settings.table_id in visible]


async def cancel(ctx: Context, import_id: str) -> Import:
    """Stop it at the next page; the previous file stays as it was. Raises `Conflict` when it has ended."""
    ctx.require("imports:run")
    found = await get(ctx, import_id)
    if found.status in FINISHED:
        raise Conflict(f"This import has ended already ({found.label}).")

    def write(tx: Tx) -> None:
        rows.request_cancel(tx, ctx.workspace_id, import_id, ctx.clock())
        audit.record(tx, ctx, "import.cancelled", import_id)

    await ctx.database.run(write)
    return await get(ctx, import_id)


async def files(ctx: Context, import_id: str) -> list[ImportFile]:
    """The finished files of an import."""
    ctx.require("tables:read")
    if (await get(ctx, import_id)).status not in FINISHED:
        return []
    return await ctx.database.read(rows.files, ctx.workspace_id, import_id)


async def file_path(ctx: Context, import_id: str, name: str) -> Path:
    """Where a finished file lies, for downloads. Raises `NotFound` if it is gone or was never of this import."""
    found = await get(ctx, import_id)
    known = {item.name for item in await files(ctx, import_id)}
    target = destination_path(ctx, found.settings.destination.url)
    path = target.parent / name
    if name not in known or not path.is_file():
        raise NotFound(f"There is no file called {name} of this import any more.")
    return path


async def latest(ctx: Context, table_id: str, suffix: str) -> tuple[Path, ImportFile, float]:
    """The newest whole file of a table of that ending: (where it lies, what it is, when it was finished).

    Raises `NotFound` while no import of it has ended complete.
    """
    ctx.require("tables:read")
    table = await tables.get(ctx, table_id)
    for item in await ctx.database.read(rows.all_of, ctx.workspace_id, _LATEST_LOOK, table_id):
        if item.status != "complete" or item.finished_at is None:
            continue
        for file in await ctx.database.read(rows.files, ctx.workspace_id, item.id):
            path = destination_path(ctx, item.settings.destination.url).parent / file.name
            # A newer import may have put another file there; then that one is found first.
            if file.name.endswith(suffix) and path.is_file() and path.stat().st_size == file.bytes:
                return path, file, item.finished_at
    raise NotFound(f"No import of {table.full_name} to a {suffix} file has ended complete yet. Import it once.")


def destination_path(ctx: Context, url: str) -> Path:
    """Where a destination's address leads. Raises `Invalid` outside the workspace's folder and the export folders."""
    wanted = Path(url)
    if ".." in wanted.parts or "\\" in url or wanted.name.startswith("."):
        raise Invalid("A file's address has no .., no \\ and no name beginning with a dot.", at="destination.url")
    if wanted.is_absolute():
        roots = ctx.deployment.export_dirs
        if not any(wanted.is_relative_to(root) for root in roots):
            raise Invalid(
                "An absolute address needs a folder the operator allows in KEYTURN_EXPORT_DIRS. Use a plain file name.",
                at="destination.url",
            )
        root = next(root for root in roots if wanted.is_relative_to(root))
    else:
        root = ctx.deployment.files_dir(ctx.workspace_id)
        wanted = root / wanted
    # A link could lead out of the folder, so the real place is what counts.
    real = wanted.resolve()
    outside = not real.is_relative_to(root.resolve()) or real != root.resolve() / wanted.relative_to(root)
    inside_data = wanted.is_relative_to(ctx.deployment.data_dir) and root != ctx.deployment.files_dir(ctx.workspace_id)
    if outside or inside_data or wanted.is_dir():
        raise Invalid("That address is not a file in the folder it may be written to.", at="destination.url")
    return wanted


async def claim(scene: Context) -> tuple[Import, int] | None:
    """Take the oldest import that waits, on any workspace; None when there is nothing to do."""
    return await scene.database.run(rows.claim_anywhere, owner=scene.deployment.owner, seconds=LEASE_SECONDS)


async def run(scene: Context, claimed: Import, epoch: int) -> None:
    """Run a claimed import to its end; whatever happens is in its row. The lease is renewed with each page."""
    ctx = await _as_creator(scene, claimed)
    started = {"started_at": claimed.started_at or ctx.clock(), "rows": 0, "pages": 0}
    await ctx.database.run(rows.progress, ctx.workspace_id, claimed.id, epoch, seconds=LEASE_SECONDS, values=started)
    heart = asyncio.create_task(_keep_lease(ctx, claimed, epoch))
    try:
        values = await _values(ctx, claimed, epoch)
    except asyncio.CancelledError:
        # This process ends: another one, or the next start, may go on at once.
        await ctx.database.run(rows.release, ctx.workspace_id, claimed.id, epoch)
        raise
    finally:
        heart.cancel()
    values["finished_at"] = ctx.clock()

    def write(tx: Tx) -> bool:
        if not rows.finish(tx, ctx.workspace_id, claimed.id, epoch, values):
            return False
        result = "ok" if values["status"] == "complete" else "failed"
        told = {"status": values["status"], "rows": values.get("rows")}
        audit.record(tx, ctx, "import.finished", claimed.id, result=result, **told)
        notices.import_ended(tx, ctx, claimed.settings.table_id, values)
        return True

    if not await ctx.database.run(write):
        log.warning("import_fenced", import_id=claimed.id, epoch=epoch)


async def _values(ctx: Context, claimed: Import, epoch: int) -> dict[str, Any]:
    """How the run ended, as the columns of its row; a failure leaves no file of this run."""
    try:
        put_before = await _put_before(ctx, claimed)
        if put_before is not None:
            return put_before
        target = destination_path(ctx, claimed.settings.destination.url)
        return await _read_into(ctx, claimed, epoch, TableFile(target, await _way(ctx, claimed)))
    except _Stopped:
        values: dict[str, Any] = {"status": "cancelled"}
    except KeyturnError as error:
        values = {"status": "failed", "error": _problem(error), "completeness": error.details.get("completeness")}
    except OSError as error:
        log.warning("import_cannot_write", import_id=claimed.id, error=error.strerror)
        sentence = f"The file could not be written ({error.strerror}). The previous file is untouched."
        values = {"status": "failed", "error": {"code": "unavailable", "message_code": None, "message": sentence}}
    except Exception:
        log.exception("import_failed", import_id=claimed.id)
        sentence = "Something of ours failed; it is in the log. The previous file is untouched."
        values = {"status": "failed", "error": {"code": "internal", "message_code": None, "message": sentence}}
    return {**values, "files": []}


async def _keep_lease(ctx: Context, claimed: Import, epoch: int) -> None:
    """Hold the lease while a long page or a long last step is under way; losing it is noticed by the run itself."""
    while True:
        await asyncio.sleep(_HEARTBEAT_SECONDS)
        try:
            await ctx.database.run(rows.progress, ctx.workspace_id, claimed.id, epoch, seconds=LEASE_SECONDS, values={})
        except Unavailable:
            continue


async def _put_before(ctx: Context, claimed: Import) -> dict[str, Any] | None:
    """The end of a run whose process died after its file was put in place: not read, and not appended, again."""
    planned = await ctx.database.read(rows.files, ctx.workspace_id, claimed.id)
    stamp = claimed.completeness
    if not planned or stamp is None:
        return None
    folder = destination_path(ctx, claimed.settings.destination.url).parent
    for file in planned:
        if not await asyncio.to_thread(is_there, Written(folder / file.name, file.bytes, file.sha256)):
            return None
    return _ended(stamp, [asdict(file) for file in planned])


def remove_unfinished_files(scene: Context) -> int:
    """At start, while no import runs: parts that a killed process left behind."""
    return remove_leftovers(scene.deployment.data_dir / "files")


async def _read_into(ctx: Context, claimed: Import, epoch: int, file: TableFile) -> dict[str, Any]:
    progress = _Progress(ctx, claimed, epoch)
    read = await reads.begin(ctx, claimed.settings.table_id, on_wait=progress.waiting)
    try:
        async for batch in read.batches():
            await asyncio.to_thread(file.add, batch.data, batch.schema)
            await progress.page(read)
        completeness = read.completeness.as_dict()
        schema = read.schema
        if schema is None:
            raise Invalid("The table has no columns yet, since the API answered without rows.")  # noqa: TRY301
        whole = completeness["complete"] is not False
        place = file.path if whole else file.path.with_name(f"{file.path.stem}.incomplete{file.path.suffix}")
        written = await asyncio.to_thread(file.make, schema, completeness, path=place)
        ended = _ended(completeness, [_file(written, file.cells_changed)])
        # Written down before the swap, and only while the lease is ours: whoever takes over after a crash sees
        # whether this very file is in place, and an append is never done twice.
        await progress.plan({"files": ended["files"], "completeness": completeness})
        await asyncio.to_thread(file.put, written)
    except BaseException:
        await asyncio.to_thread(file.discard)
        raise
    return ended


def _ended(completeness: dict[str, Any], files: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "status": "incomplete" if completeness["complete"] is False else "complete",
        "rows": completeness["rows"],
        "pages": completeness["pages"],
        "reported_total": completeness["reported_total"],
        "completeness": completeness,
        "files": files,
    }


async def _way(ctx: Context, claimed: Import) -> Way:
    """How the file is made: its format and mode, with the table's key and name as they are now."""
    settings = claimed.settings
    table = await tables.get(ctx, settings.table_id)
    return Way(
        format=settings.destination.type,
        mode=settings.mode,
        key=tuple(table.settings.primary_key),
        table=settings.destination.table or table.name,
        neutralise_formulas=settings.destination.neutralise_formulas,
    )


class _Progress:
    """Writes a run's progress now and then, keeps its lease, and notices that it has to stop."""

    def __init__(self, ctx: Context, claimed: Import, epoch: int) -> None:
        self._ctx, self._import, self._epoch = ctx, claimed, epoch
        self._written_at = 0.0
        self._waiting = False

    async def page(self, read: TableRead) -> None:
        """A page is written. Raises `_Stopped` when the run was cancelled or is somebody else's."""
        if time.monotonic() - self._written_at < _PROGRESS_EVERY_SECONDS and not self._waiting:
            return
        stamp = read.completeness
        await self._write(
            {
                "rows": stamp.rows,
                "pages": stamp.pages,
                "reported_total": stamp.reported_total,
                "status": "running",
                "waiting": None,
            }
        )
        self._waiting = False

    async def plan(self, values: dict[str, Any]) -> None:
        """What is about to be put in place. Raises `_Stopped` when the run was cancelled or is somebody else's."""
        await self._write({**values, "status": "running", "waiting": None})

    async def waiting(self, seconds: float, reason: str) -> None:
        """The API asked us to wait."""
        until = self._ctx.clock() + seconds
        await self._write({"status": "waiting", "waiting": {"reason": reason, "until": until, "seconds": seconds}})
        self._waiting = True

    async def _write(self, values: dict[str, Any]) -> None:
        self._written_at = time.monotonic()
        go_on = await self._ctx.database.run(
            rows.progress,
            self._ctx.workspace_id,
            self._import.id,
            self._epoch,
            seconds=LEASE_SECONDS + float((values.get("waiting") or {}).get("seconds", 0)),
            values=values,
        )
        if not go_on:
            raise _Stopped


async def _as_creator(scene: Context, claimed: Import) -> Context:
    """The context of whoever asked, with the role they have now."""
    member = await scene.database.read(account_rows.member, claimed.workspace_id, claimed.created_by)
    role = member.role if member else "none"
    name, email = (member.name, member.email) if member else (claimed.created_by_name, "")
    allowed = permissions_of(role) if member else frozenset[str]()
    actor = Actor(claimed.created_by, name, email, role, allowed, kind="system")
    return replace(scene, actor=actor, workspace_id=claimed.workspace_id)


def _problem(error: KeyturnError) -> dict[str, Any]:
    return {"code": error.code, "message_code": error.message_code, "message": error.message}


def _file(written: Written, cells_changed: int) -> dict[str, Any]:
    return {
        "name": written.path.name,
        "bytes": written.bytes,
        "sha256": written.sha256,
        "cells_changed": cells_changed,
    }
