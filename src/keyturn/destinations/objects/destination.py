"""An object of a bucket as a destination: pages lie in a journal on our disk, the end is one request.

The whole object is made here, and uploaded in parts that nobody sees. The last request puts it in place, if what is
there is still what the new one was made of. An upload is written down beside the pages as soon as it has begun, so
that whoever goes on after a crash first calls it off: a late process finds it gone.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keyturn.columns.schema import Schema
from keyturn.destinations.destination import Away, Begun, Ended, Fenced, Left, Values
from keyturn.destinations.journal import fsync
from keyturn.destinations.journaled import Journaled
from keyturn.destinations.objects.bucket import Bucket, Changed, Found
from keyturn.destinations.parquet import Written
from keyturn.destinations.table_file import Way
from keyturn.errors import KeyturnError

_PART_BYTES = 8 << 20
_MOST_PARTS = 9000
_UPLOADS = "*-upload.json"
MEDIA_TYPES = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv; charset=utf-8",
    "ndjson": "application/x-ndjson",
    "duckdb": "application/octet-stream",
}


@dataclass(frozen=True, slots=True)
class _Upload:
    """Parts that are there, and where they are to go."""

    name: str
    id: str
    parts: list[dict[str, Any]]
    made: Path
    # Whether rows of `before` are in it: then it is put in place only if nobody changed that meanwhile.
    adds: bool
    before: Found | None


class ObjectDestination(Journaled):
    """The object `key`. `folder` holds the pages; `run` names this run's own files and its object."""

    def __init__(self, bucket: Bucket, key: str, way: Way, folder: Path, *, run: str, destination_id: str) -> None:
        super().__init__(way, folder)
        self._bucket, self._key, self._run, self._destination_id = bucket, key, run, destination_id
        self._upload: _Upload | None = None
        self._stopping = threading.Event()

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
            if before is not None:
                local.parent.mkdir(exist_ok=True)
                self._bucket.fetch(key, before, local)
            written = self._open.make(schema, completeness, path=local)
            made = self._open.made
            if made is None:
                raise AssertionError
            self._upload = self._uploaded(key, made, written, before)
        except Changed:
            raise self._changed(key) from None
        file = {"name": _name(key), "bytes": written.bytes, "sha256": written.sha256}
        return Ended(completeness, [{**file, "cells_changed": self._open.cells_changed}])

    def settle(self) -> None:
        """The last request. Raises `Away` when the object changed meanwhile: it is made anew then."""
        upload = self._upload
        if upload is None:
            return
        if not upload.made.exists():
            raise Fenced  # A later run has cleared it away.
        try:
            if upload.adds:
                self._bucket.end_if_still(upload.before, upload.name, upload.id, upload.parts)
            else:
                self._bucket.end(upload.name, upload.id, upload.parts)
        except Changed:
            found = self._bucket.look(upload.name)
            # An answer that was lost: the library asked again, and the upload was over.
            if found is None or found.run != self._run:
                raise self._changed(upload.name) from None
        self._upload = None

    def give_up(self) -> None:
        """As the port says."""
        self._stopping.set()
        upload, self._upload = self._upload, None
        if upload is not None:
            self._call_off(upload.name, upload.id)
        super().give_up()

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

    def _uploaded(self, key: str, made: Path, written: Written, before: Found | None) -> _Upload:
        upload_id = self._bucket.begin(key, MEDIA_TYPES[self._way.format], written.sha256, self._run)
        try:
            self._write_down(key, upload_id)
            parts: list[dict[str, Any]] = []
            for number, data in enumerate(_stretches(made, written.bytes), 1):
                self._check()
                parts.append(self._bucket.part(key, upload_id, number, data))
        except BaseException:
            self._call_off(key, upload_id)
            raise
        return _Upload(key, upload_id, parts, made, self._adds, before)

    def _check(self) -> None:
        if self._stopping.is_set():
            raise Fenced

    def _write_down(self, key: str, upload_id: str) -> None:
        path = self._folder / f"{self._run}-upload.json"
        path.write_text(json.dumps({"destination_id": self._destination_id, "key": key, "upload_id": upload_id}))
        fsync(path)
        fsync(self._folder)

    def _call_off(self, key: str, upload_id: str) -> None:
        # It is written down: whoever goes on, or tidies up, does it if it cannot be done now.
        with contextlib.suppress(Away, KeyturnError):
            self._bucket.call_off(key, upload_id)

    def _changed(self, key: str) -> Away:
        return Away(f"{key} was changed by somebody else meanwhile. It is read again.")


def abandon(bucket: Bucket, folder: Path, destination_id: str | None = None) -> None:
    """Call off every upload that a run wrote down in `folder`, or those of one destination. Raises as a bucket does."""
    for path in folder.glob(_UPLOADS) if folder.is_dir() else ():
        found = upload_of(path)
        if found is not None and destination_id in (None, found["destination_id"]):
            bucket.call_off(found["key"], found["upload_id"])
            path.unlink(missing_ok=True)


def destinations_in(folder: Path) -> set[str]:
    """The destinations that runs wrote uploads down for."""
    found = map(upload_of, folder.glob(_UPLOADS)) if folder.is_dir() else ()
    return {item["destination_id"] for item in found if item is not None}


def upload_of(path: Path) -> dict[str, str] | None:
    """What was written down of an upload; None where a power loss cut it off."""
    try:
        found = json.loads(path.read_text())
        return {name: str(found[name]) for name in ("destination_id", "key", "upload_id")}
    except (OSError, ValueError, KeyError):
        return None


def _stretches(path: Path, size: int) -> Iterator[bytes]:
    at_once = max(_PART_BYTES, -(-size // _MOST_PARTS))
    with path.open("rb") as source:
        data = source.read(at_once)
        # An object without bytes has one part without any.
        while True:
            yield data
            data = source.read(at_once)
            if not data:
                return


def _name(key: str) -> str:
    return key.rpartition("/")[2]


def _incomplete(key: str) -> str:
    name = _name(key)
    path = Path(name)
    return f"{key.removesuffix(name)}{path.stem}.incomplete{path.suffix}"
