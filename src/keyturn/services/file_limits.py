"""How long a workspace keeps files of imports on the server, and how large they may be. Workspace Admins set it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keyturn.model.kept_files import FileLimits, FilesUsed
from keyturn.model.validation import merged
from keyturn.services import audit, import_sizes
from keyturn.services.context import Context
from keyturn.storage import kept_files as rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx


async def get(ctx: Context) -> tuple[FileLimits, FilesUsed]:
    """The limits, and what is used of the room. Raises `Forbidden`."""
    ctx.require("workspace:admin")

    def read(tx: Tx) -> tuple[FileLimits, FilesUsed]:
        return rows.limits(tx, ctx.workspace_id), import_sizes.used(tx, ctx)

    return await ctx.database.read(read)


async def update(ctx: Context, patch: Mapping[str, Any]) -> FileLimits:
    """Change them by a merge patch; they hold at once. Raises `Invalid`, `Forbidden`."""
    ctx.require("workspace:admin")

    def write(tx: Tx) -> FileLimits:
        before = rows.limits(tx, ctx.workspace_id, lock=True)
        now = merged(FileLimits, before, patch)
        changed = {name: value for name, value in now.model_dump().items() if value != getattr(before, name)}
        if changed:
            rows.set_limits(tx, ctx.workspace_id, now)
            audit.record(tx, ctx, "workspace.file_limits_changed", ctx.workspace_id, **changed)
        return now

    return await ctx.database.run(write)
