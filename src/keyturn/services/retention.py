"""Files of imports on the server: which there are, what becomes of them, and removing those whose time is over.

Only files in the workspace's own folder are ever removed, and never the latest whole ones of a table.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import structlog

from keyturn.destinations.journal import fsync
from keyturn.errors import Gone
from keyturn.model.audit import Who
from keyturn.model.imports import Import, ImportFile
from keyturn.model.kept_files import Fate, FileLimits, KeptFile, due, kept_until, latest_of
from keyturn.model.messages import say
from keyturn.services import audit
from keyturn.services.context import Context
from keyturn.storage import kept_files as rows

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from keyturn.storage.database import Tx
    from keyturn.storage.wakeups import Woken

log = structlog.get_logger(__name__)
_KEYTURN = Who(kind="system", name="Keyturn")
_INCOMPLETE = ".incomplete"


def changed(scene: Context) -> AbstractContextManager[Woken]:
    """Hear that files came, or that limits changed, here and on other replicas."""
    return scene.database.wakeups.watching(rows.CHANGED)


def keep(tx: Tx, ctx: Context, item: Import, ended: dict[str, Any]) -> None:
    """An import has ended: its files, if it has any here, are there from now on."""
    wanted = item.settings.destination
    for file in ended.get("files") or () if wanted.is_kept else ():
        kept = KeptFile(
            path=wanted.path_of(file["name"]),
            import_id=item.id,
            table_id=item.settings.table_id,
            created_by=item.created_by,
            bytes=file["bytes"],
            whole=ended["status"] == "complete" and not (ended.get("completeness") or {}).get("truncated"),
            asked_at=item.created_at,
            finished_at=ended["finished_at"],
        )
        rows.put(tx, ctx.workspace_id, kept)


async def fates(ctx: Context, item: Import, files: list[ImportFile]) -> dict[str, Fate]:
    """What becomes of each finished file of an import, by name; nothing for files that are not kept here."""
    wanted = item.settings.destination
    if not wanted.is_kept or not files:
        return {}
    limits = await ctx.database.read(rows.limits, ctx.workspace_id)
    there = await ctx.database.read(rows.at, ctx.workspace_id, [wanted.path_of(file.name) for file in files])
    latest = latest_of(await ctx.database.read(rows.all_of, ctx.workspace_id, item.settings.table_id),
                       {item.settings.table_id})  # fmt: skip
    return {file.name: _fate(item, there.get(wanted.path_of(file.name)), limits, latest) for file in files}


def _fate(item: Import, file: KeptFile | None, limits: FileLimits, latest: set[str]) -> Fate:
    if item.files_removed_at is not None:
        return Fate("removed", removed_at=item.files_removed_at)
    if file is None:
        return Fate("kept")
    if file.import_id != item.id:
        return Fate("replaced")
    return Fate("latest" if file.path in latest else "kept", kept_until(file, limits), newest=limits.keep_newest)


async def require_kept(ctx: Context, item: Import, name: str) -> None:
    """Raise `Gone` with the reason if a finished file of an import was removed, or another took its place."""
    if item.files_removed_at is not None:
        day = f"{datetime.fromtimestamp(item.files_removed_at, UTC):%Y-%m-%d}"
        raise Gone(say("E-REMOVED", file=name, day=day, table=item.table_name), message_code="E-REMOVED")
    path = item.settings.destination.path_of(name)
    there = await ctx.database.read(rows.at, ctx.workspace_id, [path]) if item.settings.destination.is_kept else {}
    if path in there and there[path].import_id != item.id:
        raise Gone(f"Another import has put a newer {name} in the place of this one. Take the file of that import.")


async def sweep(scene: Context) -> int:
    """Remove the files whose time is over; answers of how many. Any number of replicas may do it at once."""
    for workspace_id, limits in await scene.database.read(rows.that_remove_anywhere):
        if await scene.database.read(_due, scene, workspace_id, limits):
            await scene.database.run(_mark, scene, workspace_id, limits)
    gone = 0
    for workspace_id, file in await scene.database.read(rows.marked_anywhere):
        try:
            gone += await _remove(scene, workspace_id, file)
        except OSError as error:
            log.warning("file_not_removed", workspace_id=workspace_id, path=file.path, reason=error.strerror)
    return gone


def _due(tx: Tx, scene: Context, workspace_id: str, limits: FileLimits) -> list[KeptFile]:
    files, table_ids = rows.all_of(tx, workspace_id), rows.table_ids(tx, workspace_id)
    return list(due(files, limits, table_ids, scene.clock()))


def _mark(tx: Tx, scene: Context, workspace_id: str, limits: FileLimits) -> None:
    """Say that they are removed, in the transaction that looked: before any of them is."""
    now = scene.clock()
    for file in _due(tx, scene, workspace_id, limits):
        if rows.mark_removed(tx, workspace_id, file, now):
            told = {"path": file.path, "bytes": file.bytes, "table_id": file.table_id}
            audit.record_as(tx, workspace_id, _KEYTURN, "import.file_removed", file.import_id, at=now, **told)


async def _remove(scene: Context, workspace_id: str, file: KeptFile) -> bool:
    root = scene.deployment.files_dir(workspace_id)
    if not await asyncio.to_thread(_is_there, root, file):
        # The disk is away, or a folder is not what it was: the row waits for it.
        log.warning("file_not_reached", workspace_id=workspace_id, path=file.path)
        return False
    places = [str(root / path) for path in _places(file.path)]

    def write(tx: Tx) -> bool:
        if not rows.lock_marked(tx, workspace_id, file, places):
            return False
        # A moment on a disk, while the row is locked: whoever puts another file there waits for it.
        _unlink(root / file.path, file)
        rows.forget(tx, workspace_id, file)
        return True

    return await scene.database.run(write)


def _is_there(root: Path, file: KeptFile) -> bool:
    folder = (root / file.path).parent
    return root.is_dir() and folder.resolve() == root.resolve() / PurePosixPath(file.path).parent


def _unlink(path: Path, file: KeptFile) -> None:
    if not path.is_file():
        return
    if path.stat().st_size != file.bytes:
        log.warning("file_not_ours", path=file.path)
        return
    path.unlink(missing_ok=True)
    fsync(path.parent)


def _places(path: str) -> list[str]:
    """The addresses of imports that may put a file at `path`: its own, or that of which it is the incomplete one."""
    pure = PurePosixPath(path)
    if not pure.stem.endswith(_INCOMPLETE):
        return [path]
    return [path, str(pure.with_name(pure.stem.removesuffix(_INCOMPLETE) + pure.suffix))]
