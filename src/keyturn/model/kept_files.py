"""Files that finished imports left on the server: how long they stay, how large they may be, and which go now."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from keyturn.model.validation import Settings, wrong

_UNITS = {"": 1, "b": 1, "bytes": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3, "tb": 1024**4}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")
_DAY_SECONDS = 86_400.0
# What a column of the database holds.
_MOST_BYTES = 2**62


def _size(value: object) -> object:
    """A number of bytes, also as people write it: 500 MB, 2 GB."""
    if not isinstance(value, str):
        return value
    found = _SIZE.fullmatch(value.strip().lower().replace(",", "")) if value.strip() else None
    if found is None or found[2] not in _UNITS:
        raise wrong("Write a size, for example 500 MB or 2 GB; 0 for no limit.")
    return int(float(found[1]) * _UNITS[found[2]])


Size = Annotated[int, BeforeValidator(_size), Field(ge=0, le=_MOST_BYTES)]


class FileLimits(Settings):
    """What a Workspace Admin sets for the files of imports. 0: they stay for ever, and may be of any size."""

    keep_days: int = Field(
        default=0, ge=0, le=36_500, title="Keep files for days", description="After an import has ended. 0: for ever."
    )
    keep_newest: int = Field(
        default=0,
        ge=0,
        le=100_000,
        title="Keep the newest files of each table",
        description="Older ones are removed, whatever their age. 0: all.",
    )
    max_import_bytes: Size = Field(
        default=0,
        title="Largest import",
        description="What one import may take: its pages while they come, uncompressed, and its file. For example "
        "500 MB; 0: no limit.",
    )
    max_total_bytes: Size = Field(
        default=0,
        title="All files together",
        description="Of the workspace on this server, with the pages of imports under way. For example 20 GB; "
        "0: no limit.",
    )

    @property
    def removes(self) -> bool:
        """Whether files are ever removed."""
        return self.keep_days > 0 or self.keep_newest > 0


def size_in_words(number: int) -> str:
    """A size as it is typed, and exactly that: in the largest unit that needs at most two decimals."""
    for unit in ("TB", "GB", "MB", "kB"):
        whole, rest = divmod(number * 100, _UNITS[unit.lower()])
        if number >= _UNITS[unit.lower()] and rest == 0:
            return f"{whole / 100:g} {unit}"
    return str(number)


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file at `path` in the workspace's folder, and the import that wrote it last. Times are epoch seconds.

    `whole`: the import ended complete. `removed_at`: it is being removed, or was just now.
    """

    path: str
    import_id: str
    table_id: str
    created_by: str
    bytes: int
    whole: bool
    asked_at: float
    finished_at: float
    removed_at: float | None = None

    @property
    def name(self) -> str:
        """Without its folders."""
        return PurePosixPath(self.path).name


@dataclass(frozen=True, slots=True)
class FilesUsed:
    """What the files of a workspace take on the server; `under_way_bytes` are pages of imports that may go on."""

    files: int
    bytes: int
    under_way_bytes: int


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a finished file: removed at `kept_until`, or when its table has `newest` newer ones.

    None and 0 while the workspace does not say so.
    """

    state: Literal["kept", "latest", "removed", "replaced"]
    kept_until: float | None = None
    removed_at: float | None = None
    newest: int = 0


def latest_of(files: Iterable[KeptFile], table_ids: Collection[str]) -> set[str]:
    """The paths that `/tables/{id}/latest.…` answers: for each table, member and ending the newest whole file."""
    newest: dict[tuple[str, str, str], KeptFile] = {}
    for file in files:
        if not file.whole or file.table_id not in table_ids or file.removed_at is not None:
            continue
        key = file.table_id, file.created_by, PurePosixPath(file.path).suffix
        if key not in newest or newest[key].asked_at < file.asked_at:
            newest[key] = file
    return {file.path for file in newest.values()}


def due(files: Collection[KeptFile], limits: FileLimits, table_ids: Collection[str], now: float) -> Iterator[KeptFile]:
    """The files that are to be removed now; never the latest whole ones of a table."""
    latest, count = latest_of(files, table_ids), dict[str, int]()
    for file in sorted(files, key=lambda item: -item.asked_at):
        if file.removed_at is not None:
            continue
        count[file.table_id] = count.get(file.table_id, 0) + 1
        until = kept_until(file, limits)
        old = until is not None and until <= now
        behind = 0 < limits.keep_newest < count[file.table_id]
        if (old or behind) and file.path not in latest:
            yield file


def kept_until(file: KeptFile, limits: FileLimits) -> float | None:
    """When its days are over; None if they are not counted."""
    return file.finished_at + limits.keep_days * _DAY_SECONDS if limits.keep_days else None
