"""Tables and reads: a saved endpoint with its learned schema, and the stamp of every read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from keyturn.model.estimates import LastRead, LastSample
from keyturn.model.tables import Table, TableColumn, TableSettings
from keyturn.model.validation import stored
from keyturn.storage.accounts import workspaces
from keyturn.storage.connections import connections
from keyturn.storage.database import Tx, metadata

tables = sa.Table(
    "tables",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    sa.Column("connection_id", sa.Text, sa.ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("columns", sa.JSON),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    sa.Column("last_read_at", sa.Double),
    # When an import last brought rows that were not there before, and what marks them: the files' checksums.
    sa.Column("new_data_at", sa.Double),
    sa.Column("data_mark", sa.Text),
    # What the last sample and the last read of the whole came to; an estimate is made of them.
    sa.Column("last_sample", sa.JSON(none_as_null=True)),
    sa.Column("last_read", sa.JSON(none_as_null=True)),
    sa.UniqueConstraint("connection_id", "name"),
)
reads = sa.Table(
    "reads",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    sa.Column("table_id", sa.Text, sa.ForeignKey("tables.id", ondelete="CASCADE"), nullable=False),
    sa.Column("completeness", sa.JSON),
    sa.Column("error", sa.JSON),
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("finished_at", sa.Double),
)


def insert(tx: Tx, workspace_id: str, values: dict[str, Any]) -> None:
    """A new table; `values` are the other columns."""
    tx.execute(tables.insert().values(workspace_id=workspace_id, **values))


def _selection(workspace_id: str) -> sa.Select[Any]:
    return (
        sa.select(tables, connections.c.name.label("connection_name"))
        .join(connections, connections.c.id == tables.c.connection_id)
        .where(tables.c.workspace_id == workspace_id)
    )


def get(tx: Tx, workspace_id: str, table_id: str) -> Table | None:
    """One table."""
    row = tx.execute(_selection(workspace_id).where(tables.c.id == table_id)).one_or_none()
    return None if row is None else _noun(row)


def by_name(tx: Tx, workspace_id: str, connection_name: str, name: str) -> Table | None:
    """The table called `connection.table`."""
    found = _selection(workspace_id).where(connections.c.name == connection_name, tables.c.name == name)
    row = tx.execute(found).one_or_none()
    return None if row is None else _noun(row)


def all_of(tx: Tx, workspace_id: str, connection_id: str | None = None) -> list[Table]:
    """The workspace's tables, or one connection's, by full name."""
    found = _selection(workspace_id)
    if connection_id is not None:
        found = found.where(tables.c.connection_id == connection_id)
    return [_noun(row) for row in tx.execute(found.order_by(connections.c.name, tables.c.name))]


def room_left(tx: Tx, workspace_id: str, connection_id: str) -> tuple[int, int] | None:
    """How many tables a connection has, and how many it may have; None where any number may be.

    The workspace's row is held until the transaction ends, so that two who ask at once are counted one by one.
    """
    c = workspaces.c
    most = tx.execute(sa.select(c.endpoints_per_connection).where(c.id == workspace_id)).scalar_one()
    if most is None:
        return None
    most = tx.execute(sa.select(c.endpoints_per_connection).where(c.id == workspace_id).with_for_update()).scalar_one()
    count = sa.select(sa.func.count()).where(
        tables.c.workspace_id == workspace_id, tables.c.connection_id == connection_id
    )
    return None if most is None else (tx.execute(count).scalar_one(), most)


def name_taken(tx: Tx, workspace_id: str, connection_id: str, name: str, *, except_id: str | None = None) -> bool:
    """Whether another table of the connection has that name."""
    found = sa.select(tables.c.id).where(
        tables.c.workspace_id == workspace_id, tables.c.connection_id == connection_id, tables.c.name == name
    )
    if except_id is not None:
        found = found.where(tables.c.id != except_id)
    return tx.execute(found).first() is not None


def update(tx: Tx, workspace_id: str, table_id: str, values: dict[str, Any]) -> bool:
    """Set columns; answers whether it was there."""
    found = tables.update().where(tables.c.workspace_id == workspace_id, tables.c.id == table_id)
    return tx.execute(found.values(**values)).rowcount == 1


def delete(tx: Tx, workspace_id: str, table_id: str) -> bool:
    """Remove it with its reads and imports; finished files stay where they are."""
    found = tables.delete().where(tables.c.workspace_id == workspace_id, tables.c.id == table_id)
    return tx.execute(found).rowcount == 1


def note_data(tx: Tx, workspace_id: str, table_id: str, mark: str, now: float) -> bool:
    """An import brought what `mark` marks; answers whether it is something new."""
    c = tables.c
    other = sa.or_(c.data_mark.is_(None), c.data_mark != mark)
    found = tables.update().where(c.workspace_id == workspace_id, c.id == table_id, other)
    return tx.execute(found.values(data_mark=mark, new_data_at=now)).rowcount == 1


def watched_anywhere(tx: Tx) -> list[tuple[Table, float]]:
    """Tables whose new data is waited for, and since when: the last of it, or when the table was made."""
    found = (
        sa.select(tables, connections.c.name.label("connection_name"))
        .join(connections, connections.c.id == tables.c.connection_id)
        .where(tables.c.settings["no_new_data_days"].as_integer().is_not(None), connections.c.paused.is_(False))
    )
    return [(_noun(row), row.new_data_at or row.created_at) for row in tx.execute(found)]


def counts_by_connection(
    tx: Tx, workspace_id: str, connection_ids: Sequence[str] | None = None
) -> dict[str, tuple[int, float | None]]:
    """For each connection, or for some: how many tables, and when one was last read."""
    found = (
        sa.select(tables.c.connection_id, sa.func.count(), sa.func.max(tables.c.last_read_at))
        .where(tables.c.workspace_id == workspace_id)
        .group_by(tables.c.connection_id)
    )
    if connection_ids is not None:
        found = found.where(tables.c.connection_id.in_(connection_ids))
    return {row[0]: (row[1], row[2]) for row in tx.execute(found)}


def insert_read(tx: Tx, workspace_id: str, read_id: str, table_id: str, now: float) -> None:
    """A read begins."""
    tx.execute(reads.insert().values(id=read_id, workspace_id=workspace_id, table_id=table_id, started_at=now))


def finish_read(
    tx: Tx,
    workspace_id: str,
    read_id: str,
    *,
    completeness: dict[str, Any] | None,
    error: dict[str, Any] | None,
    now: float,
) -> None:
    """A read ended with this stamp."""
    found = reads.update().where(reads.c.workspace_id == workspace_id, reads.c.id == read_id)
    tx.execute(found.values(completeness=completeness, error=error, finished_at=now))


def get_read(tx: Tx, workspace_id: str, read_id: str) -> dict[str, Any] | None:
    """One read with its columns."""
    found = sa.select(reads).where(reads.c.workspace_id == workspace_id, reads.c.id == read_id)
    row = tx.execute(found).one_or_none()
    return None if row is None else row._asdict()


def _noun(row: Any) -> Table:
    columns = None if row.columns is None else tuple(TableColumn(**column) for column in row.columns)
    return Table(
        id=row.id,
        workspace_id=row.workspace_id,
        connection_name=row.connection_name,
        settings=stored(TableSettings, row.settings),
        columns=columns,
        evidence=tuple(row.evidence),
        created_at=row.created_at,
        updated_at=row.updated_at,
        last_read_at=row.last_read_at,
        last_sample=None if row.last_sample is None else LastSample(**row.last_sample),
        last_read=None if row.last_read is None else LastRead(**row.last_read),
    )
