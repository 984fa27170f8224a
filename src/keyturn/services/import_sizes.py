"""How large an import is, held against the limits of its workspace while it grows and before it is put in place."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from keyturn.errors import Conflict, Unavailable
from keyturn.model.imports import Import
from keyturn.model.kept_files import FileLimits, FilesUsed, size_in_words
from keyturn.model.messages import say
from keyturn.services.context import Context
from keyturn.storage import kept_files as rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

CODES = frozenset({"E-IMPORTSIZE", "E-STORAGE"})
# Pages of an import that ended short of its end are kept for so long, for Resume.
PAGES_KEPT_SECONDS = 7 * 86_400.0
# Limits are changed, and other imports grow, meanwhile.
_LOOK_SECONDS = 2.0


class ImportSize:
    """What one import takes: `bytes` of pages so far, uncompressed."""

    def __init__(self, ctx: Context, item: Import) -> None:
        self._ctx, self._item = ctx, item
        self._kept = item.settings.destination.is_kept
        self._limits, self._others = FileLimits(), FilesUsed(0, 0, 0)
        self._looked_at: float | None = None
        self.bytes = 0

    async def begin(self, size: int) -> None:
        """Pages of `size` bytes are there from a run before. Raises `Conflict` if that is too much already."""
        self.bytes = 0
        await self.grow(size)

    async def grow(self, size: int) -> None:
        """A page of `size` bytes more. Raises `Conflict` with the limit that is passed."""
        self.bytes += size
        if self._looked_at is None or time.monotonic() - self._looked_at > _LOOK_SECONDS:
            try:
                self._limits, self._others = await self._ctx.database.read(self._look)
            except Unavailable:
                pass  # What was known goes on to count; nothing lands without the database anyway.
            self._looked_at = time.monotonic()
        self._check(self._limits, self._others, self.bytes)

    def take_place(self, tx: Tx, files: list[dict[str, Any]]) -> None:
        """The finished files are about to be put in place: nobody removes what lies there while `tx` is open.

        Raises `Conflict` if they are too large, or too much with what is there.
        """
        ctx, wanted = self._ctx, self._item.settings.destination
        size = sum(file["bytes"] for file in files)
        paths = [wanted.path_of(file["name"]) for file in files] if self._kept else []
        limits = rows.limits(tx, ctx.workspace_id)
        if paths and limits.max_total_bytes:
            limits = rows.limits(tx, ctx.workspace_id, lock=True)
        used = self._used(tx, paths[0]) if paths and limits.max_total_bytes else FilesUsed(0, 0, 0)
        self._check(limits, used, size)
        for path in paths:
            rows.lock(tx, ctx.workspace_id, path)

    def _look(self, tx: Tx) -> tuple[FileLimits, FilesUsed]:
        limits = rows.limits(tx, self._ctx.workspace_id)
        if not (limits.max_total_bytes and self._kept):
            return limits, FilesUsed(0, 0, 0)
        # What a new file takes the place of makes room for it.
        wanted = self._item.settings
        return limits, self._used(tx, wanted.destination.path if wanted.mode == "replace" else None)

    def _used(self, tx: Tx, replaced: str | None) -> FilesUsed:
        return used(tx, self._ctx, but=self._item.id, replaced=replaced)

    def _check(self, limits: FileLimits, others: FilesUsed, size: int) -> None:
        if 0 < limits.max_import_bytes < size:
            _refuse("E-IMPORTSIZE", size, limits.max_import_bytes)
        total = others.bytes + others.under_way_bytes + size
        if self._kept and 0 < limits.max_total_bytes < total:
            _refuse("E-STORAGE", total, limits.max_total_bytes)


def used(tx: Tx, ctx: Context, *, but: str | None = None, replaced: str | None = None) -> FilesUsed:
    """What the workspace's files take, without one import's pages and the file that it takes the place of."""
    folder = f"{ctx.deployment.files_dir(ctx.workspace_id)}/"
    since = ctx.clock() - PAGES_KEPT_SECONDS
    return rows.used(tx, ctx.workspace_id, folder=folder, since=since, but=but, replaced=replaced)


def _refuse(code: str, size: int, most: int) -> None:
    told = f"{size / 1024**2:.1f} MB" if size >= 1024**2 else f"{size} bytes"
    raise Conflict(say(code, size=told, most=size_in_words(most)), message_code=code)
