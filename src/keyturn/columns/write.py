"""Batches of an older, narrower schema as batches of a wider one, without losing a value."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from keyturn.columns.build import json_safe, to_json, to_text
from keyturn.columns.schema import Column, Schema
from keyturn.columns.types import ColumnType


def cast_batch(batch: pa.RecordBatch, schema: Schema) -> pa.RecordBatch:
    """`batch` with the columns of `schema`: missing ones are null, narrower ones are widened exactly.

    Raises pyarrow.ArrowInvalid if a whole number would lose digits as a double.
    """
    arrays = []
    for column in schema.columns:
        index = batch.schema.get_field_index(column.name)
        if index < 0:
            arrays.append(pa.nulls(batch.num_rows, column.kind.arrow))
        else:
            arrays.append(_cast(batch.column(index), column))
    return pa.RecordBatch.from_arrays(arrays, schema=schema.arrow)


def _cast(array: pa.Array, column: Column) -> pa.Array:
    kind = column.kind
    if kind.word == "json" and pa.types.is_string(array.type):
        return pa.array([_as_json(value) for value in array.to_pylist()], pa.string())
    if array.type == kind.arrow:
        return array
    if kind.word in {"string", "json"}:
        values = [None if value is None else to_text(json_safe(value)) for value in array.to_pylist()]
        return pa.array(values, pa.string())
    if pa.types.is_nested(array.type):
        return pa.array([_nested(value, kind) for value in array.to_pylist()], kind.arrow)
    return array.cast(kind.arrow)


def _as_json(value: str | None) -> str | None:
    """Text as JSON text; what is a JSON object or list already stays as it is."""
    if value is None:
        return None
    return value if value[:1] in {"{", "["} else to_json(value)


def _nested(value: Any, kind: ColumnType) -> Any:
    if value is None:
        return None
    if kind.word == "list" and kind.element is not None:
        return [_nested(item, kind.element) for item in value]
    if kind.word == "struct":
        return {name: _nested(value.get(name), inner) for name, inner in kind.fields}
    if kind.word == "json":
        return to_json(json_safe(value))
    return to_text(json_safe(value)) if kind.word == "string" else value
