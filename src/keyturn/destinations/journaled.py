"""What destinations share whose pages lie in a journal on our disk until the whole is made of them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pyarrow as pa

from keyturn.columns.schema import Schema
from keyturn.destinations.destination import Begun, Ended, Left, Values
from keyturn.destinations.journal import Segment, remove_folder
from keyturn.destinations.table_file import TableFile, Way, clear_away


class Journaled:
    """The half of the port that reads. `folder` holds the pages; where the whole goes is each destination's own."""

    def __init__(self, way: Way, folder: Path) -> None:
        self._way, self._folder = way, folder
        self._file: TableFile | None = None

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

    def give_up(self) -> None:
        """As the port says."""
        if self._file is not None:
            self._file.close()

    def forget(self) -> None:
        """Remove the journal."""
        self._open.discard()

    def _begun(self, left: Left, target: Path, *, run: str, but: Collection[str] = ()) -> Begun:
        """The journal opened where it was left, or how it ended if what was to be made is in its place.

        Files named in `but` stay.
        """
        stored = left.checkpoint or {}
        segments = stored.get("segments", ())
        # First this, so that a late process cannot put its file in place after we have looked.
        clear_away(self._folder, segments, but=but)
        if left.files and left.completeness is not None and all(map(self._is_there, left.files)):
            remove_folder(self._folder)
            return Begun(ended=Ended(dict(left.completeness), [dict(file) for file in left.files]))
        self._file = TableFile(target, self._way, self._folder, run=run, segments=segments)
        return Begun(read=stored.get("read"))

    @property
    def _open(self) -> TableFile:
        if self._file is None:
            raise AssertionError
        return self._file

    def _is_there(self, file: Any) -> bool:
        """Whether a finished file of this import is where it belongs, as it was made."""
        raise NotImplementedError
