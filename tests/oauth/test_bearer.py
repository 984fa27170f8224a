"""Bearer tokens in calls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.oauth.bearer import (
    Challenge,
    challenges,
    insufficient_scope,
    invalid_token,
    looks_expired,
    place_token,
)
from keyturn.oauth.quirks import Api
from keyturn.wire import Headers, Request, Response

REQUEST = Request("GET", "https://api.example/v1?a=b", Headers.of({"authorization": "Basic old", "X-Version": "2"}))


def answer(status: int, challenge: str | None = None, body: bytes = b"") -> Response:
    return Response(status, Headers.of({} if challenge is None else {"WWW-Authenticate": challenge}), body)


def test_g1_the_token_goes_into_the_authorization_header_alone():
    placed = place_token(REQUEST, "mF_9.B5f-4.1JqM")
    assert placed.headers.get_all("Authorization") == ("Bearer mF_9.B5f-4.1JqM",)
    assert placed.url == REQUEST.url
    assert "mF_9" not in repr(placed)


def test_j7_a_token_that_is_bound_to_a_key_has_the_scheme_that_says_so():
    placed = place_token(REQUEST, "t0k", Api.model_validate({"headers": {"X-Lang": "en"}}), bound=True)
    assert placed.headers.get_all("Authorization") == ("DPoP t0k",)
    assert placed.headers.get("X-Lang") == "en"


def test_the_token_may_go_into_another_header_with_the_apis_fixed_headers():
    api = Api.model_validate(
        {"placement": {"header": "X-Access-Token", "prefix": ""}, "headers": {"X-Version": "1", "X-Lang": "en"}}
    )
    placed = place_token(REQUEST, "t0k", api)
    assert placed.headers.get("X-Access-Token") == "t0k"
    assert placed.headers.get("Authorization") is None
    assert placed.headers.get("X-Version") == "2"
    assert placed.headers.get("X-Lang") == "en"


def test_the_token_goes_into_the_query_only_where_set():
    placed = place_token(REQUEST, "t/k", Api.model_validate({"placement": {"query": "access_token"}}))
    assert placed.url == "https://api.example/v1?a=b&access_token=t%2Fk"
    assert placed.headers.get("Authorization") is None


RFC = 'Bearer realm="example", error="invalid_token", error_description="The access token expired"'
SCOPE = 'Bearer realm="example", error="insufficient_scope", scope="a b"'


@pytest.mark.parametrize(
    ("response", "settings", "expired"),
    [
        (answer(200), {}, False),
        (answer(401), {}, True),
        (answer(401, RFC), {}, True),
        (answer(403, RFC), {}, True),
        (answer(500, RFC), {}, False),
        (answer(403), {}, False),
        (answer(403), {"status": [401, 403]}, True),
        (answer(403, SCOPE), {"status": [401, 403]}, False),
        (answer(401, SCOPE), {}, False),
        (answer(401, 'Basic realm="Web API"'), {}, True),
        (answer(401, "Token"), {}, True),
        (answer(403, 'Basic error="insufficient_scope"'), {"status": [403]}, True),
        (
            answer(200, None, b'{"errors":[{"code":"602"}]}'),
            {"status": [200], "body": {"path": "errors.0.code", "in": [602]}},
            True,
        ),
        (
            answer(200, None, b'{"errors":[{"code":602}]}'),
            {"status": [200], "body": {"path": "errors.0.code", "in": ["602"]}},
            True,
        ),
        (answer(200, None, b'{"ok":true}'), {"status": [200], "body": {"path": "ok", "in": [True]}}, True),
        (answer(200, None, b'{"data":[]}'), {"status": [200], "body": {"path": "errors.0.code", "in": ["602"]}}, False),
        (answer(200, None, b"rows"), {"status": [200], "body": {"path": "errors.0.code", "in": ["602"]}}, False),
        (answer(401, None, b"rows"), {"status": [401, 200], "body": {"path": "x", "in": ["602"]}}, True),
    ],
)
def test_f9_expiry_is_told_from_other_refusals(response, settings, expired):
    assert looks_expired(response, Api.model_validate({"expired_when": settings})) is expired


def test_g3_insufficient_scope_is_a_matter_of_permission():
    assert insufficient_scope(answer(403, SCOPE))
    assert not insufficient_scope(answer(403, RFC))
    assert not insufficient_scope(answer(403))


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (RFC, (("bearer", {"realm": "example", "error": "invalid_token", "error_description": "The access token expired"}),)),
        ("Bearer", (("bearer", {}),)),
        ('Basic realm="a, Bearer error=x", Bearer error=invalid_token', (("basic", {"realm": "a, Bearer error=x"}), ("bearer", {"error": "invalid_token"}))),
        ('Negotiate, NTLM TlRMTVNTUAAC==, BEARER Error = "a\\"b"', (("negotiate", {}), ("ntlm", {}), ("bearer", {"error": 'a"b'}))),
        ('Bearer error="x", error="y"', (("bearer", {"error": "x"}),)),
        ('Bearer error="open', (("bearer", {}), ("error", {}))),
        ("", ()),
        (',, "', ()),
    ],
)  # fmt: skip
def test_challenges_are_parsed(value, found):
    assert challenges(Headers.of({"WWW-Authenticate": value})) == tuple(Challenge(*pair) for pair in found)


def test_several_header_fields_are_several_challenges():
    headers = Headers.of([("WWW-Authenticate", "Basic realm=x"), ("www-authenticate", SCOPE)])
    assert [challenge.scheme for challenge in challenges(headers)] == ["basic", "bearer"]


@given(st.text(st.sampled_from('Bearer error="invalid_token",= \\\t;é'), max_size=80) | st.text(max_size=80))
def test_no_challenge_text_breaks_the_reader(value):
    looks_expired(answer(401, value))


def test_j7_a_token_bound_to_a_key_has_one_place_whatever_is_set():
    api = Api.model_validate({"placement": {"header": "X-Token", "prefix": ""}})
    request = Request(
        "GET", "https://api.example.com/v1", Headers.of({"Authorization": "Bearer old", "X-Token": "old"})
    )
    placed = place_token(request, "a-bound-token", api, bound=True)
    assert placed.headers.items == (("Authorization", "DPoP a-bound-token"),)


@pytest.mark.parametrize(
    ("challenge", "said"),
    [
        ('Bearer realm="api", error="invalid_token", error_description="The access token expired"', True),
        ('Bearer error="insufficient_scope", scope="read"', False),
        ('Basic realm="api", error="invalid_token"', False),
        ("Bearer", False),
        (None, False),
    ],
)
def test_an_api_says_in_as_many_words_that_a_token_is_over(challenge, said):
    assert invalid_token(answer(401, challenge)) is said
