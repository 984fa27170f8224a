"""Typing is exact: the fast way, the exact way and a plain-Python oracle agree on any pages, or a value is rejected."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keyturn.columns.pages import PageTyper
from keyturn.columns.schema import value_at
from keyturn.columns.types import ColumnType
from keyturn.rest.envelopes import cut
from keyturn.rest.rows import parse_json, rows_at


@dataclass
class FakePage:
    """A page as the reader gives it."""

    raw: bytes | None
    rows: list[Any]

    @property
    def count(self) -> int:
        return len(self.rows)


class Literal(str):
    """JSON text that goes into the page as it stands."""

    __slots__ = ()


NUMBERS = ["0", "-0", "7", "-7", "7.0", "7.5", "1e3", "1E3", "0.1", "0.10000000000000001", "1e400", "1e-400", "5e-324",
           "0.30000000000000004", "123456789.12345678901234567890", "1.7976931348623157e308", "12345678901234567",
           "1234567890123456.5", "9007199254740993.0", "-0.0", "2e-310", "100000000000000000000e-20",
           *(str(sign * 2**power + off) for power in (31, 53, 63, 64) for off in (-1, 0, 1) for sign in (1, -1))]  # fmt: skip
STRINGS = ["", "x", "007", "7", "7 pcs", "true", "null", "NaN", "é€😀", "\u0000", "a\nb", "2024-02-29", "2023-02-29",
           "2024-01-01T00:00:00Z", "2024-01-01T00:00:00.123456+05:30", "2024-01-01T00:00:00.1234567Z", "2024-01-01 10:00Z",
           "2024-01-01T24:00:00Z", "9999-12-31T23:59:59-10:00", "0001-01-01", "2024-01-01T00:00:60Z", "2024-01-01T10:00:00",
           "1999-12-31T23:59:59-0130", "e-400", "x1e-4001", "12345678901234567890", ":12345678901234567.5"]  # fmt: skip

characters = st.characters(exclude_categories=["Cs"])
literals = st.sampled_from(NUMBERS).map(Literal) | st.integers().map(str).map(Literal) | st.floats(
    allow_nan=False, allow_infinity=False).map(repr).map(Literal)  # fmt: skip
scalars = st.none() | st.booleans() | literals | st.sampled_from(STRINGS) | st.text(characters, max_size=6)
keys = st.sampled_from(["a", "b", "c", "id", "x.y", "é", "a b"])
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=6
)
# Most rows alike, so that the fast way is gone often; now and then one that is not.
shapes = st.sampled_from(
    [
        st.fixed_dictionaries({"id": st.integers(0, 9).map(str).map(Literal), "a": literals}),
        st.fixed_dictionaries({"a": st.sampled_from(STRINGS), "b": st.booleans() | st.none()}),
        st.fixed_dictionaries({"a": st.lists(st.fixed_dictionaries({"b": literals, "c": st.sampled_from(STRINGS)}))}),
        st.fixed_dictionaries({"a": st.fixed_dictionaries({"b": literals}, optional={"c": st.sampled_from(STRINGS)})}),
        st.fixed_dictionaries({"a": st.just("2024-01-01T00:00:00Z"), "b": st.just("2024-02-29") | st.none()}),
        st.dictionaries(keys, values, max_size=4),
    ]
)
pages = st.lists(shapes.flatmap(lambda shape: st.lists(shape, min_size=1, max_size=5)), min_size=2, max_size=4)


def written(value: Any) -> str:
    """JSON text, literals as they stand."""
    if isinstance(value, Literal):
        return str.__str__(value)
    if isinstance(value, list):
        return f"[{','.join(map(written, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{json.dumps(k, ensure_ascii=False)}: {written(v)}' for k, v in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)


def said(text: str) -> Any:
    """The oracle: what a JSON text says, every digit of it."""
    return json.loads(text, parse_float=Decimal, parse_int=int)


def means(cell: Any, value: Any, kind: ColumnType) -> bool:
    """Whether a cell says exactly what the JSON said. Text of a number is its digits."""
    if value is None or cell is None:
        return (kind.word == "json" and said(cell or "null") == value) or (cell is None and value in (None, {}))
    if kind.word == "json":
        return said(cell) == value
    if kind.word == "timestamp":
        return isinstance(value, str) and datetime.fromisoformat(value).astimezone(UTC) == cell
    if kind.word == "date":
        return isinstance(value, str) and date.fromisoformat(value) == cell
    if kind.word == "list":
        return isinstance(value, list) and all(means(c, v, kind.element) for c, v in zip(cell, value, strict=True))
    if kind.word == "struct":
        fields = dict(kind.fields)
        known = isinstance(value, dict) and value.keys() <= fields.keys()
        return known and all(means(cell[name], value.get(name), inner) for name, inner in fields.items())
    if isinstance(value, bool) or kind.word == "bool":
        return cell is value or cell == str(value).lower()
    if kind.word == "string":
        return cell == value if isinstance(value, str) else same_digits(cell, value)
    return isinstance(value, int | Decimal) and same_number(cell, value)


def same_digits(cell: str, value: Any) -> bool:
    """Text that stands for a number, list or object."""
    try:
        return said(cell) == value
    except ValueError:
        return False


def same_number(cell: float, value: int | Decimal) -> bool:
    """The same whole number; or the double whose shortest digits the API wrote."""
    if isinstance(cell, int):
        return cell == value
    return Decimal(repr(cell)) == value


@pytest.fixture(scope="module", autouse=True, params=["core", "arrow"])
def way(request):
    """With the compiled core, and as on a machine that has no compiler."""
    if request.param == "core":
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keyturn.core._library", None)
        yield


def read(texts: list[str], *, fast: bool, **settings: Any) -> tuple[list[Any], PageTyper]:
    """The typed pages, with or without the fast way."""
    typer = PageTyper(**settings)
    typed = []
    for text in texts:
        raw = text.encode()
        envelope = cut(raw, "$")
        typed.append(typer.add(FakePage(envelope.rows if fast and envelope else None, rows_at(parse_json(raw), "$"))))
    return typed, typer


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


def test_a_page_like_the_first_goes_the_fast_way():
    typed, _ = read([ALIKE, ALIKE.replace("0.5", "0.30000000000000004")], fast=True)
    assert [page.fast for page in typed] == [False, True]
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
    typed, _ = read([ALIKE, ALIKE.replace(*change)], fast=True)
    assert typed[1].fast is False


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
