"""Rows that are there and rows that came in one Parquet file: columns as wide as both need, and no value changes.

With a key, of the rows that came the last one of each key counts, and takes the place of those that are there. A row
with a null in its key is like no other row.
"""

from __future__ import annotations

import itertools
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from keyturn.columns.infer import EXACT_IN_DOUBLE, UNSEEN, join, narrow, public
from keyturn.columns.types import STRING, ColumnType, kind_of
from keyturn.columns.write import cast_column
from keyturn.destinations.parquet import ParquetWriter
from keyturn.errors import Invalid

if TYPE_CHECKING:
    import duckdb

pc: Any = pyarrow.compute
_BATCH_ROWS = 8192
_MEMORY = "512MB"
# The digits of whole numbers that a decimal has to have room for.
_DIGITS = {"int53": 16, "int64": 19}
_DIGITS_MOST = 38


class Side:
    """A Parquet file of one of the two; `names` are other names for its columns, in order."""

    def __init__(self, path: Path, names: Sequence[str] | None = None) -> None:
        self.path = path
        self._file = pq.ParquetFile(path)
        schema = self._file.schema_arrow
        self._names = list(names or schema.names)
        self._read = list(schema)
        self.fields = {name: field.with_name(name) for name, field in zip(self._names, schema, strict=True)}
        self.holds = dict(zip(self._names, self._held(schema), strict=True))

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Its rows in order."""
        for batch in self._file.iter_batches(_BATCH_ROWS):
            yield batch.rename_columns(self._names)

    def keys(self, key: Sequence[str], kinds: Mapping[str, ColumnType]) -> Iterator[pa.RecordBatch]:
        """Its key columns as `k0`, `k1`, … of those types, and `n`, which numbers the rows from 0."""
        places = [self._names.index(name) for name in key]
        start = 0
        fields = [pa.field("n", pa.int64()), *(pa.field(f"k{n}", kinds[name].arrow) for n, name in enumerate(key))]
        yield pa.RecordBatch.from_pylist([], schema=pa.schema(fields))
        for batch in self._file.iter_batches(_BATCH_ROWS, columns=[self._read[place].name for place in places]):
            columns = [
                cast_column(batch.column(self._read[place].name), self._read[place], kinds[name])
                for name, place in zip(key, places, strict=True)
            ]
            numbers = pa.array(range(start, start + batch.num_rows), pa.int64())
            start += batch.num_rows
            yield pa.RecordBatch.from_arrays([numbers, *columns], names=["n", *_marks(key)])

    def _held(self, schema: pa.Schema) -> Iterator[ColumnType | None]:
        """What each column holds: `unseen` where all is null, and less than 64 bits where no number has more."""
        groups = [self._file.metadata.row_group(number) for number in range(self._file.metadata.num_row_groups)]
        first = 0
        for field in schema:
            last = first + _leaves(field.type)
            chunks = [group.column(number) for group in groups for number in range(first, last)]
            kind, first = kind_of(field), last
            if not pa.types.is_nested(field.type) and all(_is_null(chunk) for chunk in chunks):
                yield UNSEEN
            else:
                yield narrow(kind) if kind is not None and all(map(_fits_in_double, chunks)) else kind


@dataclass(frozen=True, slots=True)
class Merged:
    """The columns of both: each with its field, and the type its values are made of."""

    fields: dict[str, pa.Field]
    kinds: dict[str, ColumnType | None]

    @property
    def arrow(self) -> pa.Schema:
        """The Arrow schema."""
        return pa.schema(list(self.fields.values()))

    def cast(self, batch: pa.RecordBatch, before: Mapping[str, pa.Field]) -> pa.RecordBatch:
        """A batch of one side with the columns of both."""
        columns = [self._column(batch, name, field, before) for name, field in self.fields.items()]
        return pa.RecordBatch.from_arrays(columns, schema=self.arrow)

    def _column(self, batch: pa.RecordBatch, name: str, field: pa.Field, before: Mapping[str, pa.Field]) -> pa.Array:
        if name not in before:
            return pa.nulls(batch.num_rows, field.type)
        column, kind = batch.column(list(before).index(name)), self.kinds[name]
        if kind is None or same(before[name], field):
            return column if column.type == field.type else column.cast(field.type)
        return cast_column(column, before[name], kind)


def together(old: Side, new: Side) -> Merged:
    """The columns of both. Raises `Invalid` for one that is of a type which is not ours and differs."""
    fields, kinds = dict(old.fields), {name: kind_of(field) for name, field in old.fields.items()}
    for name, field in new.fields.items():
        have, kind = old.fields.get(name), kind_of(field)
        if have is not None and not same(have, field):
            a, b = old.holds[name], new.holds[name]
            if a is None or b is None:
                raise Invalid(
                    f"{name} is {have.type} in the file, and the new values are {field.type}. Choose Replace, or "
                    "another file.",
                    at="mode",
                )
            joined = _joined(a, b)
            kind = kind if joined == UNSEEN else public(joined)
            fields[name] = field if kind is None else kind.field(name)
        elif have is None:
            fields[name] = field
        kinds[name] = kind
    return Merged(fields, kinds)


def merge(old: Side, new: Side, key: Sequence[str], made: Path, completeness: Mapping[str, Any]) -> None:
    """Both in the file `made`; `key` is empty where rows are appended. Raises `Invalid`, pyarrow.ArrowInvalid."""
    merged = together(old, new)
    gone = late = array("q")
    if key:
        kinds = _key_kinds(merged, old, new, key)
        with _keys_at(made.parent) as connection:
            late = _repeated(connection, new.keys(key, kinds), key)
            gone = _replaced(connection, old.keys(key, kinds), key)
    sides = ((old, gone), (new, late))
    both = (merged.cast(batch, side.fields) for side, without in sides for batch in _without(side.batches(), without))
    _write(made, merged.arrow, both, completeness)


def last_of_each_key(new: Side, key: Sequence[str], made: Path, completeness: Mapping[str, Any]) -> bool:
    """Whether a key came twice: then the rows are in `made` with the last one of each key."""
    kinds = {name: kind for name, field in new.fields.items() if (kind := kind_of(field)) is not None}
    with _keys_at(made.parent) as connection:
        late = _repeated(connection, new.keys(key, kinds), key)
    if not late:
        return False
    _write(made, pa.schema(list(new.fields.values())), _without(new.batches(), late), completeness)
    return True


def _write(made: Path, schema: pa.Schema, rows: Iterable[pa.RecordBatch], completeness: Mapping[str, Any]) -> None:
    writer = ParquetWriter(made, schema)
    try:
        for batch in rows:
            writer.add(batch)
        writer.end(completeness)
    finally:
        writer.close()


def same(a: pa.Field, b: pa.Field) -> bool:
    """Whether values go from one to the other as they are."""
    known = kind_of(a)
    if known is None:
        return a.type == b.type
    return known == kind_of(b) and (a.type == known.arrow) == (b.type == known.arrow)


def _key_kinds(merged: Merged, old: Side, new: Side, key: Sequence[str]) -> dict[str, ColumnType]:
    missing = [name for name in key if name not in old.fields or name not in new.fields]
    if missing:
        raise Invalid(
            f"The key {', '.join(missing)} is no column of both the file and the rows that came. Choose Replace, or "
            "another key.",
            at="mode",
        )
    return {name: merged.kinds[name] or STRING for name in key}


def _keys_at(folder: Path) -> duckdb.DuckDBPyConnection:
    import duckdb

    place = str(folder / "keys.part")
    return duckdb.connect(":memory:", config={"memory_limit": _MEMORY, "threads": 1, "temp_directory": place})


def _repeated(connection: duckdb.DuckDBPyConnection, keys: Iterator[pa.RecordBatch], key: Sequence[str]) -> array[int]:
    """The numbers of rows that came and have the key of a later one; the table `came` has all keys then."""
    _fill(connection, "came", keys)
    marks = ", ".join(_marks(key))
    # Hardly ever does a key come twice, and to count is cheaper than to sort.
    twice = connection.sql(f"select 1 from came group by {marks} having count(*) > 1 limit 1")  # noqa: S608
    if not twice.fetchall():
        return array("q")
    places = f"select n, row_number() over (partition by {marks} order by n desc) as place from came"  # noqa: S608
    return _numbers(connection, f"select n from ({places}) where place > 1 order by n")  # noqa: S608 - names of ours


def _replaced(connection: duckdb.DuckDBPyConnection, keys: Iterator[pa.RecordBatch], key: Sequence[str]) -> array[int]:
    """The numbers of rows that are there and have the key of one that `came`."""
    _fill(connection, "there", keys)
    marks = ", ".join(_marks(key))
    return _numbers(connection, f"select n from there semi join came using ({marks}) order by n")  # noqa: S608


def _fill(connection: duckdb.DuckDBPyConnection, table: str, keys: Iterator[pa.RecordBatch]) -> None:
    """A table of the keys that have no null."""
    first = next(keys)
    whole = " and ".join(f"{name} is not null" for name in first.schema.names)
    connection.register("keys", pa.RecordBatchReader.from_batches(first.schema, itertools.chain([first], keys)))
    connection.execute(f"create table {table} as select * from keys where {whole}")  # noqa: S608 - names of ours
    connection.unregister("keys")


def _numbers(connection: duckdb.DuckDBPyConnection, query: str) -> array[int]:
    found = array("q")
    for batch in connection.sql(query).to_arrow_reader(_BATCH_ROWS):
        found.extend(batch.column(0).to_pylist())
    return found


def _without(batches: Iterable[pa.RecordBatch], dropped: array[int]) -> Iterator[pa.RecordBatch]:
    """The rows but those numbers, which are in order."""
    start = 0
    for batch in batches:
        end = start + batch.num_rows
        here = dropped[bisect_left(dropped, start) : bisect_left(dropped, end)]
        if here:
            numbers = pa.array(range(start, end), pa.int64())
            yield batch.filter(pc.invert(pc.is_in(numbers, value_set=pa.array(here, pa.int64()))))
        else:
            yield batch
        start = end


def _marks(key: Sequence[str]) -> list[str]:
    return [f"k{number}" for number in range(len(key))]


def _joined(a: ColumnType, b: ColumnType) -> ColumnType:
    """As `join`, and decimals with room for the digits of both."""
    words = {a.word, b.word}
    if "decimal" not in words or not words <= {"decimal", *_DIGITS}:
        return join(a, b)
    before = max(kind.precision - kind.scale if kind.word == "decimal" else _DIGITS[kind.word] for kind in (a, b))
    scale = max(a.scale, b.scale)
    return ColumnType("decimal", precision=before + scale, scale=scale) if before + scale <= _DIGITS_MOST else STRING


def _leaves(kind: pa.DataType) -> int:
    """How many columns a type is in Parquet."""
    if pa.types.is_struct(kind):
        return sum(_leaves(field.type) for field in kind)
    if pa.types.is_map(kind):
        return _leaves(kind.key_type) + _leaves(kind.item_type)
    return _leaves(kind.value_type) if pa.types.is_nested(kind) else 1


def _is_null(chunk: Any) -> bool:
    found = chunk.statistics
    return found is not None and found.has_null_count and found.null_count == chunk.num_values


def _fits_in_double(chunk: Any) -> bool:
    """Whether all whole numbers of a part of a column lie within 2^53; also if it has none."""
    found = chunk.statistics
    if chunk.physical_type not in {"INT32", "INT64"} or (found is not None and not found.has_min_max and
                                                          found.null_count == chunk.num_values):  # fmt: skip
        return True
    if found is None or not found.has_min_max:
        return False
    least, most = found.min, found.max
    return not isinstance(least, int) or (least >= -EXACT_IN_DOUBLE and most <= EXACT_IN_DOUBLE)
