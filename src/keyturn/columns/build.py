"""Rows into record batches, strictly: a value that does not fit raises `Misfit`; nothing is rounded, cut or dropped."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any

import orjson
import pyarrow as pa

from keyturn.columns.infer import EXACT_IN_DOUBLE, INT64_MAX, INT64_MIN, Nested, is_date, is_timestamp, is_unicode
from keyturn.columns.schema import Column, Path, Schema, leaves_of, value_at
from keyturn.columns.types import ColumnType

_INTEGERS = {"int53": (-EXACT_IN_DOUBLE, EXACT_IN_DOUBLE), "int64": (INT64_MIN, INT64_MAX)}
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,9})?")
_EXACTLY = Context(prec=100, traps=[InvalidOperation, Inexact])


class Misfit(Exception):
    """A value no column holds as the schema stands. `row_number` counts from 1 within the rows given."""

    def __init__(self, column: str, row_number: int, value_kind: str) -> None:
        super().__init__(f"{column}, row {row_number}: {value_kind}")
        self.column = column
        self.row_number = row_number
        self.value_kind = value_kind


@dataclass(frozen=True, slots=True)
class Reject:
    """A value that was left out of its column: `row_number` counts from 1, `value` is its JSON text, exact."""

    row_number: int
    column: str
    source_path: str
    value: str = field(repr=False)
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """As JSON: `row` counts from 1 in the read, `value` is the JSON text as it came."""
        return {
            "row": self.row_number,
            "column": self.column,
            "path": self.source_path,
            "value": self.value,
            "reason": self.reason,
        }


def build(
    schema: Schema,
    rows: Sequence[Any],
    rejects: list[Reject] | None = None,
    *,
    frozen: bool = False,
    ignored: set[str] | None = None,
) -> pa.RecordBatch:
    """One record batch of `schema.arrow`. Raises `Misfit` for a value, or a field, that the schema does not hold.

    With `rejects`, values that do not fit a pinned type are put there and their cells are null; if `frozen`, those
    of every column are, and the names of fields without a column go to `ignored`.
    """
    if frozen:
        _tell_unknown(schema, rows, ignored if ignored is not None else set())
    else:
        _refuse_unknown(schema, rows)
    arrays = [_array(column, rows, rejects if frozen or column.pinned else None) for column in schema.columns]
    if not arrays:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * len(rows), pa.struct([])))
    return pa.RecordBatch.from_arrays(arrays, schema=schema.arrow)


def to_json_rows(schema: Schema, rows: Sequence[Any]) -> list[list[Any]]:
    """Rows as lists in the schema's order, JSON-safe, each value as its column would hold it."""
    batch = build(schema, rows, [])
    columns = [[json_safe(value) for value in column.to_pylist()] for column in batch.columns]
    return [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in rows]


def fits(value: Any, kind: ColumnType, *, lenient: bool = False) -> bool:
    """Whether a value can be held exactly. `lenient`: a pinned type also takes the text form of its values."""
    try:
        _convert(value, kind, lenient=lenient)
    except ValueError:
        return False
    return True


def json_safe(value: Any) -> Any:
    """A value out of Arrow as JSON can say it: instants as RFC 3339 in UTC, decimals as text."""
    if isinstance(value, datetime):
        text = value.astimezone(UTC).isoformat()
        return text.replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, list):
        return [json_safe(item) for item in value]
    if isinstance(value, Mapping):
        return {name: json_safe(item) for name, item in value.items()}
    return value


def to_text(value: Any) -> str:
    """A JSON value as text that keeps its digits; objects and lists as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return str(value)
    return to_json(value)


def to_json(value: Any) -> str:
    """A JSON value as JSON text, integers of any size and long decimals included."""
    if isinstance(value, Nested):
        value = value.value
    try:
        return orjson.dumps(value).decode()
    except (TypeError, orjson.JSONEncodeError):
        return _exact_json(value)


def _exact_json(value: Any) -> str:
    """JSON text of what orjson does not take: long integers, decimals as numbers, lone halves of characters."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, list):
        return f"[{','.join(_exact_json(item) for item in value)}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{json.dumps(str(name))}:{_exact_json(item)}' for name, item in value.items())}}}"
    return json.dumps(value, ensure_ascii=not isinstance(value, str) or not is_unicode(value))


def _array(column: Column, rows: Sequence[Any], rejects: list[Reject] | None) -> pa.Array:
    kind, path = column.holds, column.path
    if len(path) == 1 and all(isinstance(row, Mapping) for row in rows):
        key = path[0]
        values = [row.get(key) for row in rows]
    else:
        values = [value_at(row, path) for row in rows]
    if not _as_they_are(values, kind):
        values = _converted(column, kind, values, rejects)
    return pa.array(values, column.kind.arrow)


def _as_they_are(values: list[Any], kind: ColumnType) -> bool:
    """Whether all values are of the one Python type that the column's type has, so that Arrow takes them exactly."""
    found = set(map(type, values))
    found.discard(type(None))
    if not found:
        return True
    if kind.word == "int53":
        return found == {int} and all(-EXACT_IN_DOUBLE <= v <= EXACT_IN_DOUBLE for v in values if v is not None)
    if kind.word == "int64":
        return found == {int} and all(INT64_MIN <= v <= INT64_MAX for v in values if v is not None)
    if kind.word == "string":
        return found == {str} and all(v is None or v.isascii() or is_unicode(v) for v in values)
    return (kind.word, found) in (("bool", {bool}), ("float64", {float}))


def _converted(column: Column, kind: ColumnType, values: list[Any], rejects: list[Reject] | None) -> list[Any]:
    lenient = column.pinned
    converted: list[Any] = []
    for number, value in enumerate(values, 1):
        try:
            converted.append(_convert(value, kind, lenient=lenient))
        except ValueError:
            if rejects is None:
                raise Misfit(column.name, number, _kind_in_words(value)) from None
            converted.append(None)
            reason = f"{_kind_in_words(value)}, not {column.type}"
            rejects.append(Reject(number, column.name, column.source_path, to_json(value), reason))
    return converted


def _tell_unknown(schema: Schema, rows: Sequence[Any], ignored: set[str]) -> None:
    known = frozenset(column.path for column in schema.columns)
    inner = {path[:end] for path in known for end in range(1, len(path))}
    for row in rows:
        for path, value in leaves_of(row, schema.stops):
            if path not in known and not (path in inner and (value is None or value == {})):
                ignored.add(_name(path))


def _refuse_unknown(schema: Schema, rows: Sequence[Any]) -> None:
    known = frozenset(column.path for column in schema.columns)
    stops = schema.stops
    flat = {path[0] for path in stops if len(path) == 1}
    inner = {path[:end] for path in known for end in range(1, len(path))}
    for number, row in enumerate(rows, 1):
        if isinstance(row, Mapping) and row.keys() <= flat:
            continue
        for path, value in leaves_of(row, stops):
            if path in known or (path in inner and (value is None or value == {})):
                continue
            raise Misfit(_name(path), number, "a new column")


def _convert(value: Any, kind: ColumnType, *, lenient: bool) -> Any:
    if value is None:
        return None
    if kind.word in {"string", "json"}:
        return _text(value, kind)
    if kind.word == "list":
        if not isinstance(value, list) or kind.element is None:
            raise ValueError
        return [_convert(item, kind.element, lenient=lenient) for item in value]
    if kind.word == "struct":
        return _struct(value, kind, lenient=lenient)
    return _scalar(value, kind, lenient=lenient)


def _text(value: Any, kind: ColumnType) -> str:
    if kind.word == "json":
        return to_json(value)
    if isinstance(value, list | Mapping | Nested):
        # Text that is JSON beside text that is not could not be told apart: the column becomes json.
        raise ValueError  # noqa: TRY004 - misfits are ValueErrors here
    text = to_text(value)
    if not is_unicode(text):
        raise ValueError
    return text


def _struct(value: Any, kind: ColumnType, *, lenient: bool) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError  # noqa: TRY004
    fields = dict(kind.fields)
    if any(name not in fields for name in value):
        raise ValueError
    return {name: _convert(value.get(name), inner, lenient=lenient) for name, inner in fields.items()}


def _scalar(value: Any, kind: ColumnType, *, lenient: bool) -> Any:
    word = kind.word
    if word == "bool" and isinstance(value, bool):
        return value
    if isinstance(value, bool):
        raise ValueError  # noqa: TRY004
    if isinstance(value, int) and word in _INTEGERS and _INTEGERS[word][0] <= value <= _INTEGERS[word][1]:
        return value
    if word == "float64":
        if isinstance(value, float):
            return value
        if isinstance(value, int) and -EXACT_IN_DOUBLE <= value <= EXACT_IN_DOUBLE:
            return float(value)
        if lenient and isinstance(value, Decimal):
            return _exact_double(value)
    if word == "date" and isinstance(value, str) and is_date(value):
        return date.fromisoformat(value)
    if word == "timestamp" and isinstance(value, str) and is_timestamp(value):
        return datetime.fromisoformat(value).astimezone(UTC)
    if word == "decimal":
        return _decimal(value, kind)
    if lenient and isinstance(value, str):
        return _from_text(value, kind)
    raise ValueError


def _from_text(text: str, kind: ColumnType) -> Any:
    if kind.word == "int64" and str(int(text)) == text.strip() and INT64_MIN <= int(text) <= INT64_MAX:
        return int(text)
    if kind.word == "float64" and _NUMBER.fullmatch(text):
        return _exact_double(Decimal(text))
    if kind.word == "bool" and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    raise ValueError


def _decimal(value: Any, kind: ColumnType) -> Decimal:
    if not isinstance(value, int | float | Decimal | str) or (isinstance(value, str) and not _NUMBER.fullmatch(value)):
        raise ValueError
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number:
        return Decimal(0)
    try:
        # More than 38 digits cannot be held anyway; what is cut off here would be told as Inexact.
        number = _EXACTLY.quantize(number, Decimal(1).scaleb(-kind.scale))
    except (InvalidOperation, Inexact):
        raise ValueError from None
    if number.adjusted() >= kind.precision - kind.scale:
        raise ValueError
    return number


def _exact_double(number: Decimal) -> float:
    """The double that was written with these digits: its shortest form, or all 17 of them."""
    double = float(number)
    if not math.isfinite(double) or number not in (Decimal(repr(double)), Decimal(f"{double:.17g}")):
        raise ValueError
    return double


def _kind_in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int):
        return "a whole number"
    if isinstance(value, float | Decimal):
        return "a number"
    if isinstance(value, list):
        return "a list"
    return "an object" if isinstance(value, Mapping | Nested) else "text"


def _name(path: Path) -> str:
    return ".".join(path)
