"""Excerpts: every digit stays, secrets go by their names, and what was cut is still readable."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.rest.excerpts import hides, hides_sent, indented

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


@pytest.mark.parametrize("name", ["api_key", "Cookie", "X-Auth-Key", "accessToken", "Ocp-Apim-Subscription-Key"])
def test_names_of_secrets_are_known_however_they_are_written(name):
    assert hides(name)
    assert hides_sent(name)


@pytest.mark.parametrize("name", ["code", "cursor", "nextPageToken", "page_token", "primary_key", "tokenType"])
def test_names_of_data_stay(name):
    assert not hides(name)
    assert not hides_sent(name)


def test_a_key_is_a_secret_where_it_is_sent_and_data_in_an_answer():
    assert hides_sent("key")
    assert not hides("key")


def test_the_name_that_stands_for_a_secret_is_shown():
    assert '"token": "Bearer {{secret:KEY}}"' in indented('{"token": "Bearer {{secret:KEY}}"}')


def test_what_is_no_json_stays():
    assert indented("id,name\n1,a") == "id,name\n1,a"
