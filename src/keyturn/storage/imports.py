"""Imports: the row is the request and the truth; a fenced lease says who runs it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from keyturn.model.imports import FINISHED, Import, ImportFile, ImportSettings
from keyturn.storage.accounts import accounts
from keyturn.storage.connections import connections
from keyturn.storage.database import Tx, db_now, metadata
from keyturn.storage.tables import tables

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
    }
    tx.execute(imports.insert().values(workspace_id=workspace_id, **start, **values))


def _selection() -> sa.Select[Any]:
    full_name = connections.c.name + "." + tables.c.name
    return (
        sa.select(imports, full_name.label("table_name"), accounts.c.name.label("created_by_name"))
        .join(tables, tables.c.id == imports.c.table_id)
        .join(connections, connections.c.id == tables.c.connection_id)
        .join(accounts, accounts.c.id == imports.c.created_by)
    )


def get(tx: Tx, workspace_id: str, import_id: str) -> Import | None:
    """One import."""
    found = _selection().where(imports.c.workspace_id == workspace_id, imports.c.id == import_id)
    row = tx.execute(found).one_or_none()
    return None if row is None else _noun(row)


def all_of(tx: Tx, workspace_id: str, limit: int, table_id: str | None = None) -> list[Import]:
    """The newest imports of the workspace, or of one table."""
    found = _selection().where(imports.c.workspace_id == workspace_id)
    if table_id is not None:
        found = found.where(imports.c.table_id == table_id)
    return [_noun(row) for row in tx.execute(found.order_by(imports.c.created_at.desc(), imports.c.id).limit(limit))]


def files(tx: Tx, workspace_id: str, import_id: str) -> list[ImportFile]:
    """The finished files of one import."""
    found = sa.select(imports.c.files).where(imports.c.workspace_id == workspace_id, imports.c.id == import_id)
    return [ImportFile(**item) for item in tx.execute(found).scalar_one_or_none() or []]


def claim_anywhere(tx: Tx, *, owner: str, seconds: float) -> tuple[Import, int] | None:
    """Take the oldest import that waits for a worker or whose worker is gone; answers it with its epoch."""
    now = db_now()
    free = sa.or_(imports.c.lease_until.is_(None), imports.c.lease_until < now)
    oldest = (
        sa.select(imports.c.id)
        .where(imports.c.status.in_(("queued", "running", "waiting")), free)
        .order_by(imports.c.created_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    found = (
        imports.update()
        .where(imports.c.id == oldest.scalar_subquery(), free)
        .values(lease_owner=owner, lease_until=now + seconds, lease_epoch=imports.c.lease_epoch + 1, status="running")
        .returning(imports.c.id, imports.c.workspace_id, imports.c.lease_epoch)
    )
    row = tx.execute(found).one_or_none()
    if row is None:
        return None
    claimed = get(tx, row.workspace_id, row.id)
    return None if claimed is None else (claimed, row.lease_epoch)


def progress(tx: Tx, workspace_id: str, import_id: str, epoch: int, *, seconds: float, values: dict[str, Any]) -> bool:
    """Write progress and keep the lease, if it is still ours; answers False when it is not, or cancel was asked."""
    found = (
        imports.update()
        .where(imports.c.workspace_id == workspace_id, imports.c.id == import_id, imports.c.lease_epoch == epoch)
        .values(lease_until=db_now() + seconds, **values)
        .returning(imports.c.cancel_requested)
    )
    cancelled = tx.execute(found).scalar_one_or_none()
    return cancelled is False


def release(tx: Tx, workspace_id: str, import_id: str, epoch: int) -> None:
    """Give an unfinished run back, for another process to take at once."""
    found = imports.update().where(
        imports.c.workspace_id == workspace_id, imports.c.id == import_id, imports.c.lease_epoch == epoch
    )
    tx.execute(found.values(lease_owner=None, lease_until=None))


def finish(tx: Tx, workspace_id: str, import_id: str, epoch: int, values: dict[str, Any]) -> bool:
    """Write the end, if the lease is still ours (the fence)."""
    found = imports.update().where(
        imports.c.workspace_id == workspace_id, imports.c.id == import_id, imports.c.lease_epoch == epoch
    )
    return tx.execute(found.values(lease_owner=None, lease_until=None, waiting=None, **values)).rowcount == 1


def request_cancel(tx: Tx, workspace_id: str, import_id: str, now: float) -> bool:
    """Ask a run to stop; one that nobody runs yet is cancelled at once. Answers whether it was still unfinished."""
    mine = sa.and_(imports.c.workspace_id == workspace_id, imports.c.id == import_id)
    tx.execute(imports.update().where(mine, imports.c.status == "queued").values(status="cancelled", finished_at=now))
    found = imports.update().where(mine, imports.c.status.not_in(FINISHED)).values(cancel_requested=True)
    return tx.execute(found).rowcount == 1


def _noun(row: Any) -> Import:
    return Import(
        id=row.id,
        workspace_id=row.workspace_id,
        settings=ImportSettings.model_validate(row.settings),
        table_name=row.table_name,
        status=row.status,
        rows=row.rows,
        pages=row.pages,
        reported_total=row.reported_total,
        completeness=row.completeness,
        error=row.error,
        waiting=row.waiting,
        cancel_requested=row.cancel_requested,
        created_by=row.created_by,
        created_by_name=row.created_by_name,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
