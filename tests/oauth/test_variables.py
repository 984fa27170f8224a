"""Blanks in URLs."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.oauth.quirks import Variable
from keyturn.oauth.urls import UrlProblem
from keyturn.oauth.variables import (
    check_base,
    check_template,
    fill,
    fill_base,
    in_place,
    names_in,
    told_by_sign_in,
)

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


LABEL = Variable(label="Your subdomain", kind="dns_label")
KEPT = ("instance_url", "region", "company")


def test_something_harmless_stands_in_each_blank():
    assert in_place("https://{region}.a.example/{company}/v1") == "https://x.a.example/x/v1"


def test_whoever_fills_a_blank_in_cannot_name_the_host():
    with pytest.raises(UrlProblem, match="must stand before a fixed domain"):
        check_template("https://{subdomain}.example", {"subdomain": LABEL})
    by_admin = {"subdomain": LABEL.model_copy(update={"value": "acme", "filled_by": "admin"})}
    assert check_template("https://{subdomain}.example", by_admin) == "https://{subdomain}.example"


@pytest.mark.parametrize(
    ("template", "kept", "url"),
    [
        ("{instance_url}/v1", {"instance_url": "https://eu.a.example/"}, "https://eu.a.example/v1"),
        ("{instance_url}", {"instance_url": "https://eu.a.example"}, "https://eu.a.example"),
        ("https://{region}.a.example/{company}", {"region": "EU", "company": 17}, "https://eu.a.example/17"),
        ("https://{subdomain}.a.example/{company}/", {"company": "a/b"}, "https://acme.a.example/a%2Fb"),
        ("https://a.example/v1", {}, "https://a.example/v1"),
    ],
)
def test_l10_what_a_sign_in_told_fills_a_base_url(template, kept, url):
    assert fill_base(template, {"subdomain": LABEL}, {"subdomain": "acme"}, kept) == url


@pytest.mark.parametrize(
    ("template", "kept"),
    [
        ("{instance_url}/v1", {}),
        ("{instance_url}/v1", {"instance_url": ""}),
        ("{instance_url}/v1", {"instance_url": "https://a.example?x=1"}),
        ("{instance_url}/v1", {"instance_url": "javascript:alert(1)"}),
        ("{instance_url}.evil.example", {"instance_url": "https://a.example"}),
        ("https://{region}.a.example", {"region": "evil.example#"}),
        ("https://a.example/{company}", {"company": ".."}),
    ],
)
def test_l10_what_a_sign_in_told_never_leaves_its_place(template, kept):
    with pytest.raises(UrlProblem):
        fill_base(template, {}, {}, kept)


def test_a_base_url_is_checked_before_anything_was_told():
    variables = {"subdomain": LABEL}
    for template in ("{instance_url}/v1", "https://{region}.a.example", "https://{subdomain}.a.example"):
        check_base(template, variables, KEPT)
    assert told_by_sign_in("{instance_url}/v1", variables)
    assert not told_by_sign_in("https://{subdomain}.a.example", variables)
    for template in ("https://{unknown}.a.example", "https://{subdomain}.example", "{instance_url}x"):
        with pytest.raises(UrlProblem):
            check_base(template, variables, KEPT)
