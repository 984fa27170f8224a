"""A partitioned folder of a bucket: objects of their own for each import, and a manifest that is put in one request.

`orders.manifest.json` beside `orders/` lists the objects that count. It is uploaded like any single object: seen when
it is whole, put in place if nobody changed it meanwhile, called off by whoever goes on after a crash. The objects are
put before it, what it does not list any more is removed behind it; both are written down before the first one is put.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keyturn.columns.schema import Schema
from keyturn.destinations.destination import Away, Begun, Ended, Fenced, Left, Values
from keyturn.destinations.journal import fsync
from keyturn.destinations.objects.bucket import Bucket, Changed
from keyturn.destinations.objects.uploads import Upload, Uploads, abandon, fetched_manifest, is_of
from keyturn.destinations.parquet import measured
from keyturn.destinations.partitioned.manifest import MANIFEST_SUFFIX, Manifest, PartFile
from keyturn.destinations.partitioned.pages import PartitionedPages
from keyturn.destinations.table_file import Way
from keyturn.errors import Invalid, KeyturnError

_MEDIA_TYPE, _MANIFEST_TYPE = "application/vnd.apache.parquet", "application/json"


@dataclass(frozen=True, slots=True)
class _Planned:
    """A manifest whose parts are there, and the objects that do not count any more then."""

    upload: Upload
    made: Path
    replaced: list[str]


class PartitionedObjects(PartitionedPages):
    """Objects below the key `key`. `folder` holds the pages; `run` names this run's own files and objects."""

    def __init__(self, bucket: Bucket, key: str, way: Way, folder: Path, *, run: str, destination_id: str) -> None:
        super().__init__(way, folder, run=run)
        self._bucket, self._key = bucket, key
        self._uploads = Uploads(bucket, folder, run=run, destination_id=destination_id)
        self._planned: _Planned | None = None
        # The notes of manifests that may still come from processes before, at a store that calls nothing off.
        self._doubtful: list[str] = []

    def begin(self, left: Left) -> Begun:
        """As the port says: what stands in the way is told before anything is read. What was left is removed."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._bucket.reach(self._key)
        self._may_delete()
        self._doubtful = abandon(self._bucket, self._folder)
        return self._begun(left, self._folder / "rows.parquet", run=self._short_run, but=self._doubtful)

    def exists(self) -> bool:
        """Whether there is a manifest."""
        return self._bucket.look(f"{self._key}{MANIFEST_SUFFIX}") is not None

    def plan(self, schema: Schema, completeness: Values, *, whole: bool) -> Ended:
        """Make the files here, put them as objects that do not count yet, and upload the manifest that lists them."""
        key = self._key if whole else f"{self._key}.incomplete"
        manifest_key = f"{key}{MANIFEST_SUFFIX}"
        into = self._folder / f"{self._short_run}-made"
        try:
            there = self._bucket.look(manifest_key)
            before = None if there is None else fetched_manifest(self._bucket, manifest_key, there, self._folder)
            if there is not None and before is not None and whole and is_of(before.run, self._run):
                # It came late, and lists what was kept for it.
                return Ended(completeness, [_told(manifest_key, there.bytes, there.sha256)])
            files = self._files(schema, completeness, into)
            manifest = self._manifest(schema, completeness, files, before)
            made = into / f"rows{MANIFEST_SUFFIX}"
            made.write_bytes(manifest.dumped())
            fsync(made)
            written = measured(made, made)
            replaced = _replaced(before, manifest)
            keys = [f"{key}/{path}" for path in (*(file.path for file in files), *replaced)]
            upload = self._uploads.begin(manifest_key, written, _MANIFEST_TYPE, before=there, keys=keys)
            self._put_all(key, files, into, upload)
        except Changed:
            raise self._changed(manifest_key) from None
        self._planned = _Planned(upload, made, [f"{key}/{path}" for path in replaced])
        return Ended(completeness, [_told(manifest_key, written.bytes, written.sha256)])

    def settle(self) -> None:
        """The manifest's last request; then what it does not list any more is removed."""
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
        if self._doubtful:
            abandon(self._bucket, self._folder)
        for key in planned.replaced:
            self._bucket.remove(key)

    def give_up(self) -> None:
        """As the port says."""
        self._uploads.stop()
        planned, self._planned = self._planned, None
        if planned is not None:
            self._uploads.call_off(planned.upload)
        super().give_up()

    def _put_all(self, key: str, files: list[PartFile], into: Path, upload: Upload) -> None:
        put: list[str] = []
        try:
            for file in files:
                name, path = f"{key}/{file.path}", into / file.path
                put.append(name)
                self._uploads.put(name, measured(path, path), _MEDIA_TYPE)
                path.unlink()
        except BaseException:
            self._uploads.call_off(upload)
            # They are written down, and removed by whoever goes on, if they cannot be just now.
            with contextlib.suppress(Away, KeyturnError):
                for name in put:
                    self._bucket.remove(name)
            raise

    def _may_delete(self) -> None:
        try:
            self._bucket.remove(f"{self._key}/{self._run}")
        except Invalid as error:
            raise Invalid(
                f"{error.message} A partitioned folder needs {self._bucket.right_to_delete} too, for what is replaced.",
                at="destination.destination_id",
            ) from None

    def _is_there(self, file: Any) -> bool:
        found = self._bucket.look(self._key.removesuffix(self._key.rpartition("/")[2]) + file["name"])
        return found is not None and (found.bytes, found.sha256) == (file["bytes"], file["sha256"])

    def _changed(self, key: str) -> Away:
        return Away(f"{key} was changed by somebody else meanwhile. It is read again.")


def _told(manifest_key: str, size: int, sha256: str | None) -> Values:
    return {"name": manifest_key.rpartition("/")[2], "bytes": size, "sha256": sha256}


def _replaced(before: Manifest | None, after: Manifest) -> list[str]:
    listed = {file.path for file in after.files}
    return [file.path for file in before.files if file.path not in listed] if before else []
