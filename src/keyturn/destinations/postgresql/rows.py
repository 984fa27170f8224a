"""Rows on their way into PostgreSQL: column types, names, and batches as CSV for COPY, exact to the last digit."""

from __future__ import annotations

import hashlib
import io
import re
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv as pa_csv

from keyturn.columns.schema import Schema
from keyturn.columns.types import ColumnType
from keyturn.columns.write import as_json

# Its functions are made when it is imported, so type checkers see none of them.
pc: Any = pyarrow.compute
_TYPES = {
    "bool": "boolean",
    "int64": "bigint",
    "float64": "double precision",
    "string": "text",
    "date": "date",
    "timestamp": "timestamp with time zone",
    "json": "jsonb",
    "list": "jsonb",
    "struct": "jsonb",
}
_NAME_BYTES = 63
# Columns that every table has already.
_TAKEN = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
_ESCAPES = re.compile(
    r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u0000|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def type_of(kind: ColumnType) -> str:
    """The type of a column, spelled as the server spells it."""
    if kind.word == "decimal":
        return f"numeric({kind.precision},{kind.scale})"
    return _TYPES[kind.word]


def names_of(schema: Schema) -> list[str]:
    """A name for each column: its own, but at most 63 bytes, none that the server keeps for itself, no two alike."""
    found: list[str] = []
    for column in schema.columns:
        name = fitting(column.name)
        while name in found:
            name = _shortened(name + "_2")
        found.append(name)
    return found


def fitting(name: str) -> str:
    """A name as the server can hold it; what is too long ends in eight digits of its hash."""
    name = name.replace("\0", _REPLACEMENT) or "column"
    return _shortened(name + "_" if name in _TAKEN else name)


def _shortened(name: str) -> str:
    if len(name.encode()) <= _NAME_BYTES:
        return name
    mark = "_" + hashlib.sha256(name.encode()).hexdigest()[:8]
    return name.encode()[: _NAME_BYTES - len(mark)].decode("utf-8", "ignore") + mark


def as_csv(batch: pa.RecordBatch, schema: Schema) -> tuple[bytes, int]:
    """A batch of `schema` as CSV, and how many texts had to be changed.

    PostgreSQL holds neither U+0000 nor half a character: U+FFFD stands in their place.
    """
    arrays: list[pa.Array] = []
    changed = 0
    for array, column, field in zip(batch.columns, schema.columns, batch.schema, strict=True):
        kind = column.kind
        if kind.word in {"list", "struct"}:
            array, count = _sound_json(as_json(array, field))  # noqa: PLW2901
        elif kind.word == "json":
            array, count = _sound_json(array)  # noqa: PLW2901
        elif kind.word == "string":
            array, count = _sound_text(array)  # noqa: PLW2901
        else:
            count = 0
        arrays.append(array)
        changed += count
    out = io.BytesIO()
    plain = pa.RecordBatch.from_arrays(arrays, names=[str(number) for number in range(len(arrays))])
    pa_csv.write_csv(plain, out, pa_csv.WriteOptions(include_header=False))
    return out.getvalue(), changed


def _sound_text(array: pa.Array) -> tuple[pa.Array, int]:
    bad = pc.sum(pc.match_substring(array, "\0")).as_py() or 0
    return (pc.replace_substring(array, "\0", _REPLACEMENT) if bad else array), bad


def _sound_json(array: pa.Array) -> tuple[pa.Array, int]:
    if not pc.any(pc.match_substring_regex(array, r"\\u0000|\\u[dD]")).as_py():
        return array, 0
    before = array.to_pylist()
    after = [None if text is None else _ESCAPES.sub(_sound, text) for text in before]
    return pa.array(after, pa.string()), sum(old != new for old, new in zip(before, after, strict=True))


def _sound(match: re.Match[str]) -> str:
    found = match[0]
    # An escaped backslash and the two halves of one character stay as they are.
    return found if found == "\\\\" or len(found) > len("\\u0000") else _REPLACEMENT
