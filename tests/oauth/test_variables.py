"""Blanks in URLs."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.oauth.quirks import Variable
from keyturn.oauth.urls import UrlProblem
from keyturn.oauth.variables import check_template, fill, names_in

VARIABLES = {
    "subdomain": Variable(label="Your subdomain"),
    "tenant": Variable(kind="path_segment"),
    "region": Variable(value="eu"),
}
TEMPLATE = "https://{subdomain}.{region}.endsystem.com/{tenant}/token"


def test_blanks_are_filled_and_the_admins_value_wins():
    values = {"subdomain": " ACME ", "tenant": "a b/ü", "region": "us"}
    assert fill(TEMPLATE, VARIABLES, values) == "https://acme.eu.endsystem.com/a%20b%2F%C3%BC/token"
    assert names_in(TEMPLATE + "?{tenant}") == ("subdomain", "region", "tenant")


def test_a_url_without_blanks_is_only_checked():
    assert fill("HTTPS://X.example/", {}, {}) == "https://x.example/"
    with pytest.raises(UrlProblem):
        fill("https:/x.example/", {}, {})


@pytest.mark.parametrize("value", ["", "a.evil.com#", "a.b", "a@evil", "a/../", "-a", "a:80", "é", "a" * 64, "a\n.b"])
def test_l9_a_label_is_one_label(value):
    with pytest.raises(UrlProblem, match="Your subdomain: enter letters"):
        fill("https://{subdomain}.endsystem.com/", VARIABLES, {"subdomain": value})


@pytest.mark.parametrize("value", ["", ".", "..", "a\r\nb", "a" * 201])
def test_a_segment_is_one_segment(value):
    with pytest.raises(UrlProblem, match="tenant: enter one part"):
        fill("https://endsystem.com/{tenant}", VARIABLES, {"tenant": value})


@given(st.text(max_size=30), st.text(max_size=30))
def test_l9_no_value_leaves_the_host_or_the_path(subdomain, tenant):
    try:
        parts = urlsplit(fill(TEMPLATE, VARIABLES, {"subdomain": subdomain, "tenant": tenant}))
    except UrlProblem:
        return
    assert (parts.hostname or "").count(".") == 3
    assert (parts.hostname or "").endswith(".eu.endsystem.com")
    assert parts.path.count("/") == 2
    assert not parts.query
    assert not parts.fragment


@pytest.mark.parametrize(
    "template",
    ["https://{other}.endsystem.com/", "https://{tenant}.endsystem.com/", "https://x.example/{subdomain}", "https://{}/", "x{subdomain", "https://[{subdomain}/"],
)  # fmt: skip
def test_a_template_with_a_blank_in_a_wrong_place_is_refused(template):
    with pytest.raises(UrlProblem):
        check_template(template, VARIABLES)


def test_a_good_template_stays_as_it_was_typed():
    assert check_template(f" {TEMPLATE} ", VARIABLES) == TEMPLATE
