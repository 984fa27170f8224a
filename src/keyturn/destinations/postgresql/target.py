"""The table that rows go into: looked at, made, given columns, and filled in one of three ways. All in one transaction.

It is filled in place: views, indexes and rights that hang on it stay, and readers see the rows before until the commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keyturn.destinations.destination import Mode
from keyturn.destinations.postgresql.conversions import exact, fits
from keyturn.errors import Invalid

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

    Tx = psycopg.Connection[Any]

_LOOK = (
    "select c.relkind::text, a.attname::text, format_type(a.atttypid, a.atttypmod) from pg_class c "
    "join pg_namespace n on n.oid = c.relnamespace "
    "left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped "
    "where n.nspname = %s and c.relname = %s order by a.attnum"
)
_TABLES = frozenset({"r", "p"})


@dataclass(frozen=True, slots=True)
class Place:
    """A table's schema and name."""

    schema: str
    table: str

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.schema}.{self.table}"


@dataclass(frozen=True, slots=True)
class TableWay:
    """How a table is filled; `by` are the columns an update matches rows by, as the server names them."""

    mode: Mode = "replace"
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Incoming:
    """The temporary table with the new rows: its columns with their types, and the one that numbers the rows."""

    columns: dict[str, str]
    number: str


def look(tx: Tx, place: Place) -> dict[str, str] | None:
    """The columns that are there with their types; None without the table. Raises `Invalid` for a view."""
    rows = tx.execute(_LOOK, (place.schema, place.table)).fetchall()
    if rows and rows[0][0] not in _TABLES:
        raise Invalid(f"{place.words} is no table there. Choose another name.", at="destination.table")
    return {name: kind for _, name, kind in rows if name is not None} if rows else None


def fill(tx: Tx, place: Place, incoming: Incoming, way: TableWay) -> None:
    """Put the incoming rows into the table. Raises `Invalid` when its columns cannot take them."""
    from psycopg import sql

    there = look(tx, place)
    table = sql.Identifier(place.schema, place.table)
    if there is None:
        tx.execute(sql.SQL("create table {} ({})").format(table, _typed(incoming.columns)))
        there = dict(incoming.columns)
    else:
        tx.execute(sql.SQL("lock table {} in share row exclusive mode").format(table))
        if way.mode == "replace":
            tx.execute(sql.SQL("delete from {}").format(table))
        there = _shape(tx, table, place, there, incoming, empty=way.mode == "replace")
    carried = {name: _carried(name, kind, there[name]) for name, kind in incoming.columns.items()}
    if way.mode == "update":
        _check_key(way.by, incoming)
        _keep_last(tx, incoming, way.by)
        _update(tx, table, carried, way.by)
    _insert(tx, table, incoming, carried, way)


def _shape(
    tx: Tx, table: sql.Identifier, place: Place, there: dict[str, str], incoming: Incoming, *, empty: bool
) -> dict[str, str]:
    """Columns that are missing are added, narrower ones widened; answers what is there then."""
    from psycopg import sql

    shaped = dict(there)
    for name, want in incoming.columns.items():
        have = there.get(name)
        if have is None:
            tx.execute(sql.SQL("alter table {} add column {} {}").format(table, sql.Identifier(name), _raw(want)))
        elif fits(want, have):
            continue
        elif (using := "null" if empty else exact(have, want)) is not None:
            words = "alter table {} alter column {} type {} using ({})::{}"
            value = sql.SQL("null") if empty else _expression(using, sql.Identifier(name))
            tx.execute(sql.SQL(words).format(table, sql.Identifier(name), _raw(want), value, _raw(want)))
        elif exact(want, have) is not None:
            continue
        else:
            raise Invalid(
                f"{name} is {have} in {place.words}, and the new values are {want}. Choose Replace, or another table.",
                at="mode",
            )
        shaped[name] = want
    return shaped


def _carried(name: str, want: str, have: str) -> sql.Composable:
    from psycopg import sql

    return _expression(exact(want, have) or "{0}", sql.Identifier("i", name))


def _check_key(key: Sequence[str], incoming: Incoming) -> None:
    missing = [name for name in key if name not in incoming.columns]
    if missing or not key:
        raise Invalid(f"The key {', '.join(missing)} is no column of the rows that came.", at="mode")


def _keep_last(tx: Tx, incoming: Incoming, key: Sequence[str]) -> None:
    """Of rows with one key the last counts."""
    from psycopg import sql

    columns = sql.SQL(", ").join(map(sql.Identifier, key))
    whole = sql.SQL(" and ").join(sql.SQL("{} is not null").format(sql.Identifier(name)) for name in key)
    words = (
        "delete from pg_temp.keyturn_incoming where {number} in (select {number} from (select {number}, row_number() "
        "over (partition by {columns} order by {number} desc) as place from pg_temp.keyturn_incoming where {whole}) "
        "as counted where place > 1)"
    )
    tx.execute(sql.SQL(words).format(number=sql.Identifier(incoming.number), columns=columns, whole=whole))


def _same_key(carried: dict[str, sql.Composable], key: Sequence[str]) -> sql.Composable:
    from psycopg import sql

    return sql.SQL(" and ").join(sql.SQL("t.{} = {}").format(sql.Identifier(name), carried[name]) for name in key)


def _update(tx: Tx, table: sql.Identifier, carried: dict[str, sql.Composable], key: Sequence[str]) -> None:
    from psycopg import sql

    rest = [(name, value) for name, value in carried.items() if name not in key]
    if not rest:
        return
    pairs = sql.SQL(", ").join(sql.SQL("{} = {}").format(sql.Identifier(name), value) for name, value in rest)
    words = "update {} as t set {} from pg_temp.keyturn_incoming as i where {}"
    tx.execute(sql.SQL(words).format(table, pairs, _same_key(carried, key)))


def _insert(
    tx: Tx, table: sql.Identifier, incoming: Incoming, carried: dict[str, sql.Composable], way: TableWay
) -> None:
    from psycopg import sql

    names = sql.SQL(", ").join(map(sql.Identifier, carried))
    values = sql.SQL(", ").join(carried.values())
    fresh = sql.SQL("")
    if way.mode == "update":
        words = " where not exists (select from {} as t where {})"
        fresh = sql.SQL(words).format(table, _same_key(carried, way.by))
    words = "insert into {} ({}) select {} from pg_temp.keyturn_incoming as i{} order by i.{}"
    tx.execute(sql.SQL(words).format(table, names, values, fresh, sql.Identifier(incoming.number)))


def _typed(columns: dict[str, str]) -> sql.Composable:
    from psycopg import sql

    return sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), _raw(kind)) for name, kind in columns.items()
    )


def _raw(kind: str) -> sql.Composable:
    """A type's name, which is ours or the server's own spelling, never somebody's text."""
    from psycopg import sql

    return sql.SQL(kind)  # type: ignore[arg-type]  # pyrefly: ignore


def _expression(template: str, value: sql.Composable) -> sql.Composable:
    from psycopg import sql

    return sql.SQL(template).format(value)  # type: ignore[arg-type]  # pyrefly: ignore


def make_incoming(tx: Tx, columns: dict[str, str]) -> Incoming:
    """The temporary table, gone when the transaction is."""
    from psycopg import sql

    number = "keyturn_row"
    while number in columns:
        number += "_"
    words = "create temporary table keyturn_incoming ({}, {} bigint generated always as identity) on commit drop"
    tx.execute(sql.SQL(words).format(_typed(columns), sql.Identifier(number)))
    return Incoming(columns, number)
