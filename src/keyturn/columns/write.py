"""Batches of an older, narrower schema as batches of a wider one, without losing a value."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa

from keyturn.columns.build import json_safe, to_json, to_text
from keyturn.columns.schema import Schema
from keyturn.columns.types import ColumnType, is_json, kind_of


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
            arrays.append(_cast(batch.column(index), batch.schema.field(index), column.kind))
    return pa.RecordBatch.from_arrays(arrays, schema=schema.arrow)


def cast_column(array: pa.Array, before: pa.Field, kind: ColumnType) -> pa.Array:
    """A column of somebody's file, whose field is `before`, as `kind`. Raises pyarrow.ArrowInvalid as `cast_batch`."""
    known = kind_of(before)
    if known is not None and array.type != known.arrow:
        array, before = array.cast(known.arrow), known.field(before.name)
    return _cast(array, before, kind)


def _cast(array: pa.Array, before: pa.Field, kind: ColumnType) -> pa.Array:
    if _same(before, kind):
        return array if array.type == kind.arrow else array.cast(kind.arrow)
    if array.null_count == len(array):
        return pa.nulls(len(array), kind.arrow)
    if pa.types.is_nested(array.type) or kind.word in {"string", "json"}:
        return pa.array([_value(value, before, kind) for value in array.to_pylist()], kind.arrow)
    return array.cast(kind.arrow)


def _same(before: pa.Field, kind: ColumnType) -> bool:
    """Whether no value changes. Names and metadata of list items may differ where a file was in between."""
    if kind.word == "list":
        return pa.types.is_list(before.type) and _same(before.type.value_field, kind.element or ColumnType("string"))
    if kind.word == "struct":
        inner = list(before.type) if pa.types.is_struct(before.type) else []
        return [field.name for field in inner] == [name for name, _ in kind.fields] and all(
            _same(field, sub) for field, (_, sub) in zip(inner, kind.fields, strict=True)
        )
    return before.type == kind.arrow and is_json(before) == (kind.word == "json")


def _value(value: Any, before: pa.Field, kind: ColumnType) -> Any:
    if value is None or _same(before, kind):
        return value
    if kind.word == "list":
        element = kind.element or ColumnType("string")
        return [_value(item, before.type.value_field, element) for item in value]
    if kind.word == "struct":
        known = {field.name: field for field in before.type}
        return {name: _value(value[name], known[name], inner) if name in known else None for name, inner in kind.fields}
    if kind.word == "json":
        return _json(value, before)
    return to_text(json_safe(value)) if kind.word == "string" else value


def _json(value: Any, before: pa.Field) -> str:
    """JSON text of a value out of Arrow; parts that are JSON text already stay as they are."""
    if is_json(before) and value is not None:
        return value
    if isinstance(value, list):
        return f"[{','.join(_json(item, before.type.value_field) for item in value)}]"
    if isinstance(value, dict):
        known = {field.name: field for field in before.type}
        return f"{{{','.join(f'{to_json(name)}:{_json(item, known[name])}' for name, item in value.items())}}}"
    return to_json(value if isinstance(value, Decimal) else json_safe(value))


def as_json(array: pa.Array, field: pa.Field) -> pa.Array:
    """A column of lists or objects as JSON text, every digit kept."""
    return pa.array([None if value is None else _json(value, field) for value in array.to_pylist()], pa.string())
