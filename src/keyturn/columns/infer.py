"""From values to the narrowest type that holds all of them exactly, and the join of two types. Text when in doubt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from keyturn.columns.types import JSON, STRING, ColumnType

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
# Doubles hold every whole number up to here, and not every one beyond.
EXACT_IN_DOUBLE = 2**53
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DEPTH_MOST = 10


@dataclass(frozen=True, slots=True)
class Nested:
    """A list or an object that is one JSON value of its column, whatever is in it."""

    value: Any


UNSEEN = ColumnType("unseen")
UNSEEN_LIST = ColumnType("list", element=UNSEEN)
BIG_INTEGER = ColumnType("bigint")
SMALL_INTEGER = ColumnType("int53")
NUMBER_TEXT = ColumnType("numbertext")

NOTE_UNSEEN = "not seen yet"
NOTE_BIG = "kept as text: larger than 64-bit"
NOTE_WIDE = "has whole numbers beyond 2^53: some tools round them"
NOTE_LATE = "kept as text: its first values came later than the first page"
NOTE_DIGITS = "kept as text: more digits than a double holds"
NOTE_MIXED = "kept as text: values of different kinds"
NOTE_JSON = "kept as JSON text: values of different shapes"


def type_of(value: Any, depth: int = 0) -> ColumnType:
    """The narrowest type of one JSON value; `unseen` for null. `public` replaces inner words such as `int53`.

    What is nested deeper than ten lists and objects is JSON text.
    """
    if value is None:
        return UNSEEN
    if isinstance(value, bool):
        return ColumnType("bool")
    if isinstance(value, int):
        if -EXACT_IN_DOUBLE <= value <= EXACT_IN_DOUBLE:
            return SMALL_INTEGER
        return ColumnType("int64") if INT64_MIN <= value <= INT64_MAX else BIG_INTEGER
    if isinstance(value, float):
        return ColumnType("float64")
    if isinstance(value, Decimal):
        return NUMBER_TEXT
    if isinstance(value, str):
        return _type_of_text(value)
    if depth == _DEPTH_MOST:
        return JSON
    if isinstance(value, list):
        return ColumnType("list", element=joined(type_of(item, depth + 1) for item in value))
    if isinstance(value, Mapping):
        fields = tuple((str(name), type_of(item, depth + 1)) for name, item in value.items())
        return ColumnType("struct", fields=fields)
    return JSON


def joined(kinds: Iterable[ColumnType]) -> ColumnType:
    """The join of many types."""
    result = UNSEEN
    for kind in kinds:
        result = join(result, kind)
    return result


def join(a: ColumnType, b: ColumnType) -> ColumnType:
    """The narrowest type that holds what both hold, exactly."""
    if a == b or b.word == "unseen":
        return a
    if a.word == "unseen":
        return b
    if a.word == "list" and b.word == "list":
        element = join(a.element or UNSEEN, b.element or UNSEEN)
        return ColumnType("list", element=element)
    if a.word == "struct" and b.word == "struct":
        return _join_structs(a, b)
    words = {a.word, b.word}
    if words & {"list", "struct", "json"}:
        return JSON
    return _join_scalars(words)


def _join_scalars(words: set[str]) -> ColumnType:
    integers = {"int53", "int64"}
    if words <= integers:
        return ColumnType("int64")
    if words == {"int53", "float64"}:
        return ColumnType("float64")
    if words <= integers | {"bigint"}:
        return BIG_INTEGER
    if words <= integers | {"bigint", "float64", "numbertext"}:
        return NUMBER_TEXT
    return ColumnType("string")


def _join_structs(a: ColumnType, b: ColumnType) -> ColumnType:
    merged = dict(a.fields)
    for name, kind in b.fields:
        merged[name] = join(merged.get(name, UNSEEN), kind)
    return ColumnType("struct", fields=tuple(merged.items()))


def public(kind: ColumnType) -> ColumnType:
    """An inner type as one of the types people know; text stands in for what has none."""
    if kind.word == "int53":
        return ColumnType("int64")
    if kind.word in {"unseen", "bigint", "numbertext"}:
        return STRING
    if kind.word == "list":
        return ColumnType("list", element=public(kind.element or UNSEEN))
    if kind.word == "struct":
        # A struct without fields cannot be stored; its text can.
        fields = tuple((name, public(inner)) for name, inner in kind.fields)
        return ColumnType("struct", fields=fields) if fields else JSON
    return kind


def note_of(kind: ColumnType, seen: frozenset[str]) -> str | None:
    """What a reader of the column should know. `seen`: the words of the single values' types."""
    if kind in {UNSEEN, UNSEEN_LIST}:
        return NOTE_UNSEEN
    if _has_wide(kind):
        return NOTE_WIDE
    if kind.word == "bigint":
        return NOTE_BIG
    if kind.word == "numbertext":
        return NOTE_DIGITS if "numbertext" in seen else NOTE_BIG
    if kind.word == "json":
        return NOTE_JSON
    texts = {"string", "date", "timestamp"}
    if kind.word == "string" and seen - texts - {"unseen"}:
        return NOTE_MIXED
    return None


def narrow(kind: ColumnType) -> ColumnType:
    """A known type whose whole numbers all lie within 2^53, so that they may join doubles."""
    if kind.word == "int64":
        return SMALL_INTEGER
    if kind.word == "list":
        return ColumnType("list", element=narrow(kind.element or UNSEEN))
    if kind.word == "struct":
        return ColumnType("struct", fields=tuple((name, narrow(inner)) for name, inner in kind.fields))
    return kind


def _has_wide(kind: ColumnType) -> bool:
    if kind.word == "list":
        return _has_wide(kind.element or UNSEEN)
    return kind.word == "int64" or any(_has_wide(inner) for _, inner in kind.fields)


def is_timestamp(text: str) -> bool:
    """ISO 8601 with an offset, at most microseconds, and a real instant."""
    if not _TIMESTAMP.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return False
    return True


def is_date(text: str) -> bool:
    """`YYYY-MM-DD` and a real day."""
    if not _DATE.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _type_of_text(value: str) -> ColumnType:
    if len(value) == 10 and is_date(value):
        return ColumnType("date")
    if 16 <= len(value) <= 35 and is_timestamp(value):
        return ColumnType("timestamp")
    return STRING if value.isascii() or is_unicode(value) else JSON


def is_unicode(text: str) -> bool:
    """Whether text can be stored: a lone half of a character cannot, but as JSON it can be escaped."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
