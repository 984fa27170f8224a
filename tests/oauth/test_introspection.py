"""Token introspection."""

from __future__ import annotations

import pytest

from keyturn.oauth.client_auth import ClientCredentials
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.introspection import Introspection, introspection_request, process_introspection_response
from oauth_answers import SERVER, WITHOUT, answer, form_of

POST = ClientCredentials("s6BhdRkqt3", "secret", "post")
EXAMPLE = {
    "active": True,
    "client_id": "l238j323ds-23ij4",
    "username": "jdoe",
    "scope": "read write dolphin",
    "sub": "Z5O3upPC88QrAjx00dis",
    "iss": "https://server.example.com/",
    "exp": 1419356238,
    "token_type": "Bearer",
    "extension_field": "twenty-seven",
}


def test_the_request():
    request = introspection_request(SERVER, POST, "mF_9.B5f-4.1JqM", "access_token")
    assert form_of(request) == {
        "token": "mF_9.B5f-4.1JqM",
        "token_type_hint": "access_token",
        "client_id": "s6BhdRkqt3",
        "client_secret": "secret",
    }
    with pytest.raises(ValueError, match="no introspection"):
        introspection_request(WITHOUT, POST, "t")


def test_the_rfc_7662_answer():
    found = process_introspection_response(answer(EXAMPLE))
    assert found.active
    assert found.scopes == ("read", "write", "dolphin")
    assert (found.username, found.expires_at, found.subject) == ("jdoe", 1419356238.0, "Z5O3upPC88QrAjx00dis")
    assert "jdoe" not in repr(found)
    bare = process_introspection_response(answer({"active": True, "exp": True, "scope": ["a"]}))
    assert bare == Introspection(active=True)


def test_nothing_counts_of_an_inactive_token():
    assert process_introspection_response(answer({**EXAMPLE, "active": False})) == Introspection(active=False)


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (answer({"active": "true"}), "malformed_response"),
        (answer({}), "malformed_response"),
        (answer({"error": "invalid_client"}, 401), "invalid_client"),
    ],
)
def test_everything_else_is_an_error(response, code):
    with pytest.raises(OAuthError) as caught:
        process_introspection_response(response)
    assert (caught.value.error, caught.value.where) == (code, "introspection")
