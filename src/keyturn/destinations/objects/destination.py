"""An object of a bucket as a destination: pages lie in a journal on our disk, the end is one request.

The whole object is made here, and uploaded in parts that nobody sees. The last request puts it in place, if what is
there is still what the new one was made of. An upload is written down beside the pages as soon as it has begun, so
that whoever goes on after a crash first calls it off: a late process finds it gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keyturn.columns.schema import Schema
from keyturn.destinations.destination import Away, Begun, Ended, Fenced, Left, Values
from keyturn.destinations.journaled import Journaled
from keyturn.destinations.objects.bucket import Bucket, Changed
from keyturn.destinations.objects.uploads import Upload, Uploads, abandon, is_of
from keyturn.destinations.parquet import Written
from keyturn.destinations.table_file import Way

MEDIA_TYPES = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv; charset=utf-8",
    "ndjson": "application/x-ndjson",
    "duckdb": "application/octet-stream",
}


@dataclass(frozen=True, slots=True)
class _Planned:
    """An object whose parts are there."""

    upload: Upload
    made: Path


class ObjectDestination(Journaled):
    """The object `key`. `folder` holds the pages; `run` names this run's own files and its object."""

    def __init__(self, bucket: Bucket, key: str, way: Way, folder: Path, *, run: str, destination_id: str) -> None:
        super().__init__(way, folder)
        self._bucket, self._key, self._run = bucket, key, run
        self._uploads = Uploads(bucket, folder, run=run, destination_id=destination_id)
        self._planned: _Planned | None = None

    def begin(self, left: Left) -> Begun:
        """As the port says: what stands in the way is told before anything is read. Uploads before are called off."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._bucket.reach(self._key)
        abandon(self._bucket, self._folder)
        return self._begun(left, self._local, run=self._run.rpartition("-")[2])

    def exists(self) -> bool:
        """Whether there is an object."""
        return self._bucket.look(self._key) is not None

    def plan(self, schema: Schema, completeness: Values, *, whole: bool) -> Ended:
        """Make the object here, from what is there where rows are added, and upload its parts."""
        key = self._key if whole else _incomplete(self._key)
        local = self._local.with_name(_name(key))
        try:
            before = self._bucket.look(key) if self._adds else None
            if before is not None and whole and is_of(before.run, self._run):
                # A late process of this import, at a store that calls nothing off: its rows are not added twice.
                return Ended(completeness, [self._told(key, before.bytes, before.sha256)])
            if before is not None:
                local.parent.mkdir(exist_ok=True)
                self._bucket.fetch(key, before, local)
            written = self._open.make(schema, completeness, path=local)
            made = self._open.made
            if made is None:
                raise AssertionError
            media_type = MEDIA_TYPES[self._way.format]
            # Where rows of `before` are in it, it is put in place only if nobody changed that meanwhile.
            only = before if self._adds else "anything"
            upload = self._uploads.begin(key, Written(made, written.bytes, written.sha256), media_type, before=only)
            self._planned = _Planned(upload, made)
        except Changed:
            raise self._changed(key) from None
        return Ended(completeness, [self._told(key, written.bytes, written.sha256)])

    def settle(self) -> None:
        """The last request. Raises `Away` when the object changed meanwhile: it is made anew then."""
        planned = self._planned
        if planned is None:
            return
        if not planned.made.exists():
            raise Fenced  # A later run has cleared it away.
        upload = planned.upload
        try:
            self._uploads.end(upload)
        except Changed:
            found = self._bucket.look(upload.name)
            # An answer that was lost: the library asked again, and the upload was over.
            if found is None or found.run != self._run:
                raise self._changed(upload.name) from None
        self._planned = None

    def give_up(self) -> None:
        """As the port says."""
        self._uploads.stop()
        planned, self._planned = self._planned, None
        if planned is not None:
            self._uploads.call_off(planned.upload)
        super().give_up()

    def _told(self, key: str, size: int, sha256: str | None) -> Values:
        return {"name": _name(key), "bytes": size, "sha256": sha256, "cells_changed": self._open.cells_changed}

    @property
    def _adds(self) -> bool:
        return self._way.mode != "replace" or self._way.format == "duckdb"

    @property
    def _local(self) -> Path:
        return self._folder / "before" / _name(self._key)

    def _is_there(self, file: Any) -> bool:
        key = self._key.removesuffix(_name(self._key)) + file["name"]
        found = self._bucket.look(key)
        return found is not None and (found.bytes, found.sha256) == (file["bytes"], file["sha256"])

    def _changed(self, key: str) -> Away:
        return Away(f"{key} was changed by somebody else meanwhile. It is read again.")


def _name(key: str) -> str:
    return key.rpartition("/")[2]


def _incomplete(key: str) -> str:
    name = _name(key)
    path = Path(name)
    return f"{key.removesuffix(name)}{path.stem}.incomplete{path.suffix}"
