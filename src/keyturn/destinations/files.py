"""Files as a destination: pages lie in a journal beside the place, the end is one rename."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from keyturn.columns.schema import Schema
from keyturn.destinations.destination import Begun, Ended, Left, Values
from keyturn.destinations.journaled import Journaled
from keyturn.destinations.parquet import Written, is_there
from keyturn.destinations.table_file import Way


class FileDestination(Journaled):
    """A file at `target`, whose folder is made. `root`, if any, has to be there: it may be a disk that is away.

    `run` names this run's own files.
    """

    def __init__(self, target: Path, way: Way, folder: Path, *, run: str, root: Path | None = None) -> None:
        super().__init__(way, folder)
        self._target, self._run, self._root = target, run, root
        self._written: Written | None = None

    def begin(self, left: Left) -> Begun:
        """As the port says. Raises OSError while `root` is not there."""
        if self._root is not None and not self._root.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._root))
        self._target.parent.mkdir(parents=True, exist_ok=True)
        return self._begun(left, self._target, run=self._run)

    def exists(self) -> bool:
        """Whether there is a file."""
        return self._target.exists()

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

    def _is_there(self, file: Any) -> bool:
        return is_there(Written(self._target.parent / file["name"], file["bytes"], file["sha256"]))


def _as_row(written: Written, cells_changed: int) -> Values:
    return {
        "name": written.path.name,
        "bytes": written.bytes,
        "sha256": written.sha256,
        "cells_changed": cells_changed,
    }
