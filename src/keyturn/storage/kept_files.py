"""Files of imports that lie on the server, one row for each path of a workspace, and the limits that it sets them.

A file is removed in three steps, so that a crash leaves no row that promises a file: its import's row says that it
is removed; the file goes while its row is locked; the row goes. Whoever puts a file there locks the row first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

import sqlalchemy as sa

from keyturn.model.imports import FINISHED
from keyturn.model.kept_files import FileLimits, FilesUsed, KeptFile
from keyturn.model.object_stores import SCHEMES
from keyturn.model.validation import stored
from keyturn.storage.accounts import workspaces
from keyturn.storage.database import Tx, metadata
from keyturn.storage.imports import imports
from keyturn.storage.tables import tables
from keyturn.storage.wakeups import notify

if TYPE_CHECKING:
    from typing import Any

# Wakes who removes files: there may be something to do.
CHANGED = "kept_files"

kept_files = sa.Table(
    "kept_files",
    metadata,
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True),
    # Below the workspace's folder.
    sa.Column("path", sa.Text, primary_key=True),
    # No foreign keys: the file stays where its table and imports are deleted, and is removed in its time.
    sa.Column("import_id", sa.Text, nullable=False),
    sa.Column("table_id", sa.Text, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("whole", sa.Boolean, nullable=False),
    sa.Column("asked_at", sa.Double, nullable=False),
    sa.Column("finished_at", sa.Double, nullable=False),
    sa.Column("removed_at", sa.Double),
)
_FIELDS = tuple(column for column in kept_files.c if column.name != "workspace_id")


def limits(tx: Tx, workspace_id: str, *, lock: bool = False) -> FileLimits:
    """What the workspace sets. `lock`: imports that are about to put a file in place come one after the other."""
    found = sa.select(workspaces.c.file_limits).where(workspaces.c.id == workspace_id)
    # Rows that name the workspace are written meanwhile all the same.
    found = found.with_for_update(key_share=True) if lock else found
    return stored(FileLimits, tx.execute(found).scalar_one_or_none() or {})


def set_limits(tx: Tx, workspace_id: str, limits: FileLimits) -> None:
    """Set them, and wake who removes files."""
    tx.execute(workspaces.update().where(workspaces.c.id == workspace_id).values(file_limits=limits.model_dump()))
    notify(tx, CHANGED)


def that_remove_anywhere(tx: Tx) -> list[tuple[str, FileLimits]]:
    """The workspaces that have files removed."""
    found = sa.select(workspaces.c.id, workspaces.c.file_limits).where(workspaces.c.file_limits.is_not(None))
    every = [(row.id, stored(FileLimits, row.file_limits or {})) for row in tx.execute(found)]
    return [(workspace_id, limits) for workspace_id, limits in every if limits.removes]


def put(tx: Tx, workspace_id: str, file: KeptFile) -> None:
    """A file is in its place; what was there is not there any more."""
    tx.execute(kept_files.delete().where(*_at(workspace_id, file.path)))
    tx.execute(kept_files.insert().values(workspace_id=workspace_id, **asdict(file)))
    notify(tx, CHANGED)


def lock(tx: Tx, workspace_id: str, path: str) -> None:
    """Nobody removes what is at `path` until this transaction has ended."""
    tx.execute(sa.select(kept_files.c.path).where(*_at(workspace_id, path)).with_for_update())


def all_of(tx: Tx, workspace_id: str, table_id: str | None = None) -> list[KeptFile]:
    """Every file of a workspace, or of one table of it."""
    found = sa.select(*_FIELDS).where(kept_files.c.workspace_id == workspace_id)
    if table_id is not None:
        found = found.where(kept_files.c.table_id == table_id)
    return [KeptFile(**row._asdict()) for row in tx.execute(found.order_by(kept_files.c.path))]


def at(tx: Tx, workspace_id: str, paths: Iterable[str]) -> dict[str, KeptFile]:
    """The files at those paths."""
    found = sa.select(*_FIELDS).where(kept_files.c.workspace_id == workspace_id, kept_files.c.path.in_(list(paths)))
    return {row.path: KeptFile(**row._asdict()) for row in tx.execute(found)}


def table_ids(tx: Tx, workspace_id: str) -> set[str]:
    """The tables that there are."""
    return set(tx.execute(sa.select(tables.c.id).where(tables.c.workspace_id == workspace_id)).scalars())


def mark_removed(tx: Tx, workspace_id: str, file: KeptFile, now: float) -> bool:
    """The first step. Answers False when another process took it, or the file is another one by now."""
    mine = (*_at(workspace_id, file.path), kept_files.c.import_id == file.import_id)
    marked = kept_files.update().where(*mine, kept_files.c.removed_at.is_(None), kept_files.c.bytes == file.bytes)
    if tx.execute(marked.values(removed_at=now)).rowcount == 0:
        return False
    of_import = imports.c.workspace_id == workspace_id, imports.c.id == file.import_id
    named = tx.execute(sa.select(imports.c.files).where(*of_import)).scalar_one_or_none() or []
    # An import that went on after it was incomplete left a file that is not its own any more.
    if any(item["name"] == file.name for item in named):
        tx.execute(imports.update().where(*of_import).values(files_removed_at=now))
    return True


def marked_anywhere(tx: Tx) -> list[tuple[str, KeptFile]]:
    """Those that are said to be removed, and may still be there: (workspace, file)."""
    found = sa.select(kept_files.c.workspace_id, *_FIELDS).where(kept_files.c.removed_at.is_not(None))
    rows: list[dict[str, Any]] = [row._asdict() for row in tx.execute(found)]
    return [(row.pop("workspace_id"), KeptFile(**row)) for row in rows]


def lock_marked(tx: Tx, workspace_id: str, file: KeptFile, places: Iterable[str]) -> bool:
    """Whether the file may go now: it is still the one, and no import to `places` is about to put another there.

    Nobody puts one there until this transaction has ended.
    """
    mine = (*_at(workspace_id, file.path), kept_files.c.import_id == file.import_id)
    still = sa.select(kept_files.c.path).where(*mine, kept_files.c.removed_at.is_not(None)).with_for_update()
    if tx.execute(still).one_or_none() is None:
        return False
    # Its row names the files before they are put in place, under the lock that is ours now.
    about = sa.select(imports.c.files).where(imports.c.place.in_(list(places)), imports.c.status.not_in(FINISHED))
    return not any(tx.execute(about).scalars())


def forget(tx: Tx, workspace_id: str, file: KeptFile) -> None:
    """It is gone."""
    tx.execute(kept_files.delete().where(*_at(workspace_id, file.path), kept_files.c.import_id == file.import_id))


def used(
    tx: Tx, workspace_id: str, *, folder: str, since: float, but: str | None = None, replaced: str | None = None
) -> FilesUsed:
    """What there is, the pages of import `but` and the file at path `replaced` left out.

    Pages count that lie in `folder`, of imports under way and of those that ended short after `since`, which may go on.
    """
    c = kept_files.c
    kept = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(c.bytes), 0)).where(c.workspace_id == workspace_id)
    count, total = tx.execute(kept if replaced is None else kept.where(c.path != replaced)).one()
    i = imports.c
    may_go_on = sa.and_(i.checkpoint.is_not(None), i.status != "complete", i.finished_at > since)
    # Those of buckets wait here too.
    here = sa.or_(*(i.place.startswith(top, autoescape=True) for top in (folder, *(f"{kind}:" for kind in SCHEMES))))
    pages = sa.select(sa.func.coalesce(sa.func.sum(i.bytes), 0)).where(
        i.workspace_id == workspace_id, here, sa.or_(i.status.not_in(FINISHED), may_go_on), i.id != (but or "")
    )
    return FilesUsed(int(count), int(total), int(tx.execute(pages).scalar_one()))


def _at(workspace_id: str, path: str) -> tuple[sa.ColumnElement[bool], ...]:
    return kept_files.c.workspace_id == workspace_id, kept_files.c.path == path
