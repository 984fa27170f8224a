"""Rows into one Parquet file for each partition, with one file open at a time and bounded memory.

Rows are gathered, sorted by partition, and appended to a pile on disk for each one; at the end every pile is written as
a Parquet file. Folders are named as Hive and pyarrow do: values percent-encoded, null as `__HIVE_DEFAULT_PARTITION__`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute

from keyturn.columns.schema import Schema
from keyturn.destinations.journal import fsync, remove_folder
from keyturn.destinations.parquet import ParquetWriter, measured
from keyturn.destinations.partitioned.manifest import PartFile
from keyturn.errors import Invalid
from keyturn.model.partitioning import PERIODS, By, check

pc: Any = pyarrow.compute
NULL = "__HIVE_DEFAULT_PARTITION__"
MOST_PARTITIONS = 1000
_GATHERED_BYTES = 16 << 20
_NAME_BYTES = 255


class Partitions:
    """The partitions that rows have been seen of; more than `MOST_PARTITIONS` are refused."""

    def __init__(self, by: Sequence[By]) -> None:
        self._by = by
        self.found: dict[str, int] = {}

    def of(self, rows: pa.RecordBatch | pa.Table) -> pa.Array:
        """The folder of each row, as a dictionary array. Raises `Invalid`."""
        parts = [_segments(_column(rows, item), item) for item in self._by]
        joined = pc.binary_join_element_wise(*parts, "/") if len(parts) > 1 else parts[0]
        folders = joined.dictionary_encode()
        for name in folders.dictionary.to_pylist():
            self.found.setdefault(name, len(self.found))
        if len(self.found) > MOST_PARTITIONS:
            columns = ", ".join(item.name for item in self._by)
            raise _refused(f"{columns} would be more than {MOST_PARTITIONS:,} folders. Choose a column with fewer "
                           "values, or a month in place of a day.")  # fmt: skip
        return folders


class PartitionedWriter:
    """Files called `name` in folders below `folder`; the piles lie in `piles` meanwhile."""

    def __init__(self, folder: Path, piles: Path, by: Sequence[By], schema: Schema, name: str) -> None:
        try:
            check(by, {column.name: column.kind.word for column in schema.columns})
        except ValueError as error:
            raise _refused(str(error)) from None
        self._folder, self._piles, self._name = folder, piles, name
        self._partitions = Partitions(by)
        named = {item.column for item in by if not item.period}
        self._kept = [column.name for column in schema.columns if column.name not in named]
        self._schema = schema.only(self._kept).arrow
        self._gathered: list[pa.RecordBatch] = []
        self._bytes = 0
        folder.mkdir(exist_ok=True)
        piles.mkdir()

    def add(self, batch: pa.RecordBatch) -> None:
        """Append rows. Raises OSError when the disk is full, `Invalid` for too many partitions."""
        if not batch.num_rows:
            return
        self._gathered.append(batch)
        self._bytes += batch.nbytes
        if self._bytes >= _GATHERED_BYTES:
            self._spread()

    def end(self, completeness: Mapping[str, Any]) -> list[PartFile]:
        """Every file, written and safe."""
        self._spread()
        made = [self._file(name, number, completeness) for name, number in sorted(self._partitions.found.items())]
        remove_folder(self._piles)
        for path in sorted({folder for file in made for folder in (self._folder / file.path).parents}):
            if path.is_relative_to(self._folder):
                fsync(path)
        return made

    def _spread(self) -> None:
        if not self._gathered:
            return
        table = pa.Table.from_batches(self._gathered)
        self._gathered, self._bytes = list[pa.RecordBatch](), 0
        folders = self._partitions.of(table)
        order = pc.sort_indices(folders.indices)
        rows = table.select(self._kept).cast(self._schema).take(order)
        start, sorted_ = 0, folders.indices.take(order)
        for item in sorted_.value_counts():
            name, count = folders.dictionary[item["values"].as_py()].as_py(), item["counts"].as_py()
            pile = self._piles / f"{self._partitions.found[name]:06}.arrow"
            with pile.open("ab") as out, pa.ipc.new_stream(out, self._schema) as stream:
                stream.write_table(rows.slice(start, count).combine_chunks())
            start += count

    def _file(self, name: str, number: int, completeness: Mapping[str, Any]) -> PartFile:
        pile = self._piles / f"{number:06}.arrow"
        folder = self._folder / name
        make_folders(folder, below=self._folder)
        writer, rows = ParquetWriter(folder / self._name, self._schema), 0
        try:
            for batch in _batches(pile):
                writer.add(batch)
                rows += batch.num_rows
            made = writer.end(completeness)
        finally:
            writer.close()
        pile.unlink()
        fsync(made)
        written = measured(made, made)
        return PartFile(f"{name}/{self._name}", rows, written.bytes, written.sha256)


def make_folders(folder: Path, *, below: Path) -> None:
    """A folder and those on the way to it. What they lie in is not made anew, since a disk may be away."""
    for path in [*reversed(folder.parents), folder]:
        if path.is_relative_to(below) and path != below:
            path.mkdir(exist_ok=True)


def _batches(pile: Path) -> Iterator[pa.RecordBatch]:
    """A pile is one stream after the other."""
    size = pile.stat().st_size
    with pa.OSFile(str(pile)) as source:
        while source.tell() < size:
            with pa.ipc.open_stream(source) as stream:
                yield from stream


def _column(rows: pa.RecordBatch | pa.Table, by: By) -> pa.Array:
    if by.column not in rows.schema.names:
        return pa.nulls(rows.num_rows, pa.string())  # a column that no row has had yet
    found = rows.column(by.column)
    values = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    if not by.period:
        return values
    return values if values.type == pa.date32() else values.cast(pa.date32(), safe=False)


def _segments(values: pa.Array, by: By) -> pa.Array:
    """`column=value` of each row."""
    distinct = values.dictionary_encode(null_encoding="encode")
    names = pa.array([_segment(by, value) for value in distinct.dictionary.to_pylist()], pa.string())
    return names.take(distinct.indices)


def _segment(by: By, value: Any) -> str:
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    if by.period:
        text = text[: PERIODS[by.period]]
    segment = f"{by.name}={NULL if value is None else quote(text, safe='')}"
    if len(segment.encode()) > _NAME_BYTES:
        raise _refused(f"{by.column} has values that are too long for the name of a folder. Choose another column.")
    return segment


def _refused(sentence: str) -> Invalid:
    return Invalid(sentence, at="destination.partition_by")
