"""One table of a DuckDB file: made, or filled as it stands; or made anew where its columns have to become wider.

DuckDB rounds 7.5 into a column of whole numbers and leaves out fields that a struct does not have, so nothing is given
to it that its columns do not hold. It tells no names apart by case: `ID` beside `id` is `ID_1`.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from keyturn.columns.types import is_json, kind_of, parse_type
from keyturn.destinations.merges import Side, last_of_each_key, merge, same
from keyturn.destinations.parquet import ParquetWriter

if TYPE_CHECKING:
    import duckdb

_BATCH_ROWS = 8192
_MEMORY = "512MB"
_NEW = "keyturn_new_rows"
# Begins the comment on a table in which its columns with JSON text are named.
_MARK = "Keyturn, columns of JSON: "
# Types that somebody gave their columns and whose casts from ours keep each value, or fail.
_WHOLE = {"TINYINT", "SMALLINT", "INTEGER", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"}
_TAKES = {"BIGINT": _WHOLE, "VARCHAR": {"UUID", "JSON"}}


@dataclass(frozen=True, slots=True)
class Filling:
    """What goes where: the rows that came, into which table; `by` is empty where rows are appended or replaced."""

    staged: Path
    table: str
    by: tuple[str, ...]
    replace: bool


def fill(filling: Filling, made: Path, before: Path | None) -> None:
    """The file `made`: what was `before`, and the rows in their table. Raises duckdb.Error, `Invalid`, ArrowInvalid."""
    import duckdb

    if before is not None:
        shutil.copyfile(before, made)
    config: dict[str, bool | float | int | list[str] | str] = {
        "memory_limit": _MEMORY,
        "threads": 1,
        "temp_directory": f"{made}.part",
    }
    with duckdb.connect(str(made), config=config) as connection:
        connection.execute("set TimeZone = 'UTC'")
        tables = {name.lower() for (name,) in connection.sql("show tables").fetchall()}
        connection.begin()
        if filling.replace or filling.table.lower() not in tables:
            _make(connection, filling.table, _last(Side(filling.staged), filling.by))
        else:
            _add(connection, filling)
        connection.commit()
        connection.execute("checkpoint")


def _make(connection: duckdb.DuckDBPyConnection, table: str, rows: Path) -> None:
    connection.read_parquet(str(rows)).create_view(_NEW)
    connection.execute(f"create or replace table {_quoted(table)} as select * from {_NEW}")  # noqa: S608 - quoted
    names = connection.read_parquet(str(rows)).columns
    connection.execute(f"drop view {_NEW}")
    _mark(connection, table, dict(zip(names, pq.read_schema(rows), strict=True)))


def _mark(connection: duckdb.DuckDBPyConnection, table: str, fields: Mapping[str, pa.Field]) -> None:
    """Write down which of its texts are JSON: the table's columns do not tell."""
    kinds = {name: str(kind_of(field)) for name, field in fields.items()}
    told = json.dumps({name: kind for name, kind in kinds.items() if "json" in kind}).replace("'", "''")
    connection.execute(f"comment on table {_quoted(table)} is '{_MARK}{told}'")


def _marks(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str] | None:
    """What `_mark` wrote; None where somebody else, or a former version, made the table."""
    words = "select comment from duckdb_tables() where lower(table_name) = lower(?) and schema_name = current_schema()"
    found = connection.execute(words, [table]).fetchall()
    told = next((text for (text,) in found if text), "")
    return json.loads(told.removeprefix(_MARK)) if told.startswith(_MARK) else None


def _add(connection: duckdb.DuckDBPyConnection, filling: Filling) -> None:
    """Append, or update by key."""
    names = _names_in(connection, filling.staged, filling.table)
    new = Side(filling.staged, names)
    schema = pq.read_schema(filling.staged)
    key = tuple(names[schema.names.index(name)] for name in filling.by)
    if _takes(connection, filling.table, new):
        _insert(connection, filling.table, new, key)
        return
    place = filling.staged.with_name(filling.staged.name + ".there")
    old = Side(_written(connection, filling.table, new, place))
    merged = filling.staged.with_name(filling.staged.name + ".merged")
    merge(old, new, key, merged, {})
    _make(connection, filling.table, merged)


def _names_in(connection: duckdb.DuckDBPyConnection, rows: Path, table: str) -> list[str]:
    """The names of the columns that came, as the database tells them apart, and spelled as they are there."""
    there = {name.lower(): name for name in _described(connection, _quoted(table))}
    return [there.get(name.lower(), name) for name in connection.read_parquet(str(rows)).columns]


def _described(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    return {name: kind for name, kind, *_ in connection.execute(f"describe {relation}").fetchall()}


def _takes(connection: duckdb.DuckDBPyConnection, table: str, new: Side) -> bool:
    """Whether the columns that are there hold what came exactly, as it is."""
    have = _described(connection, _quoted(table))
    kinds = map(str, connection.read_parquet(str(new.path)).types)
    for (name, field), kind in zip(new.fields.items(), kinds, strict=True):
        if name in have and have[name] != kind and have[name] not in _TAKES.get(kind, ()):
            return False
        if have.get(name) == kind and not same(_there(connection, table, field), field):
            return False
    return True


def _there(connection: duckdb.DuckDBPyConnection, table: str, came: pa.Field) -> pa.Field:
    """The field of a column that is there, of the same type as one that came: it may be other text."""
    told = _marks(connection, table)
    if told is not None:
        return parse_type(told[came.name]).field(came.name) if came.name in told else _plain(came)
    if not is_json(came):
        return came
    words = f"select coalesce(bool_and(json_valid({_quoted(came.name)})), true) from {_quoted(table)}"  # noqa: S608
    return came if connection.execute(words).fetchall()[0][0] else _plain(came)


def _plain(field: pa.Field) -> pa.Field:
    """The same type, whose texts are no JSON."""
    kind = kind_of(field)
    return field if kind is None else parse_type(re.sub(r"\bjson\b", "string", str(kind))).field(field.name)


def _last(new: Side, key: Sequence[str]) -> Path:
    """The rows that came; of each key the last."""
    place = new.path.with_name(new.path.name + ".last")
    return place if key and last_of_each_key(new, key, place, {}) else new.path


def _insert(connection: duckdb.DuckDBPyConnection, table: str, new: Side, key: Sequence[str]) -> None:
    name = _quoted(table)
    have = _described(connection, name)
    connection.read_parquet(str(_last(new, key))).create_view(_NEW)
    for column, kind in _described(connection, _NEW).items():
        if column.lower() not in {known.lower() for known in have}:
            connection.execute(f"alter table {name} add column {_quoted(column)} {kind}")
    if (told := _marks(connection, table)) is not None:
        _mark(connection, table, {known: parse_type(kind).field(known) for known, kind in told.items()} | new.fields)
    if key:
        # `=` is true for no null: a row with a null in its key is like no other.
        alike = " and ".join(f"t.{_quoted(k)} = w.{_quoted(k)}" for k in key)
        connection.execute(f"delete from {name} as t where exists (select 1 from {_NEW} as w where {alike})")  # noqa: S608
    connection.execute(f"insert into {name} by name select * from {_NEW}")  # noqa: S608 - names are quoted
    connection.execute(f"drop view {_NEW}")


def _written(connection: duckdb.DuckDBPyConnection, table: str, new: Side, place: Path) -> Path:
    """The rows that are there as Parquet, with the marks of columns that came alike."""
    there = connection.table(_quoted(table))
    told = _marks(connection, table) or {}
    fields = []
    for field in there.limit(0).to_arrow_table().schema:
        came = new.fields.get(field.name)
        if came is not None and _alike(came, field):
            fields.append(_there(connection, table, came))
        else:
            fields.append(parse_type(told[field.name]).field(field.name) if field.name in told else field)
    schema = pa.schema(fields)
    writer = ParquetWriter(place, schema)
    for batch in there.to_arrow_reader(_BATCH_ROWS):
        columns = [column.cast(field.type) for column, field in zip(batch.columns, schema, strict=True)]
        writer.add(pa.RecordBatch.from_arrays(columns, schema=schema))
    return writer.end({})


def _alike(a: pa.Field, b: pa.Field) -> bool:
    """Whether they are of one type but for what is JSON in them."""
    return kind_of(_plain(a)) == kind_of(_plain(b))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
