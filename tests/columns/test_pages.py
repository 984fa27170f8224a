"""Typing is exact: the fast way, the exact way and a plain-Python oracle agree on any pages, or a value is rejected."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from json_pages import Literal, means, pages, read, said, way, written
from keyturn.columns.schema import value_at

__all__ = ["way"]


@given(pages)
@example([[{"a": Literal("1")}], [{"a": Literal("7.5")}, {"a": Literal("9007199254740993")}]])
@example([[{"a": Literal("0.5")}], [{"a": Literal("1e-400")}], [{"a": Literal("0.10000000000000001")}]])
@example([[{"a": Literal("1")}], [{"a": {"value": Literal("7")}}]])
@example([[{"a": None}], [{"a": None}], [{"a": [None]}]])
@example([[{"c": []}, {"c": {"a": None, "x.y": False}}, {"c": {"x.y": {"a": None}}}], [{"a": Literal("0")}]])
def test_the_fast_way_the_exact_way_and_the_oracle_agree(given_pages):
    texts = [written(page) for page in given_pages]
    fast, _ = read(texts, fast=True)
    slow, _ = read(texts, fast=False)
    for text, one, other in zip(texts, fast, slow, strict=True):
        assert one.schema == other.schema
        assert one.data.schema == other.data.schema == one.schema.arrow
        one.data.validate(full=True)
        assert one.data.to_pylist() == other.data.to_pylist()
        assert not one.rejects
        for row, cells in zip(said(text), one.data.to_pylist(), strict=True):
            for column in one.schema.columns:
                assert means(cells[column.name], value_at(row, column.path), column.kind), (column, row)


@given(pages, st.sampled_from(["ask", "ignore"]))
def test_a_schema_that_stays_rejects_what_does_not_fit_with_row_and_path(given_pages, policy):
    texts = [written(page) for page in given_pages]
    fast, _ = read(texts, fast=True, when_columns_change=policy)
    slow, _ = read(texts, fast=False, when_columns_change=policy)
    row_number = 0
    for text, one, other in zip(texts, fast, slow, strict=True):
        assert one.schema == fast[0].schema
        assert one.data.to_pylist() == other.data.to_pylist()
        assert (one.rejects, one.ignored) == (other.rejects, other.ignored)
        rejected = {(item.row_number, item.column): item for item in one.rejects}
        for row, cells in zip(said(text), one.data.to_pylist(), strict=True):
            row_number += 1
            for column in one.schema.columns:
                value = value_at(row, column.path)
                item = rejected.pop((row_number, column.name), None)
                if item is None:
                    assert means(cells[column.name], value, column.kind), (column, row)
                else:
                    assert cells[column.name] is None
                    assert item.source_path == column.source_path
                    assert said(item.value) == value
        assert not rejected


ALIKE = (
    '[{"id": 1, "a": 0.5, "t": "2024-01-01T00:00:00Z", "d": "2024-01-01", "n": null, "o": {"x": 1}, "l": [{"k": 1}]}]'
)


def test_the_first_page_and_one_like_it_go_the_fast_way_once_the_columns_are_known():
    typed, _ = read([ALIKE, ALIKE.replace("0.5", "0.30000000000000004")], fast=True)
    assert [page.fast for page in typed] == [True, True]
    assert typed[1].data.column(0).to_pylist() == [1]


@pytest.mark.parametrize(
    "change",
    [('"id": 1', '"id": "1"'), ('"id": 1', '"id": 7.5'), ('"id": 1', '"id": 7.0'), ('"id": 1', '"id": 1e3'),
     ('"id": 1', f'"id": {2**63}'), ('"id": 1', f'"id": {2**53 + 1}'), ('"id": 1', '"id": true'), ('"id": 1', '"id": {}'),
     ('"id": 1', '"id": 1, "id": 2'), ('"id": 1', '"id": 1, "new": 2'), ("0.5", f"{2**53 + 1}"), ("0.5", "1e400"),
     ("0.5", "1e-400"), ("0.5", "0.10000000000000001"), ("00:00Z", "00:60Z"), ('2024-01-01"', '2024-02-30"'),
     ('"n": null', '"n": 1'), ('{"x": 1}', '{"x": 1, "y": 2}'), ('{"k": 1}', '{"k": "1"}'), ('[{"k": 1}]', "[1]")],
)  # fmt: skip
def test_whatever_arrow_would_bend_takes_the_exact_way(change):
    # Where columns may widen they do, and the page is built of its text by the wider ones.
    typed, _ = read([ALIKE, ALIKE.replace(*change)], fast=True, when_columns_change="ask")
    assert typed[1].fast is False


def test_a_page_that_widens_columns_is_built_by_the_wider_ones():
    typed, _ = read([ALIKE, ALIKE.replace('"id": 1', '"id": 7.5')], fast=True)
    assert typed[1].widened_by.column == "id"
    assert typed[1].fast is True
    assert typed[1].data.column("id").to_pylist() == [7.5]


def test_a_value_that_does_not_fit_its_pinned_type_is_rejected_and_the_type_stays():
    typed, typer = read(
        ['[{"id": 1, "q": 1}, {"id": 2, "q": "7 pcs"}]', '[{"id": 3, "q": {"value": 7}}, {"id": 4, "q": 5}]'],
        fast=True,
        pins={"q": "int64"},
    )
    assert [page.data.column("q").to_pylist() for page in typed] == [[1, None], [None, 5]]
    assert {column.name: column.type for column in typer.schema.columns}["q"] == "int64"
    told = [(item.row_number, item.source_path, item.value, item.reason) for page in typed for item in page.rejects]
    assert told == [
        (2, "$.q", '"7 pcs"', "text, not int64"),
        (3, "$.q", '{"value":7}', "an object, not int64"),
    ]


def test_pinned_types_take_the_text_of_their_values():
    typed, _ = read(
        ['[{"q": "12", "p": "1.10", "b": "TRUE"}]'], fast=True, pins={"q": "int64", "p": "decimal(9,2)", "b": "bool"}
    )
    assert typed[0].data.to_pylist() == [{"q": 12, "p": Decimal("1.10"), "b": True}]


def test_without_inference_everything_is_text():
    typed, _ = read(['[{"a": 1, "b": true, "c": "x", "d": [1]}]'], fast=True, infer_types=False)
    assert typed[0].data.to_pylist() == [{"a": "1", "b": "true", "c": "x", "d": "[1]"}]


def test_a_key_that_is_there_twice_is_told_with_its_row_and_path():
    text = '[{"id": 1}, {"id": 2, "o": {"x": 1.50, "x": 2}, "id": 3}]'
    typed, _ = read(['[{"id": 0, "o": {"x": 1}}]', text], fast=True)
    assert typed[1].data.column("id").to_pylist() == [1, 3]
    told = [(item.row_number, item.source_path, item.value) for item in typed[1].rejects]
    assert told == [(3, "$.id", "2"), (3, "$.o.x", "1.50")]
