"""Metadata of authorization servers."""

from __future__ import annotations

import contextlib
import json

import pytest
from authlib.oauth2.rfc8414 import get_well_known_url
from hypothesis import given
from hypothesis import strategies as st

from keyturn.oauth.errors import OAuthError
from keyturn.oauth.server import AuthorizationServer, metadata_request, metadata_urls, process_metadata
from keyturn.wire import Response

ISSUER = "https://server.example.com"
DOCUMENT = {
    "issuer": ISSUER,
    "authorization_endpoint": "https://server.example.com/authorize",
    "token_endpoint": "https://server.example.com/token",
    "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"],
    "userinfo_endpoint": "https://server.example.com/userinfo",
    "scopes_supported": ["openid", "profile", 7],
    "code_challenge_methods_supported": ["S256", "plain"],
    "revocation_endpoint": "https://server.example.com/revoke",
    "authorization_response_iss_parameter_supported": True,
}


def answer(status: int = 200, **changes) -> Response:
    document = {name: value for name, value in {**DOCUMENT, **changes}.items() if value is not None}
    return Response(status, body=json.dumps(document).encode())


def test_i3_the_rfc_8414_example_document():
    assert process_metadata(ISSUER, answer()) == AuthorizationServer(
        authorization_url="https://server.example.com/authorize",
        token_url="https://server.example.com/token",
        revocation_url="https://server.example.com/revoke",
        issuer=ISSUER,
        iss_required=True,
        token_endpoint_auth_methods=("client_secret_basic", "private_key_jwt"),
        code_challenge_methods=("S256", "plain"),
        scopes_supported=("openid", "profile"),
        userinfo_url="https://server.example.com/userinfo",
    )


def test_absent_authentication_methods_mean_basic_and_other_absences_stay_unknown():
    server = process_metadata(
        ISSUER,
        answer(
            token_endpoint_auth_methods_supported=None,
            code_challenge_methods_supported=None,
            scopes_supported="x",
            revocation_endpoint="not a url",
            userinfo_endpoint=7,
            authorization_response_iss_parameter_supported="true",
        ),
    )
    assert server.token_endpoint_auth_methods == ("client_secret_basic",)
    assert server.code_challenge_methods is None
    assert server.scopes_supported is None
    assert server.revocation_url is None
    assert server.userinfo_url is None
    assert not server.iss_required


@pytest.mark.parametrize(
    "response",
    [
        answer(status=404),
        answer(status=302),
        Response(200, body=b"<html>"),
        Response(200, body=b"[]"),
        answer(issuer="https://server.example.com/"),
        answer(issuer="https://SERVER.example.com"),
        answer(issuer=None),
        answer(authorization_endpoint=None),
        answer(token_endpoint="javascript:alert(1)"),
    ],
)
def test_i2_a_document_that_is_not_this_issuers_is_refused(response):
    with pytest.raises(OAuthError) as caught:
        process_metadata(ISSUER, response)
    assert (caught.value.error, caught.value.where) == ("invalid_metadata", "metadata")


def test_an_issuer_without_a_path_has_two_places():
    assert set(metadata_urls("https://example.com")) == {
        "https://example.com/.well-known/openid-configuration",
        "https://example.com/.well-known/oauth-authorization-server",
    }
    assert metadata_urls("https://example.com/") == metadata_urls("https://example.com")


@pytest.mark.parametrize(
    "issuer", ["https://example.com", "https://example.com/issuer1", "https://example.com:8443/a/b"]
)
def test_i1_both_orders_are_tried_for_an_issuer_with_a_path(issuer):
    urls = metadata_urls(issuer)
    assert get_well_known_url(issuer, external=True) in urls
    assert f"{issuer}/.well-known/openid-configuration" in urls
    assert f"{issuer}/.well-known/oauth-authorization-server" in urls
    assert len(set(urls)) == len(urls)


def test_the_request_asks_for_json():
    request = metadata_request("https://example.com/.well-known/openid-configuration")
    assert (request.method, request.headers.get("Accept"), request.body) == ("GET", "application/json", None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda v: st.lists(v, max_size=3)
)


@given(st.dictionaries(st.sampled_from(sorted(DOCUMENT)), json_values))
def test_any_document_is_read_or_refused(changes):
    with contextlib.suppress(OAuthError):
        assert process_metadata(ISSUER, answer(**changes)).issuer == ISSUER
