"""Pushed authorization requests."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from keyturn.oauth.authorization import authorization_parameters, authorization_url
from keyturn.oauth.client_auth import ClientCredentials
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.pushed import (
    PushedRequest,
    process_pushed_authorization_response,
    pushed_authorization_request,
    pushed_parameters,
)
from keyturn.oauth.quirks import Advanced
from oauth_answers import SERVER, WITHOUT, answer, form_of, lists_of

BASIC = ClientCredentials("s6BhdRkqt3", "secret", "basic")
POST = ClientCredentials("s6BhdRkqt3", "secret", "post")
URI = "urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c"


def parameters(**settings):
    return authorization_parameters(
        SERVER,
        client_id="s6BhdRkqt3",
        redirect_uri="https://client.example.com/cb",
        scopes=("a", "b"),
        state="xyz",
        code_challenge="c",
        dpop_thumbprint="t",
        advanced=Advanced.model_validate(settings),
    )


@pytest.mark.parametrize("credentials", [BASIC, POST])
def test_j5_everything_goes_to_the_server_with_the_clients_authentication(credentials):
    request = pushed_authorization_request(SERVER, credentials, parameters())
    form = form_of(request)
    assert (request.method, request.url) == ("POST", "https://server.example.com/par")
    assert form.pop("client_secret", None) == (None if credentials is BASIC else "secret")
    assert (request.headers.get("Authorization") is not None) is (credentials is BASIC)
    assert form == {
        "response_type": "code",
        "client_id": "s6BhdRkqt3",
        "redirect_uri": "https://client.example.com/cb",
        "scope": "a b",
        "state": "xyz",
        "code_challenge": "c",
        "code_challenge_method": "S256",
        "dpop_jkt": "t",
    }


def test_several_resources_are_pushed_each():
    request = pushed_authorization_request(SERVER, BASIC, parameters(resources=["https://a.example", "urn:b"]))
    assert lists_of(request)["resource"] == ["https://a.example", "urn:b"]


def test_j5_the_browser_carries_only_the_reference():
    pushed = process_pushed_authorization_response(answer({"request_uri": URI, "expires_in": 60}, 201))
    assert pushed == PushedRequest(URI, 60.0)
    assert URI not in repr(pushed)
    found = parse_qs(urlsplit(authorization_url(SERVER, pushed_parameters("s6BhdRkqt3", pushed))).query)
    assert found == {"tenant": ["a"], "client_id": ["s6BhdRkqt3"], "request_uri": [URI]}


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (answer({"error": "invalid_client"}, 401), "invalid_client"),
        (answer({"request_uri": ""}, 201), "malformed_response"),
        (answer({"request_uri": "u" * 2001}, 201), "malformed_response"),
        (answer([], 201), "malformed_response"),
        (answer(b"<html>", 200), "not_json"),
        (answer({}, 500), "http_500"),
    ],
)
def test_everything_else_is_an_error(response, code):
    with pytest.raises(OAuthError) as caught:
        process_pushed_authorization_response(response)
    assert (caught.value.error, caught.value.where) == (code, "pushed_authorization")


def test_a_server_without_the_endpoint_is_not_asked():
    with pytest.raises(ValueError, match="no pushed"):
        pushed_authorization_request(WITHOUT, BASIC, {})
