"""Bodies become values that keep every digit, and the rows in them are found or the reason is told."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.errors import Invalid, UpstreamError
from keyturn.rest.rows import at_path, check_path, parse_body, rows_at, to_json
from keyturn.wire import Headers, Response


def parsed(body: bytes | str, content_type: str = "application/json", status: int = 200):
    raw = body.encode() if isinstance(body, str) else body
    return parse_body(Response(status, Headers.of({"Content-Type": content_type}), raw))


@pytest.mark.parametrize("number", [2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**30, -(2**63) - 1, 0, -7])
def test_whole_numbers_of_any_size_keep_every_digit(number):
    assert parsed(f'{{"id": {number}}}') == {"id": number}
    assert type(parsed(f"[{number}]")[0]) is int


def test_a_number_of_five_thousand_digits_survives():
    digits = "7" * 5000
    assert str(parsed(f"[{digits}]")[0]) == digits


@pytest.mark.parametrize(
    "literal", ["0.10000000000000001", "123456789.12345678901234567890", "1e400", "1e-400", "-0.30000000000000000001"]
)
def test_a_number_that_a_double_would_change_stays_as_it_was_written(literal):
    (found,) = parsed(f"[{literal}]")
    assert isinstance(found, Decimal)
    assert str(found) == literal


@pytest.mark.parametrize("literal", ["0.1", "1.5", "0.30000000000000004", "1.7976931348623157e+308", "5e-324"])
def test_a_number_that_a_double_holds_is_a_double(literal):
    assert parsed(f"[{literal}]") == [float(literal)]
    assert type(parsed(f"[{literal}]")[0]) is float


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
                    | st.text(st.characters(exclude_categories=["Cs"])),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)))  # fmt: skip
def test_what_is_parsed_equals_what_was_written(value):
    assert parsed(json.dumps(value)) == value


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_every_decimal_literal_keeps_its_value(number):
    (found,) = parsed(f"[{str(number).lower()}]")
    assert (Decimal(repr(found)) if isinstance(found, float) else Decimal(found)) == number


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "NaN",
        '{"a": Infinity}',
        '{"a": 12345678901234567890, "b": NaN}',
        b'["\xff"]',
        b'[12345678901234567890, "\xff"]',
        '["\\ud800"]',
        '[12345678901234567890, "\\ud800"]',
        "[" * 5000,
        "[12345678901234567890," + "[" * 200_000,
        "[1e99999999999999999999]",
        "plain words",
    ],
)
def test_what_is_no_json_is_refused_in_words(body):
    with pytest.raises(UpstreamError, match=r"The answer is not JSON \(application/json\)") as caught:
        parsed(body)
    assert caught.value.message_code == "E-NOTDATA"


def test_a_surrogate_pair_is_one_character_also_on_the_exact_path():
    assert parsed('[12345678901234567890, "\\ud83d\\ude00"]') == [12345678901234567890, "😀"]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("<!DOCTYPE html><title>Sign in</title>", "text/plain"),
        ("  <html>", ""),
        ("<h1>Hello</h1>", "text/html; charset=utf-8"),
    ],
)
def test_a_web_page_is_named_as_such(body, content_type):
    with pytest.raises(UpstreamError, match="This is a web page, not data") as caught:
        parsed(body, content_type)
    assert caught.value.message_code == "E-NOTDATA"


def test_json_sent_as_a_web_page_is_still_json():
    assert parsed('{"a": 1}', "text/html") == {"a": 1}


def test_a_byte_order_mark_is_skipped():
    assert parsed(b"\xef\xbb\xbf[1]") == [1]


@pytest.mark.parametrize("body", [b"", b"  \n", b"\xef\xbb\xbf"])
def test_an_empty_body_is_told(body):
    with pytest.raises(UpstreamError, match="answered 200 with an empty body"):
        parsed(body)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", {"a": {"b-c": [1, 2], "x.y": 5}}),
        ("$.a.b-c", [1, 2]),
        ("$.a['x.y']", 5),
        ("$.a['b-c'][1]", 2),
        ("$.a['b-c'][-1]", 2),
        ("$.missing", None),
        ("$.a.b-c.d", None),
        ("$['missing']", None),
    ],
)
def test_one_value_is_found_at_its_path(path, found):
    assert at_path({"a": {"b-c": [1, 2], "x.y": 5}}, path) == found


@pytest.mark.parametrize("path", ["$.", "$[", "data", "$.a[?]", "$" + "[0" * 400])
def test_what_is_no_jsonpath_is_refused(path):
    with pytest.raises(Invalid, match=r"is not a JSONPath \(RFC 9535\)"):
        check_path(path)


def test_a_jsonpath_is_given_back():
    assert check_path("$.a['b']") == "$.a['b']"
    assert check_path("$.a.b") == "$.a.b"


@pytest.mark.parametrize(
    ("body", "path", "rows"),
    [
        ([{"id": 1}], "$", [{"id": 1}]),
        ([{"id": 1}], None, [{"id": 1}]),
        ({"data": [{"id": 1}]}, "$.data", [{"id": 1}]),
        ({"data": []}, "$.data", []),
        ({"data": None}, "$.data", []),
        ({"data": {"id": 1}}, "$.data", [{"id": 1}]),
        ({"data": [1, "x", None]}, "$.data", [{"value": 1}, {"value": "x"}, {"value": None}]),
        ({"data": [[1, 2]]}, "$.data", [{"value": [1, 2]}]),
        ({"data": [{"id": 1}, {"id": 2}]}, "$.data[*]", [{"id": 1}, {"id": 2}]),
        ({"data": []}, "$.data[*]", []),
        ({"data": None}, "$.data[*]", []),
        ({"data": [{"id": 1}, {"id": 2}, {"id": 3}]}, "$.data[1:]", [{"id": 2}, {"id": 3}]),
        ({"data": [{"k": "a"}, {"k": "b"}, {"k": "a"}]}, "$.data[?@.k=='a']", [{"k": "a"}, {"k": "a"}]),
        ({"data": [{"k": "a"}]}, "$.data[?@.k=='z']", []),
        ({"g": [{"items": [{"id": 1}]}, {"items": [{"id": 2}]}]}, "$.g[*].items", [{"id": 1}, {"id": 2}]),
        ({"g": [{"items": [{"id": 1}]}, {"items": [{"id": 2}]}]}, "$..items[*]", [{"id": 1}, {"id": 2}]),
        ({"g": [[1], [2]]}, "$.g[*]", [{"value": [1]}, {"value": [2]}]),
        ({"byid": {"a": {"id": 1}, "b": {"id": 2}}}, "$.byid.*", [{"id": 1}, {"id": 2}]),
        ({"byid": {}}, "$.byid.*", []),
    ],
)
def test_rows_are_found_at_their_path(body, path, rows):
    assert rows_at(body, path) == rows


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        ({"data": 1}, "$.rows", r"There is no list at \$\.rows"),
        ({"data": 1}, "$.rows[*]", r"There is no list at \$\.rows\[\*\]"),
        ({"data": 1}, "$..rows", r"There is no list at \$\.\.rows"),
        ({"data": {"a": 1}}, "$.data[?@.b]", "There is no list"),
        (42, "$", "is a single number"),
        ("hello", "$", "is a single text"),
        ({"done": True}, "$.done", "is a single true or false"),
        ({"data": None, "errors": [{"message": "Out of credits"}]}, "$.data", "an error instead of rows: Out of credits"),
        ({"error": "quota"}, "$.data", "an error instead of rows: quota"),
        ({"error": {"code": 5}}, "$.data", "an error instead of rows: {'code': 5}"),
        ({"error": {"detail": "No."}}, "$.data[*]", r"an error instead of rows: No\."),
    ],
)  # fmt: skip
def test_where_there_are_no_rows_the_reason_is_told(body, path, words):
    with pytest.raises(UpstreamError, match=words) as caught:
        rows_at(body, path)
    assert caught.value.message_code == "E-NOTDATA"


def test_values_go_back_to_json():
    assert to_json({"a": 1}) == b'{"a":1}'
    assert json.loads(to_json({"a": 2**70})) == {"a": 2**70}


@pytest.mark.parametrize(
    "path",
    ["$.data[?search(@.a, '(a|aa)+b')]", "$.data[?match(@.a, '(a|aa)+b')]", "$..*..*..*", "$[?@..a..b..c]"],
)
@pytest.mark.timeout(60)
def test_a_path_that_can_take_for_ever_is_refused(path):
    document = {"data": [{"a": "a" * 60 + "!"}] * 3}
    with pytest.raises(Invalid, match="for ever"):
        rows_at(document, path)
    assert len(rows_at(document, "$..data[?length(@.a) > 3]")) == 3
