"""Which files of a partitioned folder count: one JSON document, put in place as a whole."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from keyturn.columns.schema import Schema
from keyturn.errors import Invalid

MANIFEST_SUFFIX = ".manifest.json"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class PartFile:
    """A finished file: its `path` within the folder, as `country=DE/im_1-e1.parquet`."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of a folder. `run` made it; `columns` are names and types, those that folders are named by included."""

    run: str
    partition_by: tuple[str, ...]
    columns: Mapping[str, str]
    completeness: Mapping[str, Any]
    files: tuple[PartFile, ...]

    def dumped(self) -> bytes:
        """As it is written."""
        document = {
            "version": _VERSION,
            "run": self.run,
            "partition_by": list(self.partition_by),
            "columns": dict(self.columns),
            "rows": sum(file.rows for file in self.files),
            "completeness": dict(self.completeness),
            "files": [asdict(file) for file in self.files],
        }
        return json.dumps(document, indent=1).encode()


def manifest_of(path: Path) -> Manifest:
    """A manifest that was written. Raises `Invalid` when it is none of ours."""
    try:
        found = json.loads(path.read_bytes())
        files = tuple(PartFile(**item) for item in found["files"])
        known = Manifest(found["run"], tuple(found["partition_by"]), found["columns"], found["completeness"], files)
    except (ValueError, KeyError, TypeError):
        raise Invalid(
            "The manifest of this folder is none of ours. Choose another name.", at="destination.url"
        ) from None
    if found.get("version") != _VERSION:
        raise Invalid("A newer release wrote the manifest of this folder. Choose another name.", at="destination.url")
    return known


def added_to(
    before: Manifest, files: Sequence[PartFile], columns: Mapping[str, str], by: Sequence[str]
) -> list[PartFile]:
    """The files that were there and the new ones. Raises `Invalid` where readers could not take them together."""
    if before.partition_by != tuple(by):
        there = ", ".join(before.partition_by)
        raise Invalid(
            f"The folder is partitioned by {there}. Choose the same, or Replace.", at="destination.partition_by"
        )
    for name, word in before.columns.items():
        if columns.get(name, word) != word:
            raise Invalid(f"{name} is {word} in the folder and {columns[name]} now. Choose Replace.", at="mode")
    return [*before.files, *files]


def columns_of(schema: Schema) -> dict[str, str]:
    """Names and types."""
    return {column.name: column.type for column in schema.columns}
