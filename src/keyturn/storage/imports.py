"""Imports: the row is the request and the truth; a fenced lease says who runs it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from keyturn.model.imports import FINISHED, Import, ImportFile, ImportSettings
from keyturn.model.validation import stored
from keyturn.storage.accounts import accounts
from keyturn.storage.connections import connections
from keyturn.storage.database import Tx, db_now, metadata
from keyturn.storage.tables import tables
from keyturn.storage.wakeups import notify

# Wakes who runs imports: there is one to take.
QUEUED = "imports"

imports = sa.Table(
    "imports",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    sa.Column("table_id", sa.Text, sa.ForeignKey("tables.id", ondelete="CASCADE"), nullable=False),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("status", sa.Text, nullable=False, index=True),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("pages", sa.BigInteger, nullable=False),
    sa.Column("reported_total", sa.BigInteger),
    sa.Column("completeness", sa.JSON),
    sa.Column("error", sa.JSON),
    sa.Column("waiting", sa.JSON),
    sa.Column("files", sa.JSON, nullable=False),
    sa.Column("cancel_requested", sa.Boolean, nullable=False),
    sa.Column("created_by", sa.Text, sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("started_at", sa.Double),
    sa.Column("finished_at", sa.Double),
    sa.Column("lease_owner", sa.Text),
    sa.Column("lease_until", sa.Double),
    sa.Column("lease_epoch", sa.Integer, nullable=False),
    # Where the rows go; one import at a time writes there.
    sa.Column("place", sa.Text),
    # The pages that are safe, and the point behind them: `{"read": …, "segments": […]}`.
    sa.Column("checkpoint", sa.JSON(none_as_null=True)),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_attempt_at", sa.Double),
    # The schedule that asked for it, and the moment it did that for: once.
    sa.Column("schedule_id", sa.Text),
    sa.Column("due_at", sa.Double),
    # What its pages take, uncompressed.
    sa.Column("bytes", sa.BigInteger, nullable=False, server_default="0"),
    # When its files were removed, because they were old enough.
    sa.Column("files_removed_at", sa.Double),
)
sa.Index("uq_imports_schedule_due", imports.c.schedule_id, imports.c.due_at, unique=True)
_AT_WORK = ("running", "waiting")
sa.Index(
    "uq_imports_place_at_work",
    imports.c.place,
    unique=True,
    sqlite_where=imports.c.status.in_(_AT_WORK),
    postgresql_where=imports.c.status.in_(_AT_WORK),
)


def insert(tx: Tx, workspace_id: str, values: dict[str, Any]) -> None:
    """A new request to import; `values` are the other columns."""
    start: dict[str, Any] = {
        "status": "queued",
        "rows": 0,
        "pages": 0,
        "files": [],
        "cancel_requested": False,
        "lease_epoch": 0,
        "attempts": 0,
    }
    tx.execute(imports.insert().values(workspace_id=workspace_id, **start, **values))
    notify(tx, QUEUED)


def _selection() -> sa.Select[*tuple[Any, ...]]:
    full_name = connections.c.name + "." + tables.c.name
    shown = [column for column in imports.c if column is not imports.c.checkpoint]
    kept = imports.c.checkpoint.is_not(None).label("has_checkpoint")
    return (
        sa.select(*shown, kept, full_name.label("table_name"), accounts.c.name.label("created_by_name"))
        .join(tables, tables.c.id == imports.c.table_id)
        .join(connections, connections.c.id == tables.c.connection_id)
        .join(accounts, accounts.c.id == imports.c.created_by)
    )


def get(tx: Tx, workspace_id: str, import_id: str) -> Import | None:
    """One import."""
    found = _selection().where(imports.c.workspace_id == workspace_id, imports.c.id == import_id)
    row = tx.execute(found).one_or_none()
    return None if row is None else _noun(row)


def all_of(
    tx: Tx, workspace_id: str, limit: int, table_id: str | None = None, status: str | None = None
) -> list[Import]:
    """The newest imports of the workspace, or of one table, or of those with one status."""
    found = _selection().where(imports.c.workspace_id == workspace_id)
    if table_id is not None:
        found = found.where(imports.c.table_id == table_id)
    if status is not None:
        found = found.where(imports.c.status == status)
    return [_noun(row) for row in tx.execute(found.order_by(imports.c.created_at.desc(), imports.c.id).limit(limit))]


def files(tx: Tx, workspace_id: str, import_id: str) -> list[ImportFile]:
    """The finished files of one import."""
    found = sa.select(imports.c.files).where(imports.c.workspace_id == workspace_id, imports.c.id == import_id)
    return [ImportFile(**item) for item in tx.execute(found).scalar_one_or_none() or []]


def checkpoint(tx: Tx, workspace_id: str, import_id: str) -> dict[str, Any] | None:
    """The pages of one import that are safe, and where its reading goes on."""
    mine = sa.and_(imports.c.workspace_id == workspace_id, imports.c.id == import_id)
    return tx.execute(sa.select(imports.c.checkpoint).where(mine)).scalar_one_or_none()


def claim_anywhere(tx: Tx, *, owner: str, seconds: float, but: Sequence[str] = ()) -> tuple[Import, int] | None:
    """Take an import that is due and that nobody holds; answers it with its epoch. Those in `but` are left.

    First of a workspace that has the fewest at work, then the oldest; never two at the same place.
    """
    now = db_now()
    free = sa.and_(
        sa.or_(imports.c.lease_until.is_(None), imports.c.lease_until < now),
        sa.or_(imports.c.next_attempt_at.is_(None), imports.c.next_attempt_at <= now),
    )
    other = imports.alias()
    busy = sa.exists().where(other.c.place == imports.c.place, other.c.id != imports.c.id, other.c.status.in_(_AT_WORK))
    neighbours = sa.select(sa.func.count()).where(
        other.c.workspace_id == imports.c.workspace_id, other.c.status.in_(_AT_WORK), other.c.lease_until >= now
    )
    next_one = (
        sa.select(imports.c.id)
        .where(imports.c.status.in_(("queued", *_AT_WORK)), imports.c.id.not_in(but), free, ~busy)
        .order_by(neighbours.scalar_subquery(), imports.c.created_at, imports.c.id)
        .limit(1)
        .with_for_update(skip_locked=True, of=imports)
    )
    found = (
        imports.update()
        .where(imports.c.id == next_one.scalar_subquery(), free)
        .values(
            lease_owner=owner,
            lease_until=now + seconds,
            lease_epoch=imports.c.lease_epoch + 1,
            status="running",
            waiting=sa.null(),
            next_attempt_at=None,
        )
        .returning(imports.c.id, imports.c.workspace_id, imports.c.lease_epoch)
    )
    row = tx.execute(found).one_or_none()
    if row is None:
        return None
    claimed = get(tx, row.workspace_id, row.id)
    return None if claimed is None else (claimed, row.lease_epoch)


def claim_many_anywhere(
    tx: Tx, *, owner: str, seconds: float, most: int, but: Sequence[str] = ()
) -> list[tuple[Import, int]]:
    """`claim_anywhere` up to `most` times, each as fair as if it were alone."""
    found: list[tuple[Import, int]] = []
    while len(found) < most:
        taken = [*but, *(item.id for item, _ in found)]
        one = claim_anywhere(tx, owner=owner, seconds=seconds, but=taken)
        if one is None:
            break
        found.append(one)
    return found


def free_anywhere(tx: Tx) -> None:
    """Every lease given back: for a process that knows that it is the only one, at its start."""
    tx.execute(imports.update().where(imports.c.lease_until.is_not(None)).values(lease_owner=None, lease_until=None))


def progress(tx: Tx, workspace_id: str, import_id: str, epoch: int, *, seconds: float, values: dict[str, Any]) -> bool:
    """Write progress and keep the lease, if it is still ours; answers False when it is not, or cancel was asked."""
    found = _held(workspace_id, import_id, epoch).values(lease_until=db_now() + seconds, **values)
    return tx.execute(found.returning(imports.c.cancel_requested)).scalar_one_or_none() is False


@dataclass(frozen=True, slots=True)
class Progress:
    """What `progress` is told."""

    workspace_id: str
    import_id: str
    epoch: int
    seconds: float
    values: dict[str, Any]


def progress_of_many(tx: Tx, many: list[Progress]) -> list[bool]:
    """`progress` of several imports."""
    return [
        progress(tx, one.workspace_id, one.import_id, one.epoch, seconds=one.seconds, values=one.values) for one in many
    ]


def release(tx: Tx, workspace_id: str, import_id: str, epoch: int) -> None:
    """Give an unfinished run back, for another process to take at once."""
    tx.execute(_held(workspace_id, import_id, epoch).values(lease_owner=None, lease_until=None))


def park(
    tx: Tx, workspace_id: str, import_id: str, epoch: int, *, seconds: float, attempts: int, waiting: dict[str, Any]
) -> bool:
    """Give a run back, to be taken again after `seconds`; False when it is not ours, or cancel was asked."""
    values = {"status": "waiting", "waiting": waiting, "attempts": attempts, "lease_owner": None, "lease_until": None}
    found = _held(workspace_id, import_id, epoch).where(imports.c.cancel_requested.is_(False))
    return tx.execute(found.values(next_attempt_at=db_now() + seconds, **values)).rowcount == 1


def finish(tx: Tx, workspace_id: str, import_id: str, epoch: int, values: dict[str, Any]) -> bool:
    """Write the end, if the lease is still ours (the fence), and wake who waits for it by the import's id."""
    notify(tx, import_id)
    ended: dict[str, Any] = {"lease_owner": None, "lease_until": None, "waiting": None, "next_attempt_at": None}
    return tx.execute(_held(workspace_id, import_id, epoch).values(**ended, **values)).rowcount == 1


def request_cancel(tx: Tx, workspace_id: str, import_id: str, now: float) -> bool:
    """Ask a run to stop; one that nobody holds is cancelled at once. Answers whether it was still unfinished."""
    mine = sa.and_(imports.c.workspace_id == workspace_id, imports.c.id == import_id)
    unfinished = sa.and_(mine, imports.c.status.not_in(FINISHED))
    unheld = sa.or_(imports.c.lease_until.is_(None), imports.c.lease_until < db_now())
    notify(tx, import_id)
    asked = tx.execute(imports.update().where(unfinished).values(cancel_requested=True)).rowcount == 1
    ended = {"status": "cancelled", "finished_at": now, "waiting": None, "next_attempt_at": None}
    # Raising the epoch fences off a process that is late and not dead.
    tx.execute(
        imports.update().where(unfinished, unheld).values(lease_epoch=imports.c.lease_epoch + 1, files=[], **ended)
    )
    return asked


def queue_again(tx: Tx, workspace_id: str, import_id: str, *, anew: bool) -> bool:
    """Let an import that has ended go on, or begin `anew`. Answers False when it has not ended, or has ended well."""
    found = imports.update().where(
        imports.c.workspace_id == workspace_id,
        imports.c.id == import_id,
        imports.c.status.in_(FINISHED - {"complete"}),
    )
    values: dict[str, Any] = {"status": "queued", "cancel_requested": False, "attempts": 0, "finished_at": None}
    values |= {"error": None, "completeness": None, "files": [], "next_attempt_at": None, "files_removed_at": None}
    if anew:
        values |= {"checkpoint": None, "rows": 0, "pages": 0, "bytes": 0}
    notify(tx, QUEUED)
    return tx.execute(found.values(**values)).rowcount == 1


def end_unfinished_anywhere(tx: Tx, now: float, error: dict[str, Any]) -> int:
    """All that has not ended has failed with `error`, whoever runs it. Answers how many."""
    ended: dict[str, Any] = {"status": "failed", "finished_at": now, "error": error, "waiting": None}
    ended |= {"next_attempt_at": None, "lease_owner": None, "lease_until": None, "files": []}
    found = imports.update().where(imports.c.status.not_in(FINISHED))
    return tx.execute(found.values(lease_epoch=imports.c.lease_epoch + 1, **ended)).rowcount


def unfinished_of(tx: Tx, workspace_id: str, schedule_id: str) -> list[str]:
    """The status of each import of a schedule that has not ended."""
    mine = sa.and_(imports.c.workspace_id == workspace_id, imports.c.schedule_id == schedule_id)
    return list(tx.execute(sa.select(imports.c.status).where(mine, imports.c.status.not_in(FINISHED))).scalars())


def is_met(tx: Tx, schedule_id: str, due_at: float) -> bool:
    """Whether a schedule asked for an import for that moment."""
    mine = sa.and_(imports.c.schedule_id == schedule_id, imports.c.due_at == due_at)
    return tx.execute(sa.select(sa.exists().where(mine))).scalar_one()


def destinations_at_work(tx: Tx, workspace_id: str) -> set[str]:
    """The destinations that imports which have not ended write to."""
    mine = sa.and_(imports.c.workspace_id == workspace_id, imports.c.status.not_in(FINISHED))
    found = tx.execute(sa.select(imports.c.settings).where(mine)).scalars()
    ids = (settings.get("destination", {}).get("destination_id") for settings in found)
    return {destination_id for destination_id in ids if destination_id}


def place(tx: Tx, workspace_id: str, import_id: str) -> str:
    """Where the rows of one import go, as one word."""
    mine = sa.and_(imports.c.workspace_id == workspace_id, imports.c.id == import_id)
    return tx.execute(sa.select(imports.c.place).where(mine)).scalar_one_or_none() or ""


def states_anywhere(tx: Tx, import_ids: Iterable[str]) -> dict[str, tuple[str, float | None]]:
    """(status, when it ended) of imports in any workspace, for tidying up behind them."""
    found = sa.select(imports.c.id, imports.c.status, imports.c.finished_at).where(imports.c.id.in_(list(import_ids)))
    return {row.id: (row.status, row.finished_at) for row in tx.execute(found)}


def _held(workspace_id: str, import_id: str, epoch: int) -> sa.Update:
    return imports.update().where(
        imports.c.workspace_id == workspace_id, imports.c.id == import_id, imports.c.lease_epoch == epoch
    )


def _noun(row: Any) -> Import:
    return Import(
        id=row.id,
        workspace_id=row.workspace_id,
        settings=stored(ImportSettings, row.settings),
        table_name=row.table_name,
        status=row.status,
        rows=row.rows,
        pages=row.pages,
        reported_total=row.reported_total,
        completeness=row.completeness,
        error=row.error,
        waiting=row.waiting,
        cancel_requested=row.cancel_requested,
        attempts=row.attempts,
        has_checkpoint=row.has_checkpoint,
        schedule_id=row.schedule_id,
        created_by=row.created_by,
        created_by_name=row.created_by_name,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        bytes=row.bytes,
        files_removed_at=row.files_removed_at,
    )
