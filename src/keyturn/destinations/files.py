"""Files as a destination: pages lie in a journal beside the place, the end is one rename."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pyarrow as pa

from keyturn.columns.schema import Schema
from keyturn.destinations.destination import Begun, Ended, Left, Values
from keyturn.destinations.journal import Segment, remove_folder
from keyturn.destinations.parquet import Written, is_there
from keyturn.destinations.table_file import TableFile, Way, clear_away


class FileDestination:
    """A file at `target`. A folder `ours` is made; any other has to be there. `run` names this run's own files."""

    def __init__(self, target: Path, way: Way, folder: Path, *, run: str, ours: bool) -> None:
        self._target, self._way, self._folder, self._run, self._ours = target, way, folder, run, ours
        self._file: TableFile | None = None
        self._written: Written | None = None

    def begin(self, left: Left) -> Begun:
        """As the port says. Raises OSError while the folder is not there."""
        if self._ours:
            self._target.parent.mkdir(parents=True, exist_ok=True)
        elif not self._target.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._target.parent))
        stored = left.checkpoint or {}
        segments = stored.get("segments", ())
        # First this, so that a late process cannot put its file in place after we have looked.
        clear_away(self._folder, segments)
        if left.files and left.completeness is not None and all(map(self._is_there, left.files)):
            remove_folder(self._folder)
            return Begun(ended=Ended(dict(left.completeness), [dict(file) for file in left.files]))
        self._file = TableFile(self._target, self._way, self._folder, run=self._run, segments=segments)
        return Begun(read=stored.get("read"))

    def exists(self) -> bool:
        """Whether there is a file."""
        return self._target.exists()

    def add(self, batch: pa.RecordBatch, schema: Schema) -> tuple[Segment, ...]:
        """Append to the journal."""
        self._open.add(batch, schema)
        return self._open.segments

    @property
    def crowded(self) -> bool:
        """Never: pages are on disk at once, and `land` only makes them survive a power loss."""
        return False

    def land(self, mark: tuple[Segment, ...], read: Values) -> Values:
        """fsync, then the row names the segments."""
        self._open.sync(mark)
        return {"read": read, "segments": [item.as_dict() for item in mark]}

    def last(self, rows: int) -> list[pa.RecordBatch]:
        """As the port says."""
        return self._open.last(rows)

    def plan(self, schema: Schema, completeness: Values, *, whole: bool) -> Ended:
        """Make the whole file beside its place."""
        target = self._target
        place = target if whole else target.with_name(f"{target.stem}.incomplete{target.suffix}")
        self._written = self._open.make(schema, completeness, path=place)
        return Ended(completeness, [_as_row(self._written, self._open.cells_changed)])

    def settle(self) -> None:
        """The rename. Raises FileNotFoundError when another run cleared the file away."""
        if self._written is not None:
            self._open.put(self._written)

    def give_up(self) -> None:
        """As the port says."""
        if self._file is not None:
            self._file.close()

    def forget(self) -> None:
        """Remove the journal."""
        self._open.discard()

    @property
    def _open(self) -> TableFile:
        if self._file is None:
            raise AssertionError
        return self._file

    def _is_there(self, file: Any) -> bool:
        return is_there(Written(self._target.parent / file["name"], file["bytes"], file["sha256"]))


def _as_row(written: Written, cells_changed: int) -> Values:
    return {
        "name": written.path.name,
        "bytes": written.bytes,
        "sha256": written.sha256,
        "cells_changed": cells_changed,
    }
