"""A read of a table as Arrow: batches stream in, and without the completeness stamp at the end it is an error."""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import httpx2
import pyarrow as pa

from keyturn.client.completeness import Completeness
from keyturn.client.problems import error_of
from keyturn.client.transport import Transport
from keyturn.errors import IncompleteData, Invalid, KeyturnError

if TYPE_CHECKING:
    from keyturn.client.tables import Table

SCHEMA_MOVED = "E-SCHEMA"
STAMP_KEY = b"keyturn.completeness"
_CHUNK_BYTES = 1 << 16
# A schema that widens during a read ends it; the table has learned it then, and the next read begins with it.
WHOLE_ATTEMPTS = 4


class Read:
    """One read, not begun yet. Each of `to_arrow`, `to_pandas`, `to_polars` and `batches` reads the table once.

    `completeness` is the stamp of the last one that ended.
    """

    def __init__(
        self,
        transport: Transport,
        table: Table,
        *,
        limit: int | None,
        columns: Sequence[str] | None,
        partition: str | None,
        allow_incomplete: bool,
        asked: Mapping[str, str],
    ) -> None:
        self._http, self._table = transport, table
        columns = None if columns is None else list(columns)
        self._asked = {**asked, "limit": limit, "columns": columns, "partition": partition}
        self._allow_incomplete = allow_incomplete
        self.completeness: Completeness | None = None
        self.read_id: str | None = None

    def __repr__(self) -> str:
        return f"Read({self._table.name!r}, completeness={self.completeness!r})"

    def rejects(self) -> Iterator[dict[str, Any]]:
        """The values of the last read that did not fit their columns, with row, column, path, value and reason."""
        if self.read_id is not None:
            yield from self._http.lines(f"/reads/{self.read_id}/rejects")

    def to_arrow(self) -> pa.Table:
        """Everything as one Arrow table. Raises `IncompleteData` unless it was allowed."""
        for attempt in range(1, WHOLE_ATTEMPTS + 1):
            stream = self._stream()
            try:
                batches = list(stream)
            except IncompleteData as error:
                if error.message_code != SCHEMA_MOVED or attempt == WHOLE_ATTEMPTS:
                    raise
                continue
            return pa.Table.from_batches(batches, schema=stream.schema or pa.schema([]))
        raise AssertionError  # the last attempt returns or raises

    def to_pandas(self) -> Any:
        """Everything as a pandas data frame."""
        _installed("pandas")
        return self.to_arrow().to_pandas()

    def to_polars(self) -> Any:
        """Everything as a polars data frame."""
        return _installed("polars").from_arrow(self.to_arrow())

    def batches(self, rows: int = 10_000) -> Iterator[pa.RecordBatch]:
        """Record batches of at most `rows` rows, never all in memory. Raises `IncompleteData` at the end, unless
        it was allowed: what was yielded until then is not the whole.
        """
        if rows < 1:
            raise Invalid("Enter a whole number greater than 0.", at="rows")
        for batch in self._stream():
            for start in range(0, batch.num_rows, rows):
                yield batch.slice(start, rows)

    def _stream(self) -> _Stream:
        self.completeness = None
        return _Stream(self._http, self._table, self._asked, self._ended)

    def _ended(self, completeness: Completeness | None, failure: IncompleteData | None, read_id: str | None) -> None:
        """Called once at the end of a stream. Raises unless it is whole or that was waived.

        A schema that moved is raised in any case: a part of the rows, where all could be had, is nobody's wish.
        """
        self.read_id = read_id
        told = failure.details.get("completeness") if failure is not None else None
        self.completeness = Completeness.of(told) if told else completeness
        moved = failure is not None and failure.message_code == SCHEMA_MOVED
        if failure is not None and (moved or not self._allow_incomplete):
            raise failure
        if completeness is not None and completeness.is_short and not self._allow_incomplete:
            raise short(self._table.name, completeness)


class _Stream:
    """The batches of one answer. `schema` is known once iteration has begun."""

    def __init__(self, transport: Transport, table: Table, asked: Mapping[str, Any], ended: Any) -> None:
        self._http, self._table, self._asked, self._ended = transport, table, asked, ended
        self.schema: pa.Schema | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        params = {"format": "arrow", **{name: value for name, value in self._asked.items() if value is not None}}
        route = f"{self._table.route}/rows"
        headers = {"Accept-Encoding": "identity"}
        with self._http.stream("GET", route, params=params, headers=headers) as response:
            body = _Body(response)
            stamp: Completeness | None = None
            broken = False
            try:
                with pa.ipc.open_stream(io.BufferedReader(body, _CHUNK_BYTES)) as reader:
                    self.schema = reader.schema
                    for batch, metadata in _with_metadata(reader):
                        if stamp is not None:
                            stamp, broken = None, True
                            break
                        stamp = _stamp(batch, metadata)
                        if batch.num_rows:
                            yield batch
                body.finish()
            except (pa.ArrowInvalid, OSError, httpx2.HTTPError):
                broken = True
            read_id = response.headers.get("keyturn-read-id")
        if broken or stamp is None:
            self._ended(None, self._cut(read_id), read_id)
        else:
            self._ended(stamp, None, read_id)

    def _cut(self, read_id: str | None) -> IncompleteData:
        """Why the body ended early, as the server remembers it."""
        found: dict[str, Any] = {}
        if read_id is not None:
            try:
                found = self._http.get(f"/reads/{read_id}")
            except KeyturnError:
                found = {}
        error = found.get("error") or {}
        stamp = found.get("completeness") or {}
        name, code = self._table.name, error.get("message_code")
        if error:
            reason = str(error["message"])
        else:
            reason = f"The read of {name} ended before its completeness stamp, so rows are missing. Read it again."
        cut = IncompleteData(reason, message_code=code, completeness=stamp or None, read_id=read_id)
        cut.__cause__ = error_of(error) if error else None
        return cut


class _Body(io.RawIOBase):
    """The answer's body as a file for Arrow to read."""

    def __init__(self, response: httpx2.Response) -> None:
        self._chunks = response.iter_bytes()
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def finish(self) -> None:
        """Read to the end of the body: HTTP tells only there whether all of it came."""
        for _ in self._chunks:
            pass


def _with_metadata(reader: Any) -> Iterator[tuple[pa.RecordBatch, Any]]:
    while True:
        try:
            yield reader.read_next_batch_with_custom_metadata()
        except StopIteration:
            return


def _stamp(batch: pa.RecordBatch, metadata: Any) -> Completeness | None:
    """The stamp, if this batch carries it: it has no rows, and its metadata names it."""
    raw = metadata.get(STAMP_KEY) if metadata is not None and batch.num_rows == 0 else None
    if raw is None:
        return None
    try:
        return Completeness.of(json.loads(raw))
    except (ValueError, TypeError, AttributeError):
        return None


def _installed(module: str) -> Any:
    """A library of the user's choice. Told before the table is read, not after."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise Invalid(f"{module} is not installed. Run pip install {module}.") from None


def short(name: str, completeness: Completeness) -> IncompleteData:
    """The error of a read of which rows are missing."""
    why = f" {completeness.note}" if completeness.note else ""
    return IncompleteData(
        f"{name} is incomplete: {completeness.sentence}.{why} Pass allow_incomplete=True to take it as it is.",
        completeness=asdict(completeness),
    )
