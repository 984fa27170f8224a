"""Signing in on another device, with the RFC's own examples."""

from __future__ import annotations

import pytest

from keyturn.oauth import device
from keyturn.oauth.client_auth import ClientCredentials
from keyturn.oauth.errors import OAuthError
from oauth_answers import SERVER, WITHOUT, answer, form_of

PUBLIC = ClientCredentials("1406020730", None, "none")
EXAMPLE = {
    "device_code": "GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://example.com/device",
    "verification_uri_complete": "https://example.com/device?user_code=WDJB-MJHT",
    "expires_in": 1800,
    "interval": 5,
}


def test_the_rfc_8628_requests():
    request = device.device_authorization_request(SERVER, PUBLIC, scopes=("example_scope",))
    assert form_of(request) == {"client_id": "1406020730", "scope": "example_scope"}
    poll = device.device_token_request(SERVER, PUBLIC, device_code=EXAMPLE["device_code"])
    assert form_of(poll) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": EXAMPLE["device_code"],
        "client_id": "1406020730",
    }
    basic = device.device_authorization_request(SERVER, ClientCredentials("1406020730", "s", "basic"))
    assert form_of(basic) == {"client_id": "1406020730"}


def test_j1_the_rfc_8628_answer():
    found = device.process_device_authorization_response(answer(EXAMPLE))
    assert (found.user_code, found.expires_in_seconds, found.interval_seconds) == ("WDJB-MJHT", 1800.0, 5.0)
    assert found.verification_uri_complete == EXAMPLE["verification_uri_complete"]
    assert "WDJB" not in repr(found)


def test_what_is_missing_has_its_default_and_what_is_dangerous_is_left_out():
    sparse = {k: v for k, v in EXAMPLE.items() if k != "interval"} | {"verification_uri_complete": "javascript:x"}
    found = device.process_device_authorization_response(answer(sparse))
    assert (found.interval_seconds, found.verification_uri_complete) == (5.0, None)
    old = {"verification_url": EXAMPLE["verification_uri"], "interval": 1e9, "verification_uri": None}
    found = device.process_device_authorization_response(answer({**EXAMPLE, **old}))
    assert (found.verification_uri, found.interval_seconds) == ("https://example.com/device", 5.0)
    found = device.process_device_authorization_response(answer({**EXAMPLE, "interval": "900"}))
    assert found.interval_seconds == 300.0


@pytest.mark.parametrize("name", ["device_code", "user_code", "verification_uri", "expires_in"])
@pytest.mark.parametrize("value", [None, "", 7.5e99])
def test_an_answer_without_what_is_needed_is_an_error(name, value):
    with pytest.raises(OAuthError) as caught:
        device.process_device_authorization_response(answer({**EXAMPLE, name: value}))
    assert (caught.value.error, caught.value.where) == ("malformed_response", "device_authorization")


def test_refusals_are_errors():
    for body, status, code in (({"error": "invalid_scope"}, 400, "invalid_scope"), ([], 200, "malformed_response")):
        with pytest.raises(OAuthError) as caught:
            device.process_device_authorization_response(answer(body, status))
        assert caught.value.error == code
    with pytest.raises(OAuthError):
        device.process_device_authorization_response(answer({**EXAMPLE, "user_code": "x" * 101}))


def test_j1_waiting_goes_on_only_while_the_server_says_so():
    assert device.next_interval(OAuthError("authorization_pending"), 5) == 5
    assert device.next_interval(OAuthError("slow_down"), 5) == 10
    assert device.next_interval(OAuthError("slow_down"), 299) == 300
    for code in ("access_denied", "expired_token", "invalid_grant", "http_500"):
        with pytest.raises(OAuthError, match=code):
            device.next_interval(OAuthError(code), 5)


def test_a_server_without_the_endpoint_is_not_asked():
    with pytest.raises(ValueError, match="no device"):
        device.device_authorization_request(WITHOUT, PUBLIC)
