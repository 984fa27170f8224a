"""Pinned types and keys that are there twice, on any pages: equal to a plain-Python oracle, or rejected with row and path."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from json_pages import Pairs, literals, means, pages, read, said, values, way, written
from keyturn.columns.schema import value_at
from keyturn.columns.twice import REASON

__all__ = ["way"]

TYPES = ["int64", "float64", "string", "bool", "date", "timestamp", "decimal(9,2)", "decimal(38,0)", "json"]
pins = st.dictionaries(st.sampled_from(["a", "b", "id", "a.b"]), st.sampled_from(TYPES), min_size=1, max_size=2)


def stands_for(cell: Any, value: Any, kind: Any) -> bool:
    """Whether the cell of a pinned column says what the JSON said, which may be the text of it."""
    if kind.word in {"int64", "float64", "decimal"} and not isinstance(value, bool):
        try:
            said_number = Decimal(value)
        except (InvalidOperation, TypeError, ValueError):
            return False
        return Decimal(repr(cell)) == said_number if isinstance(cell, float) else Decimal(cell) == said_number
    if kind.word == "bool":
        return cell is value or str(cell).lower() == str(value).strip().lower()
    return means(cell, value, kind)


@given(pages, pins)
def test_a_pinned_column_keeps_its_type_and_says_what_came_or_rejects_it(given_pages, pinned):
    texts = [written(page) for page in given_pages]
    fast, _ = read(texts, fast=True, pins=pinned)
    slow, _ = read(texts, fast=False, pins=pinned)
    row_number = 0
    for text, one, other in zip(texts, fast, slow, strict=True):
        assert one.schema == other.schema
        assert one.data.to_pylist() == other.data.to_pylist()
        assert one.rejects == other.rejects
        rejected = {(item.row_number, item.column): item for item in one.rejects}
        assert len(rejected) == len(one.rejects)
        for row, cells in zip(said(text), one.data.to_pylist(), strict=True):
            row_number += 1
            for column in one.schema.columns:
                value, cell = value_at(row, column.path), cells[column.name]
                item = rejected.pop((row_number, column.name), None)
                if item is not None:
                    assert cell is None
                    assert (item.source_path, said(item.value)) == (column.source_path, value)
                elif column.name not in pinned:
                    assert means(cell, value, column.kind), (column, row)
                else:
                    assert column.type == pinned[column.name]
                    assert (cell is None and value is None) or stands_for(cell, value, column.kind), (column, row)
        assert not rejected


keys = st.sampled_from(["a", "b", "é"])
twice = st.lists(st.tuples(keys, values | st.lists(st.tuples(keys, literals), max_size=3).map(Pairs)), max_size=5).map(
    Pairs
)


def hidden(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, Any]]:
    """What a later value of the same key hides, by the path of its column."""
    found: list[tuple[str, Any]] = []
    if isinstance(value, Pairs):
        for place, (key, inner) in enumerate(value):
            if key in [other for other, _ in value[place + 1 :]]:
                found.append((".".join((*path, key)), said(written(inner))))
            else:
                found += hidden(inner, (*path, key))
    elif isinstance(value, dict):
        for key, inner in value.items():
            found += hidden(inner, (*path, key))
    elif isinstance(value, list):
        for inner in value:
            found += hidden(inner, path)
    return found


@given(st.lists(st.lists(twice, min_size=1, max_size=4), min_size=1, max_size=3))
def test_of_a_key_that_is_there_twice_the_last_counts_and_each_other_is_told(given_pages):
    texts = [written(page) for page in given_pages]
    typed, _ = read(texts, fast=True)
    row_number = 0
    for page, text, one in zip(given_pages, texts, typed, strict=True):
        expected = []
        for row, cells in zip(page, one.data.to_pylist(), strict=True):
            row_number += 1
            expected += [(row_number, path, value) for path, value in hidden(row)]
            for column in one.schema.columns:
                plain = json.loads(written(row), parse_float=Decimal)
                assert means(cells[column.name], value_at(plain, column.path), column.kind), (column, row)
        assert [(item.row_number, item.column, said(item.value)) for item in one.rejects] == expected, text
        assert {item.reason for item in one.rejects} <= {REASON}
