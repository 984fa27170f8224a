"""The fast way from a page's JSON text to a record batch: columnar, strict, by the compiled core or by Arrow's parser.

It gives exactly what `build` would give, or raises `Unfit` and the page takes the exact way. It never guesses.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.json as pj

from keyturn.columns.infer import EXACT_IN_DOUBLE
from keyturn.columns.schema import Path, Schema
from keyturn.columns.types import ColumnType
from keyturn.core import RowReader

# Its functions are made when it is imported, so type checkers see none of them.
pc: Any = pyarrow.compute
_DEEPEST = 15
_ROWS = "rows"
# What both Arrow and Python read alike: four-digit years without the last, real hours and offsets.
_DAY = r"(?:[1-8][0-9]{3}|9[0-8][0-9]{2})-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_TEXT = {
    "timestamp": rf"^{_DAY}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{{1,6}})?)?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])$",
    "date": rf"^{_DAY}$",
}
_RUNS = bytes(ord("0") if chr(code) in "0123456789." else ord(" ") for code in range(256))
_LONG_RUN = b"0" * 16
_NUMBER = re.compile(rb"-?[0-9.]+(?:[eE][+-]?[0-9]+)?")
_BEFORE_NUMBER = b":,[ \t\r\n-"
_MANTISSA = re.compile(rb"[:,\[\s]-?[0-9.]+$")
_Tree = dict[str, Any]


class Unfit(Exception):
    """The page needs the exact way."""


class FastBuilder:
    """Builds batches of one schema. Raises `Unfit` for schemas that need the exact way on every page."""

    def __init__(self, schema: Schema) -> None:
        # Read once: a column's words are parsed at each look.
        self._columns = [(column.path, column.holds, column.kind) for column in schema.columns]
        self._arrow = schema.arrow
        tree: _Tree = {}
        for path, holds, _ in self._columns:
            _plant(tree, path, holds)
        if not tree:
            raise Unfit
        row = _struct_of(tree)
        rows = pa.list_(row)
        self._tree = tree
        at_once = {column.path for column in schema.columns if column.holds.word == column.kind.word == "timestamp"}
        self._plain = [path in at_once or _is_plain(holds, kind) for path, holds, kind in self._columns]
        typed = _struct_of(tree, at_once)
        as_they_are = all(self._plain) and [field.type for field in typed] == self._arrow.types
        self._core = RowReader(typed, self._arrow if as_they_are else None)
        self._parse = pj.ParseOptions(
            explicit_schema=pa.schema([(_ROWS, rows)]), unexpected_field_behavior="error", newlines_in_values=True
        )
        self._doubles = [(path, holds) for path, holds, _ in self._columns if _has_double(holds)]

    def build(self, raw: bytes) -> pa.RecordBatch:
        """The batch of a JSON list of objects. Raises `Unfit`."""
        read = self._core.read(raw)
        if read is not None and isinstance(read.array, pa.RecordBatch):
            return read.array
        try:
            leaves = self._by_arrow(raw) if read is None else self._leaves(read.array)
            # The core has looked at numbers and instants: what holds them as they are is not looked at again.
            looked = read is not None and not read.wide
            arrays = [
                leaves[path] if looked and plain else _exact(leaves[path], holds, kind)
                for plain, (path, holds, kind) in zip(self._plain, self._columns, strict=True)
            ]
            return pa.RecordBatch.from_arrays(arrays, schema=self._arrow)
        except (pa.ArrowException, ValueError) as error:
            raise Unfit from error

    def _leaves(self, rows: pa.StructArray) -> dict[Path, pa.Array]:
        leaves: dict[Path, pa.Array] = {}
        _harvest(rows, self._tree, (), leaves)
        return leaves

    def _by_arrow(self, raw: bytes) -> dict[Path, pa.Array]:
        """The leaves where the core is not there or gave up: Arrow's parser, and what it would pass over looked for."""
        if not _is_utf8(raw) or (self._doubles and not digits_survive(raw)):
            raise Unfit
        rows = self._read(raw)
        if rows.null_count:
            raise Unfit
        leaves = self._leaves(rows)
        if any(_may_hold_nought(leaves[path], holds) for path, holds in self._doubles) and _underflows(raw):
            raise Unfit
        return leaves

    def _read(self, raw: bytes) -> pa.StructArray:
        text = b"".join((b'{"rows":', raw, b"}"))
        whole = pj.ReadOptions(use_threads=False, block_size=len(text) + 64)
        table = pj.read_json(pa.BufferReader(text), read_options=whole, parse_options=self._parse)
        return table.column(_ROWS).chunk(0).flatten()


def _is_utf8(raw: bytes) -> bool:
    """Whether it is: the parser takes the bytes of a text as they are."""
    offsets = pa.py_buffer(struct.pack("<qq", 0, len(raw)))
    try:
        pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, pa.py_buffer(raw)]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def digits_survive(raw: bytes) -> bool:
    """Whether each number that may become a double has no digits beyond it."""
    runs = raw.translate(_RUNS)
    at = runs.find(_LONG_RUN)
    while at >= 0:
        end = runs.find(b" ", at)
        end = len(raw) if end < 0 else end
        if at == 0 or raw[at - 1] in _BEFORE_NUMBER:
            literal = _NUMBER.match(raw, at)
            if literal is not None and not _is_double(literal[0]):
                return False
        at = runs.find(_LONG_RUN, end)
    return True


def _is_double(literal: bytes) -> bool:
    """Whether a literal with a point or exponent is a double's own; whole numbers are looked at elsewhere."""
    text = literal.decode()
    if text.isdigit():
        return True
    try:
        number = float(text)
        return repr(number) == text or Decimal(repr(number)) == Decimal(text)
    except (ValueError, ArithmeticError):
        return True  # part of a text, such as a version: a number in JSON has one point


def _underflows(raw: bytes) -> bool:
    """Whether a number has an exponent of three digits below nought: too little for a double, which is nought then."""
    for mark in (b"e-", b"E-"):
        at = raw.find(mark)
        while at >= 0:
            if raw[at + 2 : at + 5].isdigit() and _MANTISSA.search(raw, max(0, at - 40), at):
                return True
            at = raw.find(mark, at + 2)
    return False


def _may_hold_nought(array: pa.Array, holds: ColumnType) -> bool:
    """Whether a column of doubles holds 0.0, or is nested and was not looked into."""
    if holds.word != "float64":
        return _has_double(holds)
    found = pc.min_max(array)
    return array.null_count < len(array) and found["min"].as_py() <= 0 <= found["max"].as_py()


def _plant(tree: _Tree, path: Path, kind: ColumnType) -> None:
    _refuse_inexact(kind)
    if len(path) > _DEEPEST:
        raise Unfit
    place = tree
    for key in path[:-1]:
        inner = place.setdefault(key, {})
        if not isinstance(inner, dict):
            raise Unfit
        place = inner
    if path[-1] in place:
        raise Unfit
    place[path[-1]] = kind


def _refuse_inexact(kind: ColumnType) -> None:
    """JSON text and decimals are made from values, not from their text."""
    if kind.word in {"json", "decimal"} or (kind.word == "struct" and not kind.fields):
        raise Unfit
    for inner in (*([kind.element] if kind.element else []), *(sub for _, sub in kind.fields)):
        _refuse_inexact(inner)


def _is_plain(holds: ColumnType, kind: ColumnType) -> bool:
    """Whether what is read of the type is the column, as long as its numbers are none that are hard to tell apart."""
    return holds.word in {"bool", "string", "int53", "int64", "float64"} and _read_as(holds) == kind.arrow


def _struct_of(tree: Mapping[str, Any], at_once: Collection[Path] = (), above: Path = ()) -> pa.StructType:
    """What a row is read as; the instants of `at_once` as instants, not as text first."""
    fields: list[tuple[str, pa.DataType]] = []
    for key, inner in tree.items():
        path = (*above, key)
        if isinstance(inner, dict):
            fields.append((key, _struct_of(inner, at_once, path)))
        else:
            fields.append((key, inner.arrow if path in at_once else _read_as(inner)))
    return pa.struct(fields)


def _read_as(kind: ColumnType) -> pa.DataType:
    """What the parser reads a type as: days and instants as text first."""
    if kind.word == "unseen":
        return pa.null()
    if kind.word == "list":
        return pa.list_(_read_as(kind.element or ColumnType("unseen")))
    if kind.word == "struct":
        return pa.struct([(name, _read_as(inner)) for name, inner in kind.fields])
    if kind.word in _TEXT:
        return pa.string()
    return pa.int64() if kind.word == "int53" else kind.arrow


def _harvest(rows: pa.StructArray, tree: Mapping[str, Any], path: Path, leaves: dict[Path, pa.Array]) -> None:
    for (key, inner), array in zip(tree.items(), rows.flatten(), strict=True):
        if isinstance(inner, dict):
            _harvest(array, inner, (*path, key), leaves)
        else:
            leaves[(*path, key)] = array


def _exact(array: pa.Array, holds: ColumnType, kind: ColumnType) -> pa.Array:
    """The array as its column has it. Raises `Unfit`, ArrowInvalid for a value that it does not hold exactly."""
    word = holds.word
    if word in {"int53", "float64"}:
        _refuse_beyond(array, EXACT_IN_DOUBLE if word == "int53" else EXACT_IN_DOUBLE - 1)
    elif word in _TEXT:
        if array.type == kind.arrow:
            return array
        if not _usual_instants(array, word) and not _all(pc.match_substring_regex(array, _TEXT[word])):
            raise Unfit
        return array.cast(kind.arrow)
    elif word == "list":
        _exact(array.flatten(), holds.element or ColumnType("unseen"), kind.element or ColumnType("string"))
        return _shaped(array, kind)
    elif word == "struct":
        for child, (_, inner), (_, shown) in zip(array.flatten(), holds.fields, kind.fields, strict=True):
            _exact(child, inner, shown)
        return _shaped(array, kind)
    elif word == "unseen":
        return pa.nulls(len(array), kind.arrow)
    return array


def _usual_instants(array: pa.Array, word: str) -> bool:
    """Whether each is like 2026-01-31T09:30:00Z: 20 bytes with a usual year have no other spelling that casts."""
    if word != "timestamp" or array.null_count == len(array):
        return False
    length, text = pc.min_max(pc.binary_length(array)), pc.min_max(array)
    alike = length["min"].as_py() == length["max"].as_py() == len("2026-01-31T09:30:00Z")
    return alike and text["min"].as_py() >= "1000-" and text["max"].as_py() < "9899-"


def _all(found: pa.Array) -> bool:
    return bool(pc.all(found, min_count=0).as_py())


def _shaped(array: pa.Array, kind: ColumnType) -> pa.Array:
    """A nested array, checked already, with its innermost types in place."""
    if array.type == kind.arrow:
        return array
    return array.cast(kind.arrow)


def _refuse_beyond(array: pa.Array, most: int) -> None:
    if array.null_count == len(array):
        return
    found = pc.min_max(array)
    if found["min"].as_py() < -most or found["max"].as_py() > most:
        raise Unfit


def _has_double(kind: ColumnType) -> bool:
    if kind.word == "list" and kind.element is not None:
        return _has_double(kind.element)
    return kind.word == "float64" or any(_has_double(inner) for _, inner in kind.fields)
