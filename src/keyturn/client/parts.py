"""A table with its child tables (relational model): Parquet files in one ZIP, of one fetch, each with the stamp."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from keyturn.client.completeness import Completeness
from keyturn.client.reads import STAMP_KEY, short
from keyturn.client.transport import Transport
from keyturn.errors import IncompleteData

if TYPE_CHECKING:
    from keyturn.client.tables import Table


@dataclass(frozen=True, slots=True)
class Parts:
    """Arrow tables by name, the parent first, and the stamp of the read."""

    tables: dict[str, pa.Table]
    completeness: Completeness

    def __getitem__(self, name: str) -> pa.Table:
        return self.tables[name]


def read(transport: Transport, table: Table, asked: Mapping[str, str], *, allow_incomplete: bool) -> Parts:
    """Everything in memory. Raises `IncompleteData` unless it was allowed."""
    with _downloaded(transport, table, asked) as archive:
        found = {name.removesuffix(".parquet"): _read(archive, name) for name in archive.namelist()}
        return Parts(found, _stamp(table, archive, allow_incomplete=allow_incomplete))


def save(transport: Transport, table: Table, asked: Mapping[str, str], folder: Path) -> list[str]:
    """The files, in the folder. Raises `IncompleteData`, and nothing is written then."""
    with _downloaded(transport, table, asked) as archive:
        _stamp(table, archive, allow_incomplete=False)
        archive.extractall(folder)
        return archive.namelist()


def _read(archive: zipfile.ZipFile, name: str) -> pa.Table:
    with archive.open(name) as file:
        return pq.read_table(pa.BufferReader(file.read()))


def _stamp(table: Table, archive: zipfile.ZipFile, *, allow_incomplete: bool) -> Completeness:
    with archive.open(archive.namelist()[0]) as file:
        metadata = pq.read_metadata(file).metadata or {}
    completeness = Completeness.of(json.loads(metadata.get(STAMP_KEY, b"{}")))
    if completeness.is_short and not allow_incomplete:
        raise short(table.name, completeness)
    return completeness


@contextmanager
def _downloaded(transport: Transport, table: Table, asked: Mapping[str, str]) -> Iterator[zipfile.ZipFile]:
    """The ZIP, open, and gone afterwards. Raises `IncompleteData` when it did not come whole."""
    params = {**asked, "format": "parquet", "part": "*"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "parts.zip"
        with transport.stream("GET", f"{table.route}/rows", params=params) as response, path.open("wb") as file:
            for chunk in response.iter_bytes():
                file.write(chunk)
        try:
            archive = zipfile.ZipFile(path)
        except zipfile.BadZipFile:
            raise IncompleteData(f"The read of {table.name} did not come whole. Read it again.") from None
        with archive:
            yield archive
