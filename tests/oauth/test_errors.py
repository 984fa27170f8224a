"""Refusals, made safe to show and sorted by who can repair them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn import redaction
from keyturn.errors import UpstreamError, UpstreamTimeout
from keyturn.oauth.errors import OAuthError, Verdict, classify, retry_after_seconds
from keyturn.wire import Headers, Response

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("error", "status", "outcome"),
    [
        ("invalid_grant", 400, "grant_dead"),
        ("invalid_grant", 401, "grant_dead"),
        ("invalid_grant", 403, "grant_dead"),
        ("invalid_grant", 200, "grant_dead"),
        ("bad_refresh_token", 200, "grant_dead"),
        ("invalid_grant", 500, "transient"),
        ("invalid_client", 400, "client_dead"),
        ("unauthorized_client", 400, "client_dead"),
        ("incorrect_client_credentials", 200, "client_dead"),
        ("http_401", 401, "client_dead"),
        ("invalid_scope", 400, "config"),
        ("invalid_request", 400, "config"),
        ("unsupported_grant_type", 400, "config"),
        ("http_404", 404, "config"),
        ("http_405", 405, "config"),
        ("http_302", 302, "config"),
        ("not_json", 404, "config"),
        ("http_400", 400, "config"),
        ("unsupported_token_type", 200, "config"),
        ("temporarily_unavailable", 400, "transient"),
        ("slow_down", 400, "transient"),
        ("server_error", 200, "transient"),
        ("http_503", 503, "transient"),
        ("http_429", 429, "transient"),
        ("http_408", 408, "transient"),
        ("not_json", 200, "unknown_outcome"),
        ("malformed_response", 200, "unknown_outcome"),
        ("no_access_token", 200, "unknown_outcome"),
        ("invalid_grant", None, "grant_dead"),
        ("whatever", None, "config"),
    ],
)
def test_an_error_is_classified_by_code_and_status(error, status, outcome):
    verdict = classify(OAuthError(error, status=status, where="token"), now=NOW)
    assert verdict == Verdict(outcome, error)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (UpstreamError("x", sent=False), "not_sent"),
        (UpstreamTimeout("x", sent=False), "not_sent"),
        (UpstreamTimeout("x", sent=True), "unknown_outcome"),
        (UpstreamError("x"), "unknown_outcome"),
        (UpstreamError("x", sent=False, message_code="E-BLOCKED"), "config"),
        (UpstreamError("x", sent=False, message_code="E-TLS"), "config"),
        (UpstreamError("x", sent=False, message_code="E-DNS"), "not_sent"),
    ],
)
def test_f5_no_answer_is_classified_by_what_can_have_been_sent(error, outcome):
    verdict = classify(error, now=NOW)
    assert verdict.outcome == outcome
    assert verdict.code == (error.message_code or error.code)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, "ok"),
        (201, "ok"),
        (302, "config"),
        (400, "config"),
        (401, "client_dead"),
        (429, "transient"),
        (500, "transient"),
    ],
)
def test_a_bare_response_is_classified_by_its_status(status, outcome):
    verdict = classify(Response(status, Headers.of({"Retry-After": "7"})), now=NOW)
    assert (verdict.outcome, verdict.retry_after_seconds) == (outcome, 7.0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 1.5 ", 1.5),
        ("0", 0.0),
        ("-5", None),
        ("99999999999", 604800.0),
        ("1e999", None),
        ("soon", None),
        ("", None),
        ("3x", None),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 0.0),
        ("Tue, 14 Nov 99999 22:13:00 GMT", None),
        ("Tue, 99 Foo", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds):
    assert retry_after_seconds(value, now=NOW) == seconds


@given(st.text(max_size=60))
def test_retry_after_never_fails(value):
    seconds = retry_after_seconds(value, now=NOW)
    assert seconds is None or 0 <= seconds <= 604800


def test_n5_an_error_says_code_and_description_with_control_characters_visible():
    error = OAuthError(
        "invalid_grant", "bad\r\n\x1b[31m\u202ered\tend", "https://e.example/\x00", status=400, where="token"
    )
    assert str(error) == "invalid_grant: bad\\x0d\\x0a\\x1b[31m\\u202ered\\x09end"
    assert error.uri == "https://e.example/\\x00"
    assert (error.status, error.where, error.retry_after) == (400, "token", None)


def test_an_error_masks_secrets_by_name_and_by_value():
    redaction.remember("s3cr3t-value-of-a-client")
    error = OAuthError(
        "invalid_client", "got s3cr3t-value-of-a-client and client_secret=hunter2222 and Bearer abcdefgh1234"
    )
    for shown in (str(error), repr(error), error.description or ""):
        assert "s3cr3t" not in shown
        assert "hunter2222" not in shown
        assert "abcdefgh1234" not in shown


@given(st.text(max_size=500), st.none() | st.text(max_size=5000), st.none() | st.text(max_size=500))
def test_e7_an_error_is_short_and_visible_whatever_the_server_says(error, description, uri):
    found = OAuthError(error, description, uri)
    assert len(str(found)) <= 200
    assert len(found.error) <= 80
    for text in (str(found), found.error, found.description or "", found.uri or ""):
        assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in text)


def test_an_empty_code_still_has_a_name():
    assert OAuthError("", "").error == "unknown_error"
    assert OAuthError("", "").description is None
