"""What we keep in somebody's database: a row for each import with its point and its fence, and the pages that wait.

Both tables lie in the destination's schema and are called `keyturn_checkpoints` and `keyturn_pages`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

    Tx = psycopg.Connection[Any]

CHECKPOINTS, PAGES = "keyturn_checkpoints", "keyturn_pages"
# Two workers that come first at one time: the second waits.
_MAKING = 0x6B746368
_MAKE = (
    "create table if not exists {checkpoints} (import_id text primary key, epoch bigint not null, "
    "page bigint not null default 0, read text, completeness text, changed_at timestamptz not null default now()); "
    "create table if not exists {pages} (import_id text not null references {checkpoints} on delete cascade, "
    "number bigint not null, rows bigint not null, data bytea not null, primary key (import_id, number)); "
    "alter table {pages} alter column data set storage external"
)


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one page as an Arrow stream, numbered in the order they came."""

    number: int
    rows: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class State:
    """How far an import is: the last page that landed, the point behind it, and the stamp once it is in place."""

    page: int
    read: dict[str, Any] | None
    completeness: dict[str, Any] | None


def prepare(tx: Tx, schema: str) -> None:
    """Make our tables if they are not there."""
    if _is_there(tx, schema):
        return
    tx.execute("select pg_advisory_xact_lock(%s)", (_MAKING,))
    tx.execute(_sql(_MAKE, schema))


def take(tx: Tx, schema: str, import_id: str, epoch: int) -> State | None:
    """Let this run be the one that counts; None when a later one is. Waits for what an earlier one is committing."""
    words = (
        "insert into {checkpoints} as c (import_id, epoch) values (%s, %s) on conflict (import_id) do update "
        "set epoch = excluded.epoch, changed_at = now() where c.epoch <= excluded.epoch "
        "returning page, read, completeness"
    )
    row = tx.execute(_sql(words, schema), (import_id, epoch)).fetchone()
    return None if row is None else State(row[0], _json(row[1]), _json(row[2]))


def clear(tx: Tx, schema: str, import_id: str) -> None:
    """Begin at the start."""
    tx.execute(_sql("update {checkpoints} set page = 0, read = null where import_id = %s", schema), (import_id,))
    forget_pages(tx, schema, import_id)


def advance(tx: Tx, schema: str, import_id: str, epoch: int, page: int, read: Mapping[str, Any]) -> bool:
    """Write the point down, if this run still counts."""
    words = (
        "update {checkpoints} set page = %s, read = %s, changed_at = now() "
        "where import_id = %s and epoch = %s and completeness is null"
    )
    return tx.execute(_sql(words, schema), (page, json.dumps(read), import_id, epoch)).rowcount == 1


def insert(tx: Tx, schema: str, import_id: str, pages: Sequence[Page]) -> None:
    """Pages that wait; those that are there came with a commit whose answer was lost."""
    words = _sql(
        "insert into {pages} (import_id, number, rows, data) values (%s, %s, %s, %s) on conflict do nothing", schema
    )
    with tx.cursor() as cursor:
        cursor.executemany(words, [(import_id, page.number, page.rows, page.data) for page in pages])


def end(tx: Tx, schema: str, import_id: str, epoch: int, completeness: Mapping[str, Any]) -> bool:
    """Write the end down, if this run still counts."""
    words = "update {checkpoints} set completeness = %s, changed_at = now() where import_id = %s and epoch = %s"
    return tx.execute(_sql(words, schema), (json.dumps(completeness), import_id, epoch)).rowcount == 1


def pages(tx: Tx, schema: str, import_id: str, *, at_once: int) -> Iterator[bytes]:
    """Every page in order, a few in memory at a time."""
    after = 0
    words = _sql(
        "select number, data from {pages} where import_id = %s and number > %s order by number limit %s", schema
    )
    while found := tx.execute(words, (import_id, after, at_once), binary=True).fetchall():
        for number, data in found:
            after = number
            yield data


def last(tx: Tx, schema: str, import_id: str, rows: int) -> list[bytes]:
    """The last pages, in order, that hold at least so many rows."""
    words = _sql(
        "select number, data from (select number, data, coalesce(sum(rows) over (order by number desc rows between "
        "unbounded preceding and 1 preceding), 0) as before from {pages} where import_id = %s) as counted "
        "where before < %s order by number",
        schema,
    )
    return [data for _, data in tx.execute(words, (import_id, rows), binary=True).fetchall()]


def forget_pages(tx: Tx, schema: str, import_id: str) -> None:
    """The pages of one import."""
    tx.execute(_sql("delete from {pages} where import_id = %s", schema), (import_id,))


def imports(tx: Tx, schema: str) -> list[str]:
    """Every import that is remembered."""
    if not _is_there(tx, schema):
        return []
    return [row[0] for row in tx.execute(_sql("select import_id from {checkpoints}", schema)).fetchall()]


def tidy(tx: Tx, schema: str, gone: list[str]) -> int:
    """Forget these imports with their pages; answers how many there were."""
    if not _is_there(tx, schema):
        return 0
    return tx.execute(_sql("delete from {checkpoints} where import_id = any(%s)", schema), (gone,)).rowcount


def _is_there(tx: Tx, schema: str) -> bool:
    words = (
        "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname = %s and c.relname = any(%s)"
    )
    found = tx.execute(words, (schema, [CHECKPOINTS, PAGES])).fetchone()
    return found is not None and found[0] == 2


def _json(text: str | None) -> dict[str, Any] | None:
    return None if text is None else json.loads(text)


def _sql(words: str, schema: str) -> sql.Composed:
    from psycopg import sql

    names = {"checkpoints": sql.Identifier(schema, CHECKPOINTS), "pages": sql.Identifier(schema, PAGES)}
    return sql.SQL(words).format(**names)  # type: ignore[arg-type]  # pyrefly: ignore
