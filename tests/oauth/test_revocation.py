"""Token revocation."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.oauth.client_auth import ClientCredentials
from keyturn.oauth.errors import OAuthError, classify
from keyturn.oauth.quirks import Advanced
from keyturn.oauth.revocation import process_revocation_response, revocation_request
from keyturn.oauth.server import AuthorizationServer
from keyturn.wire import Headers, Response

SERVER = AuthorizationServer("https://s.example/a", "https://s.example/t", revocation_url="https://s.example/revoke")
BASIC = ClientCredentials("s6BhdRkqt3", "gX1fBat3bV", "basic")


def test_the_rfc_7009_example_request():
    request = revocation_request(SERVER, BASIC, "45ghiukldjahdnhzdauz", "refresh_token")
    assert (request.method, request.url) == ("POST", "https://s.example/revoke")
    assert request.headers.get("Authorization") == "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW"
    assert request.headers.get("Content-Type") == "application/x-www-form-urlencoded"
    assert request.body == b"token=45ghiukldjahdnhzdauz&token_type_hint=refresh_token"
    assert "45ghiu" not in repr(request)


def test_the_hint_may_be_missing_and_fixed_headers_are_sent():
    advanced = Advanced.model_validate({"token": {"headers": {"X-Api-Key": "k"}}})
    request = revocation_request(SERVER, ClientCredentials("i", None, "none"), token="t", advanced=advanced)
    assert request.body == b"token=t&client_id=i"
    assert request.headers.get("x-api-key") == "k"


def test_without_a_revocation_url_there_is_no_request():
    with pytest.raises(ValueError, match="no revocation URL"):
        revocation_request(dataclasses.replace(SERVER, revocation_url=None), BASIC, "t")


@pytest.mark.parametrize(
    "response",
    [
        Response(200),
        Response(204),
        Response(200, body=b'{"error": "odd"}'),
        Response(400, body=b'{"error": "invalid_token"}'),
        Response(400, body=b"error=invalid_grant"),
    ],
)
def test_h2_an_unknown_token_is_gone_too(response):
    process_revocation_response(response)


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (Response(400, body=b'{"error": "unsupported_token_type"}'), "unsupported_token_type"),
        (Response(401, body=b'{"error": "invalid_client"}'), "invalid_client"),
        (Response(403, body=b'{"error": "invalid_token"}'), "invalid_token"),
        (Response(404, body=b"<html>"), "not_json"),
        (Response(302), "http_302"),
        (Response(500), "http_500"),
    ],
)
def test_a_refusal_is_an_error(response, error):
    with pytest.raises(OAuthError) as caught:
        process_revocation_response(response)
    assert (caught.value.error, caught.value.where) == (error, "revocation")


def test_h2_503_says_when_to_come_back():
    with pytest.raises(OAuthError) as caught:
        process_revocation_response(Response(503, Headers.of({"Retry-After": "30"}), b"<html>"))
    verdict = classify(caught.value, now=0.0)
    assert (verdict.outcome, verdict.code, verdict.retry_after_seconds) == (
        "transient",
        "temporarily_unavailable",
        30.0,
    )


@given(st.integers(100, 599), st.binary(max_size=60))
def test_any_answer_is_success_or_an_oauth_error(status, body):
    with contextlib.suppress(OAuthError):
        process_revocation_response(Response(status, body=body))
