"""What a table asks for each time: types, defaults, and what is refused."""

from __future__ import annotations

import pytest

from keyturn.errors import Invalid
from keyturn.model.parameters import ParameterSettings, given
from keyturn.model.validation import parse

NOW = 1_772_668_800.0


def one(**settings):
    return (parse(ParameterSettings, {"name": "x", **settings}),)


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        ("text", " a ", "a"),
        ("integer", "12", 12),
        ("integer", 2**70, 2**70),
        ("number", "1.5", 1.5),
        ("number", "3", 3),
        ("date", "2026-01-31", "2026-01-31"),
        ("date", "today-1d", "2026-03-04"),
        ("boolean", "True", True),
        ("boolean", False, False),
    ],
)
def test_a_value_has_the_type_it_is_asked_with(kind, value, found):
    assert given(one(type=kind), {"x": value}, now=NOW) == {"x": found}


@pytest.mark.parametrize(
    ("kind", "value"),
    [("integer", "1.5"), ("integer", True), ("number", "inf"), ("number", "nan"), ("date", "2026-02-30"),
     ("boolean", "yes"), ("text", "a\nb"), ("text", "x" * 2001)],
)  # fmt: skip
def test_a_value_of_another_type_is_refused_at_its_name(kind, value):
    with pytest.raises(Invalid) as refused:
        given(one(type=kind), {"x": value}, now=NOW)
    assert refused.value.problems[0].at == "param.x"


def test_a_default_stands_in_and_may_be_a_moment():
    assert given(one(type="date", default="today-7d"), {}, now=NOW) == {"x": "2026-02-26"}


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(Invalid) as refused:
        given(one(), {"y": 1}, now=NOW)
    assert {problem.at for problem in refused.value.problems} == {"param.x", "param.y"}


@pytest.mark.parametrize(
    "settings", [{"name": "Limit"}, {"name": "limit"}, {"name": "a b"}, {"type": "integer", "default": "soon"}]
)
def test_a_parameter_that_cannot_be_right_is_refused(settings):
    with pytest.raises(Invalid):
        one(**settings)
