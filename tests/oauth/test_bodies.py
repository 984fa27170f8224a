"""Bodies, whatever they are called."""

from __future__ import annotations

import pytest

from keyturn.oauth.bodies import at, is_page, object_of, text_of
from keyturn.wire import Headers, Response

VALUE = {"a": {"b": [{"c": 1}, "x"]}, "https://x.example/email": "e", "0": "zero"}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b.0.c", 1),
        ("a.b.1", "x"),
        ("a.b.2", None),
        ("a.b.-1", None),
        ("a.b.x", None),
        ("a.b.99999999999999999999", None),
        ("a.b.1.c", None),
        ("https://x.example/email", "e"),
        ("0", "zero"),
        ("missing.more", None),
    ],
)
def test_a_path_of_keys_and_numbers_finds_a_value_or_nothing(path, found):
    assert at(VALUE, path) == found


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b"a=1&a=2&b=", {"a": "1"}),
        (b"b=1", None),
        (b'"a=1"', None),
        (b"\xff", None),
        (b"", None),
    ],
)
def test_a_body_is_json_or_a_form_with_a_known_field(body, found):
    assert object_of(Response(200, body=body), form_fields=("a",)) == found


def test_a_web_page_is_told_by_its_type_or_its_first_character():
    assert is_page(Response(200, Headers.of({"Content-Type": "TEXT/HTML; charset=x"})))
    assert is_page(Response(200, body=b"\n <html>"))
    assert not is_page(Response(200, body=b"{}"))


@pytest.mark.parametrize(("value", "text"), [("x", "x"), ("", None), (7, "7"), (True, None), (None, None), ([], None)])
def test_text_is_a_string_or_a_whole_number(value, text):
    assert text_of(value) == text
