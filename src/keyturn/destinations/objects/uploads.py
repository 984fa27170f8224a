"""Uploads of one run, each written down beside its pages before its first part is sent.

Whoever goes on after a crash, or tidies up, calls them off. A note may also name objects that count only once, or as
long as, the manifest that is uploaded lists them; those it does not list are removed.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keyturn.destinations.destination import Away, Fenced
from keyturn.destinations.journal import fsync
from keyturn.destinations.objects.bucket import Before, Bucket, Changed, Found, Label
from keyturn.destinations.parquet import Written
from keyturn.destinations.partitioned.manifest import Manifest, manifest_of
from keyturn.errors import KeyturnError

_PART_BYTES = 8 << 20
_MOST_PARTS = 9000
_NOTES = "*-upload.json"


@dataclass(frozen=True, slots=True)
class Upload:
    """Parts that are there, the object's `name` in the bucket, and where the upload is written down."""

    name: str
    id: str
    parts: list[dict[str, Any]]
    label: Label
    before: Before
    note: Path


class Uploads:
    """Uploads into a bucket; `folder` keeps the notes."""

    def __init__(self, bucket: Bucket, folder: Path, *, run: str, destination_id: str) -> None:
        self._bucket, self._folder, self._run, self._destination_id = bucket, folder, run, destination_id
        self._stopping = threading.Event()
        self._count = 0

    def begin(
        self, key: str, file: Written, media_type: str, *, before: Before = "anything", keys: Sequence[str] = ()
    ) -> Upload:
        """Send every part of a file; the last request is `end`. Raises `Fenced` when it was stopped, `Changed`."""
        label = Label(media_type, file.sha256, self._run)
        upload = Upload(key, self._bucket.begin(key, label, before), [], label, before, self._note())
        try:
            self._write_down(upload, keys)
            for number, data in enumerate(_stretches(file.path, file.bytes), 1):
                self._check(upload)
                upload.parts.append(self._bucket.part(key, upload.id, number, data))
        except BaseException:
            self.call_off(upload)
            raise
        return upload

    def put(self, key: str, file: Written, media_type: str) -> None:
        """An object, whatever is there. Raises as `begin` does."""
        self._check()
        if file.bytes <= _PART_BYTES:
            self._bucket.put(key, file.path.read_bytes(), Label(media_type, file.sha256, self._run))
            return
        upload = self.begin(key, file, media_type)
        self.end(upload)
        upload.note.unlink(missing_ok=True)

    def end(self, upload: Upload) -> None:
        """Put it in place. Raises `Changed` when what was there is another one by now, or it was called off."""
        self._bucket.end(upload.name, upload.id, upload.parts, upload.label, upload.before)

    def stop(self) -> None:
        """Send no more."""
        self._stopping.set()

    def call_off(self, upload: Upload) -> None:
        """End it without a trace. It is written down: whoever goes on does it if it cannot be done now."""
        with contextlib.suppress(Away, KeyturnError):
            self._bucket.call_off(upload.name, upload.id)

    def _check(self, upload: Upload | None = None) -> None:
        # A later run takes the notes away once it has called off what they name.
        if self._stopping.is_set() or (upload is not None and not upload.note.exists()):
            raise Fenced

    def _note(self) -> Path:
        self._count += 1
        return self._folder / f"{self._run}-{self._count}-upload.json"

    def _write_down(self, upload: Upload, keys: Sequence[str]) -> None:
        told = {"destination_id": self._destination_id, "key": upload.name, "upload_id": upload.id, "keys": [*keys]}
        upload.note.write_text(json.dumps(told))
        fsync(upload.note)
        fsync(self._folder)


def abandon(bucket: Bucket, folder: Path, destination_id: str | None = None) -> list[str]:
    """Call off every upload that a run wrote down in `folder`, or those of one destination, a week after its import.

    Answers the notes of those that have objects and may still end: these stay, to be called off again.
    Raises as a bucket does.
    """
    doubtful = []
    for path in folder.glob(_NOTES) if folder.is_dir() else ():
        found = upload_of(path)
        if found is None or destination_id not in (None, found["destination_id"]):
            continue
        is_over = bucket.call_off(found["key"], found["upload_id"])
        if found["keys"]:
            # After a week no store knows it any more.
            if not is_over and destination_id is None:
                doubtful.append(path.name)
                continue
            _remove_unlisted(bucket, found["key"], found["keys"], folder)
        path.unlink(missing_ok=True)
    return doubtful


def is_of(run: str | None, import_run: str) -> bool:
    """Whether two runs, as `im_1-e2`, are of one import."""
    return run is not None and run.rpartition("-e")[0] == import_run.rpartition("-e")[0]


def destinations_in(folder: Path) -> set[str]:
    """The destinations that runs wrote uploads down for."""
    found = map(upload_of, folder.glob(_NOTES)) if folder.is_dir() else ()
    return {item["destination_id"] for item in found if item is not None}


def upload_of(path: Path) -> dict[str, Any] | None:
    """What was written down of an upload; None where a power loss cut it off."""
    try:
        found = json.loads(path.read_text())
        named = {name: str(found[name]) for name in ("destination_id", "key", "upload_id")}
        return {**named, "keys": list(map(str, found.get("keys", ())))}
    except (OSError, ValueError, KeyError):
        return None


def fetched_manifest(bucket: Bucket, key: str, found: Found, folder: Path) -> Manifest:
    """A manifest of the bucket. Raises `Changed`, and `Invalid` when it is none of ours."""
    path = folder / "there.manifest.json"
    bucket.fetch(key, found, path)
    return manifest_of(path)


def _remove_unlisted(bucket: Bucket, key: str, keys: Sequence[str], folder: Path) -> None:
    """Its upload is over, so the manifest can come to list none of them any more."""
    found = bucket.look(key)
    listed: set[str] = set()
    if found is not None:
        try:
            top = f"{key.removesuffix('.manifest.json')}/"
            listed = {f"{top}{file.path}" for file in fetched_manifest(bucket, key, found, folder).files}
        except Changed:
            raise Away(f"{key} is being changed. It is looked at again.") from None
    for name in keys:
        if name not in listed:
            bucket.remove(name)


def _stretches(path: Path, size: int) -> Iterator[bytes]:
    # A multiple of 256 KiB, as the port says.
    at_once = max(_PART_BYTES, -(-size // (_MOST_PARTS << 18)) << 18)
    with path.open("rb") as source:
        data = source.read(at_once)
        # An object without bytes has one part without any.
        while True:
            yield data
            data = source.read(at_once)
            if not data:
                return
