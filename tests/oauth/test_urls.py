"""URLs that people type."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.oauth.urls import UrlProblem, check_return_to, check_url


@pytest.mark.parametrize(
    ("typed", "used"),
    [
        ("https://account.endsystem.com/api/oauth2/authorize", "https://account.endsystem.com/api/oauth2/authorize"),
        ("  HTTPS://API.EndSystem.COM/Token\n", "https://api.endsystem.com/Token"),
        ("https://api.endsystem.com.:443/t", "https://api.endsystem.com/t"),
        ("http://localhost:80", "http://localhost"),
        ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x"),
        ("https://bücher.example/ü?ä=1", "https://xn--bcher-kva.example/%C3%BC?%C3%A4=1"),
        ("https://straße.example/", "https://xn--strae-oqa.example/"),
        ("https://x.example/a%20b?c=%2B&d", "https://x.example/a%20b?c=%2B&d"),
        ("https://[::FFFF:127.0.0.1]/", "https://[::ffff:7f00:1]/"),
        ("https://my_host.example/", "https://my_host.example/"),
    ],
)
def test_a_url_has_one_normal_form(typed: str, used: str):
    assert check_url(typed) == used
    assert check_url(used) == used


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("https://x.example/" + "a" * 2000, "too_long"),
        ("https:\\\\b.example", "backslash"),
        ("https://b.example\\@c", "backslash"),
        ("https://b.exa\tmple/", "character"),
        ("https://b.example/\r\nX: y", "character"),
        ("https://b.example/a b", "character"),
        ("https://b.exam\u200bple/", "character"),
        ("https://b.example/\ud800", "character"),
        ("ftp://b.example/", "scheme"),
        ("javascript:alert(1)", "scheme"),
        ("data:text/html,x", "scheme"),
        ("api.endsystem.com/token", "not_absolute"),
        ("localhost:8080/token", "not_absolute"),
        ("//evil.example/x", "not_absolute"),
        ("https://a@b.example", "userinfo"),
        ("https://a:p@b.example/", "userinfo"),
        ("https://b.example/#top", "fragment"),
        ("https://b.example/#", "fragment"),
        ("https://", "no_host"),
        ("https:///x", "no_host"),
        ("https://?x", "no_host"),
        ("https://b.example:0/", "port"),
        ("https://b.example:99999/", "port"),
        ("https://b.example:x/", "port"),
        ("https://0x7f.1/", "host"),
        ("https://2130706433/", "host"),
        ("https://0177.0.0.1/", "host"),
        ("https://127.1/", "host"),
        ("https://[::1/", "host"),
        ("https://[::1%25eth0]/", "host"),
        ("https://[fe80::1%eth0]/", "host"),
        ("https://[v1.x]/", "host"),
        ("https://a..b.example/", "host"),
        ("https://-a.example/", "host"),
        ("https://a]b.example/", "host"),
        ("https://{subdomain}.endsystem.com/", "host"),
        ("https://xn--\u00fc.example/", "host"),
        ("https://" + "a" * 64 + ".example/", "host"),
        ("https://" + ".".join(["abcdefghi"] * 26) + "/", "host"),
        ("https://\uff0f.example/", "host"),
    ],
)
def test_l1_a_wrong_url_is_refused_with_its_reason(typed: str, reason: str):
    with pytest.raises(UrlProblem) as caught:
        check_url(typed)
    assert caught.value.reason_code == reason
    assert caught.value.message
    assert str(caught.value) == caught.value.message


@pytest.mark.parametrize("typed", ["https:/b.example/t", "HTTPS:/b.example/t", "https:b.example/t"])
def test_one_slash_is_met_with_the_url_that_was_meant(typed: str):
    with pytest.raises(UrlProblem) as caught:
        check_url(typed)
    assert caught.value.reason_code == "one_slash"
    assert caught.value.message == "This has one slash after https:. Did you mean https://b.example/t?"
    assert caught.value.suggestion == "https://b.example/t"


def test_a_missing_scheme_is_met_with_https():
    with pytest.raises(UrlProblem) as caught:
        check_url("api.endsystem.com/t")
    assert caught.value.suggestion == "https://api.endsystem.com/t"


def test_a_fragment_passes_where_it_is_allowed():
    assert check_url("https://b.example/#/auth", allow_fragment=True) == "https://b.example/#/auth"


@given(st.text(max_size=60) | st.text(max_size=40).map(lambda text: "https://" + text))
def test_any_text_is_a_normal_url_or_a_problem(text: str):
    try:
        used = check_url(text)
    except UrlProblem:
        return
    assert used.isascii()
    assert check_url(used) == used


@pytest.mark.parametrize("path", ["/", "/connections/1?tab=a//b#x", "/a%20b", "/ü", "/a?next=https://x.example"])
def test_a_page_of_this_site_is_returned_to(path: str):
    assert check_return_to(path) == path


@pytest.mark.parametrize(
    "path",
    ["", "x", "https://evil.example", "//evil", "/\\evil", "\\\\evil", "/%2fevil", "/%2f%2fevil", "%2f%2fevil", "/%5cevil",
     "/%255cevil", "/%252f%252fevil", "/a/../b", "/a/%2e%2e/b", "/.", "/\tevil", "/\n/evil", "/%0d%0aX", "/" + "a" * 2000],
)  # fmt: skip
def test_l8_another_site_is_never_returned_to(path: str):
    with pytest.raises(UrlProblem) as caught:
        check_return_to(path)
    assert caught.value.reason_code == "return_to"
