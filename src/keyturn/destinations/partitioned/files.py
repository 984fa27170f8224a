"""A partitioned folder on our disk: each import makes a version of it, and the end is one rename of a link.

`orders` is a link to `.versions-orders/<run>`, where all its files lie; `.versions-orders/<run>.json` is their
manifest. Readers of `orders` have the one version or the other. An append has the files before it too, as further names
of the same files. The version before stays until the next import begins, for those who are still reading it.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keyturn.columns.schema import Schema
from keyturn.destinations.destination import Begun, Ended, Left, Values
from keyturn.destinations.journal import fsync, remove_folder
from keyturn.destinations.parquet import Written, is_there, measured
from keyturn.destinations.partitioned.manifest import MANIFEST_SUFFIX, Manifest, manifest_of
from keyturn.destinations.partitioned.pages import PartitionedPages
from keyturn.destinations.partitioned.writer import make_folders
from keyturn.destinations.table_file import Way
from keyturn.errors import Invalid

VERSIONS_PREFIX = ".versions-"


class PartitionedFiles(PartitionedPages):
    """The folder `target`. `folder` holds the pages. `root`, if any, has to be there: it may be a disk that is away."""

    def __init__(self, target: Path, way: Way, folder: Path, *, run: str, root: Path | None = None) -> None:
        super().__init__(way, folder, run=run)
        self._target, self._root = target, root
        self._put: tuple[Path, Path] | None = None

    def begin(self, left: Left) -> Begun:
        """As the port says. Raises OSError while `root` is not there, `Invalid` where others' files are."""
        if self._root is not None and not self._root.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._root))
        self._target.parent.mkdir(parents=True, exist_ok=True)
        check_folder(self._target)
        begun = self._begun(left, self._target, run=self._short_run)
        # The link of a run before this one is gone by now, so that no late process can lead to what is removed here.
        for target in (self._target, _incomplete(self._target)):
            _tidy(target)
        return begun

    def exists(self) -> bool:
        """Whether there is a version of it."""
        return manifest_at(self._target) is not None

    def plan(self, schema: Schema, completeness: Values, *, whole: bool) -> Ended:
        """Make the version beside its place, and the link that will be renamed."""
        target = self._target if whole else _incomplete(self._target)
        check_folder(target)
        versions = _versions(target)
        versions.mkdir(exist_ok=True)
        version = versions / self._run
        before = _before(target)
        files = self._files(schema, completeness, version)
        manifest = self._manifest(schema, completeness, files, before)
        _link_all(target, manifest, version)
        written = _write(manifest, versions / f"{self._run}.json")
        fsync(versions)
        link = self._folder / f"{self._short_run}-link"
        link.unlink(missing_ok=True)
        link.symlink_to(f"{versions.name}/{self._run}")
        self._put = link, target
        name = f"{target.name}{MANIFEST_SUFFIX}"
        return Ended(completeness, [{"name": name, "bytes": written.bytes, "sha256": written.sha256}])

    def settle(self) -> None:
        """The rename. Raises FileNotFoundError when another run cleared the link away."""
        if self._put is not None:
            link, target = self._put
            link.replace(target)
            fsync(target.parent)
            self._put = None

    def _is_there(self, file: Any) -> bool:
        path = manifest_at(self._target.parent / file["name"].removesuffix(MANIFEST_SUFFIX))
        return path is not None and is_there(Written(path, file["bytes"], file["sha256"]))


def check_folder(target: Path) -> None:
    """Raise `Invalid` unless nothing is there, or a version that we made."""
    taken = target.is_symlink() or target.exists()
    if taken and (not target.is_symlink() or _leads_to(target) is None):
        raise Invalid(
            f"There is another file or folder called {target.name}. Choose another name.", at="destination.url"
        )


def manifest_at(target: Path, bytes_: int | None = None) -> Path | None:
    """Where the manifest of the version lies that readers have now, if it has that size; None when there is none."""
    version = _leads_to(target)
    path = None if version is None else _versions(target) / f"{version}.json"
    if path is None or not path.is_file():
        return None
    return path if bytes_ in (None, path.stat().st_size) else None


def _leads_to(target: Path) -> str | None:
    try:
        folder, _, version = str(target.readlink()).partition("/")
    except OSError:
        return None
    return version if folder == _versions(target).name and version and "/" not in version else None


def _versions(target: Path) -> Path:
    return target.with_name(f"{VERSIONS_PREFIX}{target.name}")


def _incomplete(target: Path) -> Path:
    return target.with_name(f"{target.name}.incomplete")


def _before(target: Path) -> Manifest | None:
    path = manifest_at(target)
    return None if path is None else manifest_of(path)


def _tidy(target: Path) -> None:
    """Remove every version but the one that readers have."""
    versions, current = _versions(target), _leads_to(target)
    for path in versions.iterdir() if versions.is_dir() else ():
        if path.name in {current, f"{current}.json"}:
            continue
        remove_folder(path) if path.is_dir() else path.unlink(missing_ok=True)


def _link_all(target: Path, manifest: Manifest, version: Path) -> None:
    """The files that stay get a further name in the new version; their bytes are there once."""
    folders: set[Path] = set()
    for file in manifest.files:
        place = version / file.path
        if place.exists():
            continue
        make_folders(place.parent, below=version)
        try:
            os.link(target / file.path, place)
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.EXDEV}:
                raise
            shutil.copyfile(target / file.path, place)
            fsync(place)
        folders.update(_up_to(place, version))
    for folder in sorted(folders):
        fsync(folder)


def _up_to(place: Path, top: Path) -> Iterator[Path]:
    yield from (folder for folder in place.parents if folder.is_relative_to(top))


def _write(manifest: Manifest, path: Path) -> Written:
    path.write_bytes(manifest.dumped())
    fsync(path)
    return measured(path, path)
