"""Batches as bytes on the way to a caller: Arrow IPC, NDJSON, CSV. The stamp travels with the data where it can."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any, Protocol

import orjson
import pyarrow as pa

from keyturn.columns.build import json_safe
from keyturn.columns.schema import Schema

COMPLETENESS_KEY = "keyturn.completeness"
FORMATS = {
    "arrow": "application/vnd.apache.arrow.stream",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}


class SchemaMoved(Exception):
    """The schema widened after its header had gone out; this format cannot take it back."""


class Encoder(Protocol):
    """Turns batches into chunks of bytes; `end` gives the last chunk, with the stamp where the format has room."""

    def add(self, batch: pa.RecordBatch, schema: Schema) -> bytes:
        """The bytes of one batch."""
        ...

    def end(self, schema: Schema, completeness: Mapping[str, Any]) -> bytes:
        """The bytes after the last batch."""
        ...


def schema_message(schema: Schema) -> bytes:
    """The schema alone, as Arrow IPC writes it at the head of a stream."""
    return schema.arrow.serialize().to_pybytes()


class ArrowStream:
    """Arrow IPC stream; the stamp is the custom metadata of a last batch without rows."""

    def __init__(self) -> None:
        self._sink = io.BytesIO()
        self._writer: pa.ipc.RecordBatchStreamWriter | None = None
        self._schema: pa.Schema | None = None

    def add(self, batch: pa.RecordBatch, schema: Schema) -> bytes:
        """The bytes of one batch, after the schema's the first time. Raises `SchemaMoved`."""
        self._open(schema).write_batch(batch)
        return self._taken()

    def end(self, schema: Schema, completeness: Mapping[str, Any]) -> bytes:
        """The stamped empty batch and the end-of-stream marker."""
        writer = self._open(schema)
        empty = pa.RecordBatch.from_pylist([], schema=schema.arrow)
        writer.write_batch(empty, custom_metadata={COMPLETENESS_KEY: json.dumps(completeness)})
        writer.close()
        return self._taken()

    def _open(self, schema: Schema) -> pa.ipc.RecordBatchStreamWriter:
        if self._writer is None:
            self._schema = schema.arrow
            self._writer = pa.ipc.new_stream(self._sink, schema.arrow)
        elif schema.arrow != self._schema:
            raise SchemaMoved
        return self._writer

    def _taken(self) -> bytes:
        taken = self._sink.getvalue()
        self._sink.seek(0)
        self._sink.truncate()
        return taken


class NdjsonStream:
    """One JSON object a line; the last line is `{"$completeness": {…}}`."""

    def add(self, batch: pa.RecordBatch, schema: Schema) -> bytes:  # noqa: ARG002 - one shape for all encoders
        """A line for each row; integers keep their digits, bytes beyond 64 bits are text already."""
        return b"".join(orjson.dumps(json_safe(row)) + b"\n" for row in batch.to_pylist())

    def end(self, schema: Schema, completeness: Mapping[str, Any]) -> bytes:  # noqa: ARG002
        """The stamp's line."""
        return orjson.dumps({"$completeness": dict(completeness)}) + b"\n"

    def header(self, schema: Schema) -> bytes:  # noqa: ARG002
        """What a file of this format begins with: nothing."""
        return b""

    def go_on(self, schema: Schema) -> None:
        """Append to a file that has its header."""

    def tail(self, schema: Schema) -> bytes:  # noqa: ARG002
        """What a file ends with: rows alone, since its stamp is the import's."""
        return b""


class CsvStream:
    """RFC 4180 with a header; the stamp is asked for by the header `Keyturn-Read-Id`.

    Text that a spreadsheet would take for a formula gets a leading apostrophe (ASVS 1.2.10), unless it is a
    plain number or `neutralise` is off; `cells_changed` counts them.
    """

    def __init__(self, *, neutralise: bool = True) -> None:
        self._names: list[str] | None = None
        self._neutralise = neutralise
        self.cells_changed = 0

    def add(self, batch: pa.RecordBatch, schema: Schema) -> bytes:
        """The rows' lines, after the header's the first time. Raises `SchemaMoved` on new columns."""
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator="\r\n")
        self._header(writer, schema)
        for row in batch.to_pylist():
            writer.writerow([self._cell(row.get(name)) for name in self._names or ()])
        return out.getvalue().encode()

    def header(self, schema: Schema) -> bytes:
        """The line of names."""
        out = io.StringIO(newline="")
        names = [_neutral(column.name) for column in schema.columns]
        csv.writer(out, lineterminator="\r\n").writerow(names)
        return out.getvalue().encode()

    def go_on(self, schema: Schema) -> None:
        """Append to a file that has its header."""
        self._names = [column.name for column in schema.columns]

    def tail(self, schema: Schema) -> bytes:
        """The header of a table without rows."""
        return self.end(schema, {})

    def _cell(self, value: Any) -> str:
        plain = _cell(value)
        if not self._neutralise or not isinstance(value, str):
            return plain
        safe = _neutral(plain)
        self.cells_changed += safe != plain
        return safe

    def end(self, schema: Schema, completeness: Mapping[str, Any]) -> bytes:  # noqa: ARG002
        """Nothing, or the header of a table without rows."""
        out = io.StringIO(newline="")
        self._header(csv.writer(out, lineterminator="\r\n"), schema)
        return out.getvalue().encode()

    def _header(self, writer: Any, schema: Schema) -> None:
        names = [column.name for column in schema.columns]
        if self._names is None:
            self._names = names
            writer.writerow([_neutral(name) for name in names])
        elif names != self._names:
            raise SchemaMoved


def _cell(value: Any) -> str:
    safe = json_safe(value)
    if safe is None:
        return ""
    if isinstance(safe, bool):
        return "true" if safe else "false"
    if isinstance(safe, str):
        return safe
    if isinstance(safe, dict | list):
        return orjson.dumps(safe).decode()
    return str(safe)


def _neutral(text: str) -> str:
    if not text or text[0] not in "=+-@\t\r":
        return text
    try:
        float(text)
    except ValueError:
        return "'" + text
    return text


def encoder(name: str) -> Encoder:
    """The encoder of a streamed format: arrow, ndjson or csv."""
    return {"arrow": ArrowStream, "ndjson": NdjsonStream, "csv": CsvStream}[name]()
