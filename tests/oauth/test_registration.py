"""Dynamic client registration."""

from __future__ import annotations

import json

import pytest

from keyturn.oauth import jose
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.registration import process_registration_response, registration_request, unregistration_request
from oauth_answers import SERVER, WITHOUT, answer

CALLBACKS = ["https://client.example.org/callback", "https://client.example.org/callback2"]
EXAMPLE = {
    "client_id": "s6BhdRkqt3",
    "client_secret": "cf136dc3c1fc93f31185e5885805d",
    "client_id_issued_at": 2893256800,
    "client_secret_expires_at": 2893276800,
    "redirect_uris": CALLBACKS,
    "grant_types": ["authorization_code", "refresh_token"],
    "client_name": "My Example Client",
    "token_endpoint_auth_method": "client_secret_basic",
    "scope": "a b",
    "registration_access_token": "reg-23410913-abewfq.123483",
    "registration_client_uri": "https://server.example.com/register/s6BhdRkqt3",
}


def read(body, status=201):
    return process_registration_response(answer(body, status), redirect_uris=CALLBACKS)


def test_the_request_says_what_the_client_is():
    key = jose.new_key()
    request = registration_request(
        SERVER, client_name="Keyturn", redirect_uris=CALLBACKS, scopes=("a", "b"), dpop=True,
        token_endpoint_auth_method="private_key_jwt", jwks={"keys": [jose.public_key(key, algorithm="ES256")]},
        initial_access_token="initial",
    )  # fmt: skip
    body = json.loads(request.body or b"")
    assert request.headers.get("Authorization") == "Bearer initial"
    assert body.pop("jwks")["keys"][0]["kid"] == jose.key_id(key)
    assert body == {
        "client_name": "Keyturn",
        "redirect_uris": CALLBACKS,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "private_key_jwt",
        "scope": "a b",
        "dpop_bound_access_tokens": True,
    }
    assert json.loads(key)["d"] not in (request.body or b"").decode()


def test_a_request_says_nothing_that_it_need_not():
    request = registration_request(SERVER, client_name="K", redirect_uris=(), grant_types=("client_credentials",))
    assert set(json.loads(request.body or b"")) == {
        "client_name", "redirect_uris", "grant_types", "response_types", "token_endpoint_auth_method"
    }  # fmt: skip
    assert json.loads(request.body or b"")["response_types"] == []
    assert request.headers.get("Authorization") is None
    with pytest.raises(ValueError, match="no registration"):
        registration_request(WITHOUT, client_name="K", redirect_uris=())


def test_i4_the_rfc_7591_answer_is_taken_as_true():
    found = read(EXAMPLE)
    assert (found.client_id, found.client_secret) == ("s6BhdRkqt3", EXAMPLE["client_secret"])
    assert found.client_secret_expires_at == 2893276800.0
    assert found.scopes == ("a", "b")
    assert found.registration_client_uri == EXAMPLE["registration_client_uri"]
    for secret in (EXAMPLE["client_secret"], EXAMPLE["registration_access_token"]):
        assert secret not in repr(found)


def test_zero_is_never_and_defaults_are_the_rfcs():
    assert read({**EXAMPLE, "client_secret_expires_at": 0}).client_secret_expires_at is None
    assert read({**EXAMPLE, "client_secret_expires_at": True}).client_secret_expires_at is None
    bare = read({"client_id": "x", "client_secret": "s"}, 200)
    assert (bare.token_endpoint_auth_method, bare.grant_types) == ("client_secret_basic", ("authorization_code",))
    assert (bare.redirect_uris, bare.scopes) == (tuple(CALLBACKS), None)
    assert read({"client_id": "x"}).token_endpoint_auth_method == "none"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"error": "invalid_redirect_uri"}, 400, "invalid_redirect_uri"),
        ({}, 201, "malformed_response"),
        ([], 201, "malformed_response"),
        ({**EXAMPLE, "redirect_uris": ["https://evil.example"]}, 201, "malformed_response"),
    ],
)
def test_everything_else_is_an_error(body, status, code):
    with pytest.raises(OAuthError) as caught:
        read(body, status)
    assert (caught.value.error, caught.value.where) == (code, "registration")


def test_a_registration_is_deleted_at_its_own_address():
    request = unregistration_request("https://server.example.com/register/1", "a-registration-token")
    assert (request.method, request.url) == ("DELETE", "https://server.example.com/register/1")
    assert request.headers.get("authorization") == "Bearer a-registration-token"
    assert "a-registration-token" not in repr(request)
