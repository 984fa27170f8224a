"""Parquet files, and what puts any finished file in its place: measured, made safe, and then one atomic rename.

The completeness stamp is in a Parquet file's key-value metadata, `keyturn.completeness`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from keyturn.destinations.journal import fsync
from keyturn.room import Held, Room

COMPLETENESS_KEY = "keyturn.completeness"
_COMPRESSION = "zstd"
# A row group of a page's hundred rows would cost ten times its encoding, and every reader its patience.
_GROUP_ROWS = 32_768
_GROUP_BYTES = 8 << 20
# A column of which so large a share of the first rows differ gains nothing from a dictionary: looking each value up is
# half of what such a column costs, and the file becomes larger by it.
_LOOKED_AT_ROWS, _UNLIKE = 1024, 0.95
# A row group is encoded while the pages of the next one come; by so many threads for all files of this process: more
# would be no faster, and each has a row group in memory. A file whose turn does not come encodes by itself: those
# before it may be on a disk that hangs.
_ASIDE = min(4, os.cpu_count() or 1)
_encoders = ThreadPoolExecutor(_ASIDE, thread_name_prefix="parquet")
_free = BoundedSemaphore(_ASIDE)
# Rows of all files that wait in memory for their row group; others are read back from where their page lies.
_waiting = Room(32 << 20)
_TURN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Written:
    """A finished file."""

    path: Path
    bytes: int
    sha256: str


class _Group:
    """The rows of a row group to be, and the room that those have which are in memory."""

    def __init__(self) -> None:
        self._batches: list[Callable[[], pa.RecordBatch]] = []
        self._held: list[Held] = []
        self.rows = self.bytes = 0

    def add(self, batch: pa.RecordBatch, again: Callable[[], pa.RecordBatch] | None) -> None:
        size = batch.get_total_buffer_size()
        held = None if again is None else _waiting.offered(size)
        if held is not None:
            self._held.append(held)
        self._batches.append(again if again is not None and held is None else lambda: batch)
        self.rows += batch.num_rows
        self.bytes += size

    def read(self, schema: pa.Schema) -> pa.Table:
        """All of them. Raises OSError when the disk they lie on is away."""
        return pa.Table.from_batches([read() for read in self._batches], schema)

    def let_go(self) -> None:
        """Nobody wants them any more."""
        self._batches.clear()
        for held in self._held:
            held.give_back()


class ParquetWriter:
    """A Parquet file of one schema being written. Pages are gathered into row groups that are worth reading."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path, self.schema = path, schema
        self._writer: pq.ParquetWriter | None = None
        # Made at once, so that a place that takes no files is told before the first page; opened with its first rows.
        self._file: pa.OSFile | None = pa.OSFile(os.fspath(path), "wb")
        self._group = _Group()
        self._aside: Future[None] | None = None

    def add(self, batch: pa.RecordBatch, again: Callable[[], pa.RecordBatch] | None = None) -> None:
        """Append rows. Raises OSError when the disk is full, or was for rows before these.

        Where `again` reads them from a disk they are kept in memory until their row group is whole only if there is
        room.
        """
        if not batch.num_rows:
            return
        self._group.add(batch, again)
        if self._group.rows >= _GROUP_ROWS or self._group.bytes >= _GROUP_BYTES:
            self._write_group()

    def end(self, completeness: Mapping[str, Any]) -> Path:
        """The file with its stamp, closed."""
        self._write_group()
        self._encoded()
        if self._file is not None:
            stamp = {COMPLETENESS_KEY: json.dumps(dict(completeness))}
            self._opened(self._file, self.schema.empty_table()).add_key_value_metadata(stamp)
        self.close()
        return self.path

    def close(self) -> None:
        """Write no more."""
        try:
            self._encoded()
        finally:
            self._group.let_go()
            writer, self._writer = self._writer, None
            file, self._file = self._file, None
            with file or nullcontext():
                if writer is not None:
                    writer.close()

    def _write_group(self) -> None:
        self._encoded()
        group, self._group = self._group, _Group()
        if not group.rows:
            return
        if _free.acquire(timeout=_TURN_SECONDS):
            self._aside = _encoders.submit(self._encode_aside, group)
        else:
            self._encode(group)

    def _encoded(self) -> None:
        """Until the group that is encoded aside is written. Raises what writing it raised."""
        aside, self._aside = self._aside, None
        if aside is not None:
            aside.result()

    def _encode_aside(self, group: _Group) -> None:
        try:
            self._encode(group)
        finally:
            _free.release()

    def _encode(self, group: _Group) -> None:
        try:
            if self._file is not None:
                rows = group.read(self.schema)
                self._opened(self._file, rows).write_table(rows, row_group_size=2 * _GROUP_ROWS)
        finally:
            group.let_go()

    def _opened(self, file: pa.OSFile, rows: pa.Table) -> pq.ParquetWriter:
        """The writer; the first time, with the encodings that suit `rows`."""
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                file, self.schema, compression=_COMPRESSION, use_dictionary=with_dictionary(rows)
            )
        return self._writer


def with_dictionary(rows: pa.Table) -> list[str]:
    """The columns, by their paths in the file, whose values repeat among the first of `rows`, or that are nested."""
    looked_at = rows.slice(0, _LOOKED_AT_ROWS).combine_chunks()
    unlike = {
        name
        for name, column in zip(looked_at.column_names, looked_at.columns, strict=True)
        if not pa.types.is_nested(column.type)
        and len(column.unique()) > _UNLIKE * (len(column) - column.null_count) + 1
    }
    return [path for path in _paths(rows.schema) if path not in unlike]


def _paths(schema: pa.Schema) -> list[str]:
    """What a file of this schema calls its columns, those within nested ones too."""
    made = pa.BufferOutputStream()
    pq.ParquetWriter(made, schema).close()
    columns = pq.ParquetFile(pa.BufferReader(made.getvalue())).schema
    return [columns.column(place).path for place in range(len(columns))]


def measured(made: Path, target: Path) -> Written:
    """What a finished part will be at its place."""
    return Written(target, made.stat().st_size, _sha256(made))


def is_there(written: Written) -> bool:
    """Whether exactly that file lies at its place."""
    path = written.path
    return path.is_file() and path.stat().st_size == written.bytes and _sha256(path) == written.sha256


def swap(made: Path, target: Path) -> None:
    """fsync, then rename over what was there: one step, for readers and for power loss alike."""
    fsync(made)
    made.replace(target)
    fsync(target.parent)


def completeness_of(path: Path) -> dict[str, Any] | None:
    """The stamp in a Parquet file, or None if it has none."""
    metadata = pq.read_metadata(path).metadata or {}
    found = metadata.get(COMPLETENESS_KEY.encode())
    return None if found is None else json.loads(found)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
