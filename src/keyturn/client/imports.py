"""Imports over HTTP (`ws.run_import`): begin, wait, download. A file appears under its name only when it is whole."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from keyturn.client import progress
from keyturn.client.completeness import Completeness
from keyturn.client.names import pick
from keyturn.client.problems import error_of
from keyturn.client.transport import Transport
from keyturn.errors import Conflict, IncompleteData, Invalid, NotFound, UpstreamTimeout
from keyturn.model.object_stores import SCHEMES

FINISHED = frozenset({"complete", "incomplete", "failed", "cancelled"})
_BUCKETS = tuple(f"{scheme}://" for scheme in SCHEMES.values())
FORMATS: dict[str, str] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".duckdb": "duckdb",
}
_ROUTE = "/imports"
# The server answers when it has ended, or after so long: sooner where somebody looks on.
_WAIT_SECONDS, _SHOWN_SECONDS = 5.0, 0.5
# Where it answers at once nevertheless.
_PAUSE_SECONDS = 0.1
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ImportFile:
    """One finished file on the server: `sha256` in hex."""

    name: str
    bytes: int
    sha256: str | None


def format_of(name: str) -> str:
    """The destination type a file's name asks for. Raises `Invalid` for an ending we do not know."""
    suffix = Path(name).suffix.lower()
    if suffix not in FORMATS:
        raise Invalid(f"The file's ending chooses the format: {', '.join(FORMATS)}. Example: orders.parquet.", at="to")
    return FORMATS[suffix]


def destination_of(transport: Transport, to: str, partition_by: Sequence[str] = ()) -> dict[str, Any]:
    """Where to, as the API takes it: `Destination/…` of one that an admin made, or the address of
    a bucket (`s3://bucket/…`, `gs://bucket/…`, `az://container/…`), else a file.

    In a database `…` is the table (empty: the table's own name), in a bucket the object's name. With `partition_by` it
    is a folder. Raises `Invalid` for an ending we do not know, `NotFound` for a destination nobody made.
    """
    name, slash, rest = to.partition("/")
    if to.lower().startswith(_BUCKETS):
        found, rest = _bucket_of(transport, to)
    elif slash and name:
        made = list(transport.pages("/destinations"))
        known = any(item["name"] == name for item in made)
        if not known and (partition_by or Path(to).suffix.lower() in FORMATS):
            return _file(to, partition_by)
        found = pick(made, name, what="destination")
    else:
        return _file(to, partition_by)
    if found["type"] != "postgresql":
        return {**_file(rest, partition_by), "destination_id": found["id"]}
    if partition_by:
        raise Invalid(
            f"{found['name']} is a database. Only folders of Parquet files are partitioned.", at="partition_by"
        )
    return {"type": "postgresql", "destination_id": found["id"], **({"table": rest} if rest else {})}


def _file(name: str, partition_by: Sequence[str]) -> dict[str, Any]:
    if partition_by:
        return {
            "type": "parquet",
            "url": name,
            "partition_by": partition_by if isinstance(partition_by, str) else [*partition_by],
        }
    return {"type": format_of(name), "url": name}


def _bucket_of(transport: Transport, to: str) -> tuple[dict[str, Any], str]:
    made = [item for item in transport.pages("/destinations") if to.startswith(f"{item['url']}/")]
    if not made:
        raise NotFound(f"No destination leads to {to}. A Workspace Admin makes one: keyturn destinations add.")
    found = max(made, key=lambda item: len(item["url"]))
    return found, to.removeprefix(f"{found['url']}/")


class ImportRun:
    """One import. `found` is the JSON object of the API as it was last seen."""

    def __init__(self, transport: Transport, found: Mapping[str, Any]) -> None:
        self._http = transport
        self.found = dict(found)

    def rejects(self) -> Iterator[dict[str, Any]]:
        """The values that did not fit their columns, with row, column, path, value and reason."""
        return self._http.lines(f"{_ROUTE}/{self.id}/rejects")

    def __repr__(self) -> str:
        return f"ImportRun({self.id!r}, table={self.found.get('table_name')!r}, status={self.status!r})"

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.found["id"])

    @property
    def status(self) -> str:
        """queued, running, waiting, complete, incomplete, failed or cancelled, as it was last seen."""
        return str(self.found["status"])

    @property
    def completeness(self) -> Completeness | None:
        """The stamp once it finished."""
        stamp = self.found.get("completeness")
        return None if stamp is None else Completeness.of(stamp)

    @property
    def files(self) -> list[ImportFile]:
        """Its finished files."""
        found = self._http.pages(f"{_ROUTE}/{self.id}/files")
        return [ImportFile(item["name"], int(item["bytes"]), item.get("sha256")) for item in found]

    def look(self, *, wait_seconds: float | None = None) -> ImportRun:
        """See how it stands now; with `wait_seconds`, at most 30, as soon as it has ended or after so many."""
        self.found = dict(self._http.get(f"{_ROUTE}/{self.id}", wait_seconds=wait_seconds))
        return self

    def wait(
        self,
        *,
        timeout_seconds: float | None = None,
        allow_incomplete: bool = False,
        on_progress: Callable[[ImportRun], object] | None = None,
        bar: bool = True,
    ) -> ImportRun:
        """Wait until it ended well; in terminals and notebooks with a `bar`.

        Raises `IncompleteData` unless allowed, the error it failed with, `Conflict` when it was cancelled,
        `UpstreamTimeout` after `timeout_seconds`; it goes on by itself then.
        """
        if on_progress is not None or not bar:
            self._watch(timeout_seconds, on_progress)
        else:
            with progress.shown(str(self.found.get("table_name") or self.id)) as look:
                self._watch(timeout_seconds, look)
        self._check(allow_incomplete=allow_incomplete)
        return self

    def _watch(self, timeout_seconds: float | None, on_progress: Callable[[ImportRun], object] | None) -> None:
        started, asked_at = time.monotonic(), float("-inf")
        wait = min(_WAIT_SECONDS if on_progress is None else _SHOWN_SECONDS, self._http.timeout_seconds / 2)
        while self.status not in FINISHED:
            left = None if timeout_seconds is None else started + timeout_seconds - time.monotonic()
            if left is not None and left < 0:
                raise UpstreamTimeout(f"The import is not over after {timeout_seconds:g} s. It goes on; wait() again.")
            time.sleep(max(0.0, asked_at + _PAUSE_SECONDS - time.monotonic()))
            asked_at = time.monotonic()
            self.look(wait_seconds=wait if left is None else min(wait, left))
            if on_progress is not None:
                on_progress(self)

    def cancel(self) -> ImportRun:
        """Stop it at its next page. Raises `Conflict` when it has ended."""
        self.found = dict(self._http.post(f"{_ROUTE}/{self.id}/cancel"))
        return self

    def resume(self) -> ImportRun:
        """Let it go on behind its last safe page. Raises `Conflict` unless it ended short of its end."""
        self.found = dict(self._http.post(f"{_ROUTE}/{self.id}/resume"))
        return self

    def download(self, path: str | os.PathLike[str]) -> Path:
        """Fetch its one file to `path`, checked against size and SHA-256, and only then under that name.

        Raises `NotFound` when there is no file, `IncompleteData` when what arrived is not what the server has.
        """
        files = self.files
        if len(files) != 1:
            raise NotFound(f"This import has {len(files)} files. Only an import that ended with one can be downloaded.")
        target = Path(path)
        try:
            handle, name = tempfile.mkstemp(prefix=f".{target.name[:80]}.", suffix=".part", dir=target.parent)
        except OSError as error:
            raise Invalid(f"{target} cannot be written ({error.strerror}).", at="to") from None
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                self._fetch(files[0], file)
            part.chmod(0o666 & ~_umask())
            part.replace(target)
        except OSError as error:
            raise Invalid(f"{target} cannot be written ({error.strerror}).", at="to") from None
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        return target

    def _fetch(self, wanted: ImportFile, file: Any) -> None:
        digest, size = hashlib.sha256(), 0
        try:
            with self._http.stream("GET", f"{_ROUTE}/{self.id}/files/{quote(wanted.name, safe='')}") as response:
                for chunk in response.iter_bytes(_CHUNK_BYTES):
                    file.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
        except httpx2.HTTPError:
            raise IncompleteData(f"The download of {wanted.name} broke off after {size:,} bytes. Try again.") from None
        file.flush()
        os.fsync(file.fileno())
        if size != wanted.bytes or (wanted.sha256 and digest.hexdigest() != wanted.sha256):
            raise IncompleteData(f"{wanted.name} arrived other than the server has it; nothing was kept. Try again.")

    def _check(self, *, allow_incomplete: bool) -> None:
        status, name = self.status, self.found.get("table_name") or "The table"
        if status == "failed":
            error = self.found.get("error") or {"message": "The import failed, and the server gave no reason."}
            raise error_of({"connection": str(name).partition(".")[0], "import_id": self.id, **error})
        if status == "cancelled":
            raise Conflict("The import was cancelled. The previous file is untouched.")
        if status == "incomplete" and not allow_incomplete:
            stamp = self.completeness
            what = f": {stamp.sentence}" if stamp else ""
            note = f" {stamp.note}" if stamp and stamp.note else ""
            raise IncompleteData(
                f"The import of {name} is incomplete{what}.{note}", completeness=self.found.get("completeness")
            )


class Imports:
    """The imports the caller may see, newest first, found by id."""

    def __init__(self, transport: Transport) -> None:
        self._http = transport

    def __repr__(self) -> str:
        return f"Imports({self._http.url})"

    def __iter__(self) -> Iterator[ImportRun]:
        return (ImportRun(self._http, found) for found in self._http.pages(_ROUTE))

    def __getitem__(self, import_id: str) -> ImportRun:
        """The one of that id. Raises `NotFound`."""
        return ImportRun(self._http, self._http.get(f"{_ROUTE}/{quote(import_id, safe='')}"))

    def begin(
        self,
        table_id: str,
        *,
        to: str,
        mode: str = "replace",
        parameters: Mapping[str, Any] | None = None,
        partition_by: Sequence[str] = (),
        limit: int | None = None,
    ) -> ImportRun:
        """Ask for an import of a table, or of its first `limit` rows; `to` is a file on the server, its ending
        chooses the format.

        Or it is `Database/table`, in a destination. `parameters` are what the table asks for each time. With
        `partition_by`, for example `["country", "created_at:month"]`, `to` is a folder of Parquet files.
        """
        where = destination_of(self._http, to, partition_by)
        body: dict[str, Any] = {"table_id": table_id, "destination": where, "mode": mode}
        if parameters:
            body["parameters"] = dict(parameters)
        if limit is not None:
            body["limit"] = limit
        return ImportRun(self._http, self._http.post(_ROUTE, body))


def _umask() -> int:
    """The process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
