"""Whatever is typed about an app, it is either taken whole or named as wrong; nothing crashes."""

from __future__ import annotations

from urllib.parse import urlsplit

from hypothesis import given
from hypothesis import strategies as st

from keyturn.demo.settings import read, read_redirect_uris

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(["name", "redirect_uri", "redirect_uris", "scopes"])
addresses = st.builds("".join, st.lists(st.sampled_from(["http", "https", ":", "/", "//", "[", "]", "a.b", "@", "99999", "#", "?", " ", "\x00", "é"])))  # fmt: skip


@given(st.dictionaries(names, anything))
def test_any_json_is_read_without_a_crash(values):
    found = read(values)
    assert found.wrong or (found.name and found.redirect_uris and found.scopes)


@given(addresses)
def test_an_address_that_is_taken_is_absolute(text):
    found = read_redirect_uris({"redirect_uri": text})
    for uri in [] if found.wrong else found.redirect_uris:
        parts = urlsplit(uri)
        assert parts.scheme in {"http", "https"}
        assert parts.hostname
        assert "#" not in uri


def test_lines_and_lists_mean_the_same_and_repeats_count_once():
    lines = read_redirect_uris({"redirect_uris": "https://a.example/\r\n https://b.example/ \n\nhttps://a.example/"})
    listed = read_redirect_uris({"redirect_uris": ["https://a.example/", "https://b.example/"]})
    assert lines == listed


def test_scopes_come_in_our_order_from_text_or_list():
    for given_scopes in ("offline_access read:orders", ["offline_access", "read:orders"]):
        assert read({"scopes": given_scopes}).scopes == ["read:orders", "offline_access"]
