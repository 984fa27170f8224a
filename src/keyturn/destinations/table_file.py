"""A table's file of any format and mode, whole or not there: pages go into a journal, the end is one atomic rename.

What was at the place before is read for append and update, and stays untouched until the new file is whole.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from keyturn.columns.schema import Schema
from keyturn.columns.write import cast_batch
from keyturn.destinations.duckdb_file import Filling, fill
from keyturn.destinations.journal import Journal, Lying, Segment, remove_folder
from keyturn.destinations.merges import Side, last_of_each_key, merge
from keyturn.destinations.parquet import ParquetWriter, Written, measured, swap
from keyturn.destinations.streams import CsvStream, NdjsonStream
from keyturn.errors import Invalid

Format = Literal["parquet", "csv", "ndjson", "duckdb"]
Mode = Literal["replace", "append", "update"]


@dataclass(frozen=True, slots=True)
class Way:
    """How a file is written. `key` are the columns an update matches rows by; `table` is a DuckDB file's table."""

    format: Format = "parquet"
    mode: Mode = "replace"
    key: tuple[str, ...] = ()
    table: str = "rows"
    neutralise_formulas: bool = True
    # Columns that a folder of Parquet files is divided by; without, it is one file.
    partition_by: tuple[str, ...] = ()


class TableFile:
    """A file being made for `path`; `folder`, on the same disk, holds its pages until then.

    `run` names this process's own files in there; `segments` are what a former run left that counts.
    """

    def __init__(
        self, path: Path, way: Way, folder: Path, *, run: str = "1", segments: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self.path, self._way, self._folder, self._run = path, way, folder, run
        self._journal = Journal(folder, run, segments)
        self._may_go_along = way.format == "parquet" and way.mode == "replace" and not (segments or way.partition_by)
        self._along: ParquetWriter | None = None
        self._made: Path | None = None
        self.cells_changed = 0

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The pages added by now; those made safe by `sync` are what another run may go on from."""
        return self._journal.segments

    @property
    def made(self) -> Path | None:
        """What `make` made, until it is put."""
        return self._made

    def add(self, batch: pa.RecordBatch, schema: Schema) -> None:
        """Append rows. Raises OSError when the disk is full."""
        lying = self._journal.add(batch)
        if self._may_go_along:
            try:
                self._go_along(batch, lying, schema)
            except OSError:
                # The page is in the journal all the same, and the file is made of that at the end.
                self._may_go_along = False
                self._leave()

    def sync(self, segments: Sequence[Segment]) -> None:
        """Make those pages survive a power loss."""
        self._journal.sync(segments)

    def last(self, rows: int) -> list[pa.RecordBatch]:
        """The batches that hold at least the last `rows` rows."""
        return self._journal.last(rows)

    def batches(self, schema: Schema) -> Iterator[pa.RecordBatch]:
        """Every row in order, in the schema they ended with; none is added any more."""
        self._journal.close()
        for batch in self._journal.batches():
            yield cast_batch(batch, schema)

    def finish(self, schema: Schema, completeness: Mapping[str, Any], *, path: Path | None = None) -> Written:
        """`make` and `put` in one. Raises as `make` does."""
        try:
            written = self.make(schema, completeness, path=path)
            self.put(written)
        finally:
            self.discard()
        return written

    def make(self, schema: Schema, completeness: Mapping[str, Any], *, path: Path | None = None) -> Written:
        """Make the whole file beside its place (or `path`), and say what it will be; `put` is the last step.

        Raises `Invalid` when what is there cannot take the new rows: then it stays as it was.
        """
        target = path or self.path
        self._journal.close()
        if self._way.format == "parquet" and self._way.mode == "replace":
            self._made = self._parquet(schema, completeness)
            return measured(self._made, target)
        self._made = self._part("made")
        import duckdb

        try:
            self._make(self._made, target if target.exists() else None, schema, completeness)
        except (duckdb.Error, pa.ArrowInvalid) as error:
            first = str(error).splitlines()[0][:200]
            raise Invalid(
                f"{target.name} cannot take these rows ({first}). Choose Replace, or another file.", at="mode"
            ) from None
        return measured(self._made, target)

    def put(self, written: Written) -> None:
        """Put what `make` made at its place, in one step. Raises FileNotFoundError when another run cleared it away."""
        if self._made is not None:
            swap(self._made, written.path)
            self._made = None

    def close(self) -> None:
        """Stop; the pages that were made safe stay for another run."""
        self._journal.close()
        self._leave()

    def discard(self) -> None:
        """Stop, and forget the pages."""
        self.close()
        remove_folder(self._folder)

    def _go_along(self, batch: pa.RecordBatch, lying: Lying, schema: Schema) -> None:
        """Write the Parquet file beside the pages, so that nothing is left to encode at the end."""
        if self._along is None:
            self._along = ParquetWriter(self._part("along"), schema.arrow)
        if schema.arrow.equals(self._along.schema, check_metadata=True):
            self._along.add(batch, lying.read)
        else:
            # The columns widened: the file is made of the pages at the end.
            self._may_go_along = False
            self._leave()

    def _leave(self) -> None:
        along, self._along = self._along, None
        if along is not None:
            with contextlib.suppress(OSError):  # nobody reads it
                along.close()
            with contextlib.suppress(OSError):
                along.path.unlink()

    def _parquet(self, schema: Schema, completeness: Mapping[str, Any]) -> Path:
        """All rows in one file of the schema they ended with."""
        along, self._along = self._along, None
        if along is not None and along.schema.equals(schema.arrow, check_metadata=True):
            return along.end(completeness)
        writer = ParquetWriter(self._part("rows"), schema.arrow)
        for batch in self.batches(schema):
            writer.add(batch)
        return writer.end(completeness)

    def _part(self, what: str) -> Path:
        self._folder.mkdir(exist_ok=True)
        return self._folder / f"{self._run}-{what}-{secrets.token_hex(3)}{self.path.suffix}"

    def _make(self, made: Path, before: Path | None, schema: Schema, completeness: Mapping[str, Any]) -> None:
        match self._way.format:
            case "csv":
                encoder = CsvStream(neutralise=self._way.neutralise_formulas)
                self._text(made, before, schema, encoder)
                self.cells_changed = encoder.cells_changed
            case "ndjson":
                self._text(made, before, schema, NdjsonStream())
            case "duckdb":
                staged, replace = self._parquet(schema, completeness), self._way.mode == "replace"
                fill(Filling(staged, self._way.table, self._key, replace), made, before)
            case "parquet":
                self._merge(self._parquet(schema, completeness), made, before, completeness)

    def _merge(self, staged: Path, made: Path, before: Path | None, completeness: Mapping[str, Any]) -> None:
        new = Side(staged)
        if before is not None:
            merge(Side(before), new, self._key, made, completeness)
        elif not self._key or not last_of_each_key(new, self._key, made, completeness):
            shutil.copyfile(staged, made)

    @property
    def _key(self) -> tuple[str, ...]:
        return self._way.key if self._way.mode == "update" else ()

    def _text(self, made: Path, before: Path | None, schema: Schema, encoder: CsvStream | NdjsonStream) -> None:
        with made.open("wb") as out:
            if before is not None and self._way.mode == "append":
                _copy_before(before, out, encoder.header(schema))
                encoder.go_on(schema)
            for batch in self.batches(schema):
                out.write(encoder.add(batch, schema))
            out.write(encoder.tail(schema))


def clear_away(folder: Path, segments: Sequence[Mapping[str, Any]], *, but: Collection[str] = ()) -> None:
    """Remove what former runs left in `folder` but the segments that count: a run that lost its lease finds its
    finished file gone and cannot put it in place any more. Files named in `but` stay.
    """
    counted = {*but, *(item["name"] for item in segments)}
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir():
            remove_folder(path)
        elif path.name not in counted:
            path.unlink(missing_ok=True)


def _copy_before(before: Path, out: Any, header: bytes) -> None:
    """The rows that are there, if they have the same columns. Raises `Invalid`."""
    with before.open("rb") as source:
        if header and source.read(len(header)) != header:
            raise Invalid(f"{before.name} has other columns. Choose Replace, or another file.", at="mode")
        source.seek(0)
        shutil.copyfileobj(source, out)
