"""The rows of one import on disk while it is under way: Arrow streams in segments, appended to and never changed.

What is safe is said by whoever keeps the list of segments: a segment counts up to the `bytes` listed, and what lies
behind them (a page cut off by a crash, or written by a process that had lost its lease) is not there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from keyturn.destinations.destination import Doubtful
from keyturn.errors import Invalid

_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of rows of one schema: the first `bytes` of the file `name`, which hold `rows` rows."""

    name: str
    bytes: int
    rows: int

    def as_dict(self) -> dict[str, Any]:
        """JSON-safe."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Lying:
    """A batch that lies in a journal: the first one behind `offset`."""

    path: Path
    offset: int
    schema: pa.Schema

    def read(self) -> pa.RecordBatch:
        """The batch. Raises OSError when the disk is away or somebody tidied up."""
        # Not mapped: where a disk breaks off under a mapping the process dies.
        with pa.OSFile(str(self.path)) as source:
            source.seek(self.offset)
            message = pa.ipc.read_message(source)
            while message.type != "record batch":
                message = pa.ipc.read_message(source)
            return pa.ipc.read_record_batch(message, self.schema)


class JournalLost(Invalid):
    """Segments that are listed are not in the folder: another disk, or somebody tidied up."""


class Journal:
    """Segments in `folder`. `run` names the new ones, so that two processes never write into the same file."""

    def __init__(self, folder: Path, run: str, segments: Sequence[Mapping[str, Any]] = ()) -> None:
        self.folder, self._run = folder, run
        self._before = [Segment(**item) for item in segments]
        for item in self._before:
            path = folder / item.name
            if not path.is_file() or path.stat().st_size < item.bytes:
                raise JournalLost("The pages of this import are not on this disk any more.", at="resume_from")
        self._file: pa.NativeFile | None = None
        self._writer: pa.ipc.RecordBatchStreamWriter | None = None
        self._schema: pa.Schema | None = None
        self._current: Segment | None = None
        self._synced: dict[str, int] = {}
        self._opened = 0

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What has been added by now, as it would be listed."""
        return (*self._before, *(() if self._current is None else (self._current,)))

    def add(self, batch: pa.RecordBatch) -> Lying:
        """Append rows and hand them to the system; `sync` makes them safe. Answers where they lie.

        Raises OSError when the disk is full. The rows may be added again then.
        """
        try:
            if self._writer is None or not batch.schema.equals(self._schema, check_metadata=True):
                self._open(batch.schema)
            if self._writer is None or self._file is None or self._current is None:
                raise AssertionError
            self._writer.write_batch(batch)
            self._file.flush()
        except OSError as error:
            # Half of them lies behind the end that counts: what follows goes into another file.
            self.close()
            raise _in_system_words(error) from None
        added = Lying(self.folder / self._current.name, self._current.bytes, batch.schema)
        self._current = Segment(self._current.name, self._file.tell(), self._current.rows + batch.num_rows)
        return added

    def sync(self, segments: Iterable[Segment]) -> None:
        """Make everything listed survive a power loss. Safe beside `add`: later bytes are simply not listed."""
        fresh = [item for item in segments if self._synced.get(item.name, -1) < item.bytes and item.name in self._ours]
        for item in fresh:
            fsync(self.folder / item.name)
        if any(item.name not in self._synced for item in fresh):
            fsync(self.folder)
        self._synced.update({item.name: item.bytes for item in fresh})

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Every row that counts, in order; each batch in the schema it came with."""
        for item in self.segments:
            yield from self._read(item)

    def last(self, rows: int) -> list[pa.RecordBatch]:
        """The batches that hold at least the last `rows` rows."""
        found: list[pa.RecordBatch] = []
        for item in reversed(self.segments):
            if sum(batch.num_rows for batch in found) >= rows:
                break
            found = [*self._read(item), *found]
        return found

    def close(self) -> None:
        """Write no more; what is there stays."""
        self._writer = None
        file, self._file = self._file, None
        if file is not None:
            # What counts was flushed, so only bytes that do not count can fail here.
            with contextlib.suppress(OSError):
                file.close()
        if self._current is not None and self._current.rows:
            self._before.append(self._current)
        self._current = None

    @property
    def _ours(self) -> set[str]:
        return {item.name for item in self.segments if item.name.startswith(f"{self._run}-")}

    def _open(self, schema: pa.Schema) -> None:
        self.close()
        self._opened += 1
        name = f"{self._run}-{self._opened:06}.arrow"
        self.folder.mkdir(exist_ok=True)
        # Arrow's own file: one of Python's would be called for each of a page's many pieces.
        self._file = pa.output_stream(str(self.folder / name), compression=None, buffer_size=_BUFFER_BYTES)
        self._writer = pa.ipc.new_stream(self._file, schema)
        self._schema = schema
        self._current = Segment(name, 0, 0)

    def _read(self, item: Segment) -> Iterator[pa.RecordBatch]:
        if not item.rows:
            return
        with pa.memory_map(str(self.folder / item.name)) as source:
            # A stream may end without its mark, so the bytes that count are a stream of their own.
            with pa.ipc.open_stream(pa.BufferReader(source.read_buffer(item.bytes))) as stream:
                yield from stream


def _in_system_words(error: OSError) -> OSError:
    """Arrow has the system's number, and a sentence of its own."""
    return error if error.errno is None else OSError(error.errno, os.strerror(error.errno))


def remove_folder(folder: Path) -> None:
    """A journal that nobody will read any more."""
    shutil.rmtree(folder, ignore_errors=True)


def fsync(path: Path) -> None:
    """Make a file, or the names in a folder, survive a power loss. Raises OSError, `Doubtful` if it is there."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # The system forgets what it could not write: a second try would succeed without it.
        raise Doubtful(error.errno, error.strerror) from error
    finally:
        os.close(descriptor)
