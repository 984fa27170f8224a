"""One Parquet file, whole or not there: unfinished parts are named `.part-*`, and the end is one atomic rename.

When the schema widens while rows flow in, the rows so far stay in a closed part; at the end all parts become one
file of the widest schema. The completeness stamp is in the file's key-value metadata, `keyturn.completeness`.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from keyturn.columns.schema import Schema
from keyturn.columns.write import cast_batch

COMPLETENESS_KEY = "keyturn.completeness"
_COMPRESSION = "zstd"


@dataclass(frozen=True, slots=True)
class Written:
    """A finished file."""

    path: Path
    bytes: int
    sha256: str


class ParquetFile:
    """A Parquet file being written next to `path`. End with `finish` or `discard`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stem = f".part-{secrets.token_hex(6)}-{path.name}"
        self._parts: list[Path] = []
        self._writer: pq.ParquetWriter | None = None
        self._schema: Schema | None = None

    def add(self, batch: pa.RecordBatch, schema: Schema) -> None:
        """Append rows of `schema`, which may be wider than before. Raises OSError when the disk is full."""
        if self._writer is None or schema.arrow != (self._schema and self._schema.arrow):
            self._open(schema)
        if self._writer is not None and batch.num_rows:
            self._writer.write_batch(batch)

    def finish(self, schema: Schema, completeness: Mapping[str, Any], *, path: Path | None = None) -> Written:
        """Put the file at its place (or at `path`) in one step: fsync, then rename over what was there."""
        if self._writer is None or schema.arrow != (self._schema and self._schema.arrow):
            self._open(schema)
        stamp = {COMPLETENESS_KEY: json.dumps(completeness)}
        whole = self._parts[-1]
        if len(self._parts) > 1:
            self._close()
            whole = self._merge(schema, stamp)
        elif self._writer is not None:
            self._writer.add_key_value_metadata(stamp)
            self._close()
        written = put_in_place(whole, path or self.path)
        self.discard()
        return written

    def discard(self) -> None:
        """Remove every unfinished part; what was at `path` before is untouched."""
        self._close()
        for part in self._parts:
            part.unlink(missing_ok=True)
        self._parts = []

    def _open(self, schema: Schema) -> None:
        self._close()
        part = self.path.parent / f"{self._stem}-{len(self._parts)}"
        self._parts.append(part)
        self._writer = pq.ParquetWriter(part, schema.arrow, compression=_COMPRESSION)
        self._schema = schema

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _merge(self, schema: Schema, stamp: Mapping[str, str]) -> Path:
        whole = self.path.parent / f"{self._stem}-whole"
        self._parts.append(whole)
        with pq.ParquetWriter(whole, schema.arrow, compression=_COMPRESSION) as writer:
            for part in self._parts[:-1]:
                with pq.ParquetFile(part) as source:
                    for batch in source.iter_batches():
                        writer.write_batch(cast_batch(batch, schema))
            writer.add_key_value_metadata(dict(stamp))
        return whole


def put_in_place(made: Path, target: Path) -> Written:
    """Put a finished part at its place in one step: fsync, then rename over what was there."""
    written = measured(made, target)
    swap(made, target)
    return written


def measured(made: Path, target: Path) -> Written:
    """What a finished part will be at its place."""
    return Written(target, made.stat().st_size, _sha256(made))


def is_there(written: Written) -> bool:
    """Whether exactly that file lies at its place."""
    path = written.path
    return path.is_file() and path.stat().st_size == written.bytes and _sha256(path) == written.sha256


def swap(made: Path, target: Path) -> None:
    """fsync, then rename over what was there: one step, for readers and for power loss alike."""
    _sync(made)
    made.replace(target)
    _sync(target.parent)


def completeness_of(path: Path) -> dict[str, Any] | None:
    """The stamp in a Parquet file, or None if it has none."""
    metadata = pq.read_metadata(path).metadata or {}
    found = metadata.get(COMPLETENESS_KEY.encode())
    return None if found is None else json.loads(found)


def remove_leftovers(folder: Path) -> int:
    """Remove unfinished parts that a killed process left; answers how many. Call while nothing writes there."""
    leftovers = list(folder.rglob(".part-*")) if folder.is_dir() else []
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
    return len(leftovers)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
