"""Pages of JSON of every kind for Hypothesis, a plain-Python oracle of what they say, and both ways of typing them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import strategies as st

from keyturn.columns.pages import PageTyper
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


class Pairs(tuple):
    """An object as its pairs, of which several may have one key."""

    __slots__ = ()


def written(value: Any) -> str:
    """JSON text, literals as they stand."""
    if isinstance(value, Literal):
        return str.__str__(value)
    if isinstance(value, Pairs):
        return f"{{{','.join(f'{json.dumps(k, ensure_ascii=False)}: {written(v)}' for k, v in value)}}}"
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
