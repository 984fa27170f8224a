"""Excerpts: every digit stays, secrets go by their names, and what was cut is still readable."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.rest.excerpts import hides, indented

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_indented_json_says_the_same(value):
    text = json.dumps({"a": value})
    found = json.loads(indented(text))
    assert found == json.loads(text) or "••••••" in indented(text)


def test_digits_stay_and_a_cut_body_is_readable():
    text = '{"id":92233720368547760123,"price":1.10,"items":[{"a":"x, y: {z}"},{"b'
    assert indented(text).splitlines() == [
        "{", '  "id": 92233720368547760123,', '  "price": 1.10,', '  "items": [', "    {", '      "a": "x, y: {z}"',
        "    },", "    {", '      "b',
    ]  # fmt: skip


def test_secrets_go_by_their_names_and_plain_words_stay():
    found = indented('{"access_token":"abc","state":"open","next_page_token":"n1","password":null}')
    assert '"access_token": "••••••"' in found
    assert '"state": "open"' in found
    assert '"next_page_token": "n1"' in found
    assert '"password": null' in found


@pytest.mark.parametrize(("name", "hidden"), [("api_key", True), ("Cookie", True), ("code", False), ("cursor", False)])
def test_which_names_are_secret(name, hidden):
    assert hides(name) is hidden


def test_what_is_no_json_stays():
    assert indented("id,name\n1,a") == "id,name\n1,a"
