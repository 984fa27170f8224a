"""A table's file of any format and mode, whole or not there: rows are staged as Parquet, the end is one atomic rename.

What was at the place before is read for append and update, and stays untouched until the new file is whole.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from keyturn.columns.schema import Schema
from keyturn.destinations.parquet import COMPLETENESS_KEY, ParquetFile, Written, measured, swap
from keyturn.destinations.streams import CsvStream, NdjsonStream
from keyturn.errors import Invalid

Format = Literal["parquet", "csv", "ndjson", "duckdb"]
Mode = Literal["replace", "append", "update"]
_BATCH_ROWS = 8192
_MEMORY = "512MB"


@dataclass(frozen=True, slots=True)
class Way:
    """How a file is written. `key` are the columns an update matches rows by; `table` is a DuckDB file's table."""

    format: Format = "parquet"
    mode: Mode = "replace"
    key: tuple[str, ...] = ()
    table: str = "rows"
    neutralise_formulas: bool = True


class TableFile:
    """A file being made next to `path`. End with `finish` or `discard`."""

    def __init__(self, path: Path, way: Way) -> None:
        self.path, self._way = path, way
        self._staged = ParquetFile(path)
        self._made: Path | None = None
        self.cells_changed = 0

    def add(self, batch: pa.RecordBatch, schema: Schema) -> None:
        """Append rows. Raises OSError when the disk is full."""
        self._staged.add(batch, schema)

    def finish(self, schema: Schema, completeness: Mapping[str, Any], *, path: Path | None = None) -> Written:
        """`make` and `put` in one. Raises as `make` does."""
        written = self.make(schema, completeness, path=path)
        self.put(written)
        return written

    def make(self, schema: Schema, completeness: Mapping[str, Any], *, path: Path | None = None) -> Written:
        """Make the whole file beside its place (or `path`), and say what it will be; `put` is the last step.

        Raises `Invalid` when what is there cannot take the new rows: then it stays as it was.
        """
        target = path or self.path
        staged = self._staged.finish(schema, completeness, path=self._part("staged")).path
        if self._way.format == "parquet" and self._way.mode == "replace":
            self._made = staged
            return measured(staged, target)
        self._made = self._part("made")
        try:
            self._make(staged, self._made, target if target.exists() else None, schema, completeness)
            return measured(self._made, target)
        except BaseException as error:
            self.discard()
            if isinstance(error, duckdb.Error):
                first = str(error).splitlines()[0][:200]
                raise Invalid(
                    f"{target.name} cannot take these rows ({first}). Choose Replace, or another file.", at="mode"
                ) from None
            raise
        finally:
            staged.unlink(missing_ok=True)

    def put(self, written: Written) -> None:
        """Put what `make` made at its place, in one step."""
        if self._made is not None:
            swap(self._made, written.path)
            self._made = None

    def discard(self) -> None:
        """Remove what is unfinished."""
        self._staged.discard()
        if self._made is not None:
            for leftover in (self._made, self._made.with_name(self._made.name + ".wal")):
                leftover.unlink(missing_ok=True)
            self._made = None

    def _part(self, what: str) -> Path:
        return self.path.with_name(f".part-{secrets.token_hex(6)}-{what}-{self.path.name}")

    def _make(
        self, staged: Path, made: Path, before: Path | None, schema: Schema, completeness: Mapping[str, Any]
    ) -> None:
        match self._way.format:
            case "csv":
                encoder = CsvStream(neutralise=self._way.neutralise_formulas)
                self._text(staged, made, before, schema, encoder)
                self.cells_changed = encoder.cells_changed
            case "ndjson":
                self._text(staged, made, before, schema, NdjsonStream())
            case "duckdb":
                _into_duckdb(staged, made, before, self._way)
            case "parquet":
                _into_parquet(staged, made, before, self._way, completeness)

    def _text(
        self, staged: Path, made: Path, before: Path | None, schema: Schema, encoder: CsvStream | NdjsonStream
    ) -> None:
        with made.open("wb") as out, pq.ParquetFile(staged) as source:
            if before is not None and self._way.mode == "append":
                _copy_before(before, out, encoder.header(schema))
                encoder.go_on(schema)
            for batch in source.iter_batches(batch_size=_BATCH_ROWS):
                out.write(encoder.add(batch, schema))
            out.write(encoder.tail(schema))


def _copy_before(before: Path, out: Any, header: bytes) -> None:
    """The rows that are there, if they have the same columns. Raises `Invalid`."""
    with before.open("rb") as source:
        if header and source.read(len(header)) != header:
            raise Invalid(f"{before.name} has other columns. Choose Replace, or another file.", at="mode")
        source.seek(0)
        shutil.copyfileobj(source, out)


def _connected(path: str, act: Callable[[duckdb.DuckDBPyConnection], None]) -> None:
    with duckdb.connect(path, config={"memory_limit": _MEMORY, "threads": 1}) as connection:
        act(connection)


def _into_parquet(staged: Path, made: Path, before: Path | None, way: Way, completeness: Mapping[str, Any]) -> None:
    """Old rows and new ones in one file of the wider schema; with a key, a new row takes the place of an old one."""
    if before is None:
        shutil.copyfile(staged, made)
        return

    def act(connection: duckdb.DuckDBPyConnection) -> None:
        connection.read_parquet(str(before)).create_view("old_rows")
        connection.read_parquet(str(staged)).create_view("new_rows")
        kept = _kept_sql(way)
        both = connection.sql(f"{kept} union all by name select * from new_rows")  # noqa: S608 - names are quoted
        reader = both.to_arrow_reader(_BATCH_ROWS)
        with pq.ParquetWriter(made, reader.schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch)
            writer.add_key_value_metadata({COMPLETENESS_KEY: json.dumps(dict(completeness))})

    _connected(":memory:", act)


def _into_duckdb(staged: Path, made: Path, before: Path | None, way: Way) -> None:
    """One table of a DuckDB file; the file's other tables stay."""
    if before is not None:
        shutil.copyfile(before, made)
    table = _quoted(way.table)

    def act(connection: duckdb.DuckDBPyConnection) -> None:
        connection.begin()
        connection.read_parquet(str(staged)).create_view("keyturn_new_rows")
        there = connection.sql("show tables").fetchall()
        if way.mode == "replace" or (way.table,) not in there:
            connection.execute(f"create or replace table {table} as select * from keyturn_new_rows")  # noqa: S608
        else:
            _add_columns(connection, table)
            if way.mode == "update":
                connection.execute(f"delete from {table} where {_in_new(way.key, 'keyturn_new_rows')}")  # noqa: S608
            connection.execute(f"insert into {table} by name select * from keyturn_new_rows")  # noqa: S608
        connection.execute("drop view keyturn_new_rows")
        connection.commit()
        connection.execute("checkpoint")

    _connected(str(made), act)


def _add_columns(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    known = {row[0] for row in connection.execute(f"describe {table}").fetchall()}
    for name, kind, *_ in connection.execute("describe keyturn_new_rows").fetchall():
        if name not in known:
            connection.execute(f"alter table {table} add column {_quoted(name)} {kind}")


def _kept_sql(way: Way) -> str:
    if way.mode != "update":
        return "select * from old_rows"
    return f"select * from old_rows where not ({_in_new(way.key, 'new_rows')})"  # noqa: S608 - names are quoted


def _in_new(key: Sequence[str], new: str) -> str:
    columns = ", ".join(_quoted(name) for name in key)
    return f"({columns}) in (select {columns} from {new})"  # noqa: S608 - names are quoted


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
