"""JWT bearer and token exchange."""

from __future__ import annotations

import base64
import json

import pytest

from keyturn.oauth import assertion_grants as grants
from keyturn.oauth import jose
from keyturn.oauth.client_auth import ClientCredentials
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.quirks import Advanced
from oauth_answers import SERVER, answer, form_of

PUBLIC = ClientCredentials("s6BhdRkqt3", None, "none")
BASIC = ClientCredentials("rs08", "long-secure-random-secret", "basic")
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
NOW = 1_700_000_000.0


def test_an_assertion_says_who_for_whom_and_not_for_long():
    key = jose.new_key("RS256")
    made = grants.bearer_assertion(
        key,
        issuer="us",
        subject="ada",
        audience="https://server.example.com",
        issued_at=NOW,
        claims={"scope": "a", "iss": "x"},
    )
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in made.split(".")[:2])
    assert header == {"alg": "RS256", "kid": jose.key_id(key), "typ": "JWT"}
    assert claims.pop("jti")
    assert claims == {
        "scope": "a", "iss": "us", "sub": "ada", "aud": "https://server.example.com", "iat": NOW, "exp": NOW + 300
    }  # fmt: skip


def test_j2_a_token_for_an_assertion():
    request = grants.jwt_bearer_request(SERVER, PUBLIC, assertion="a.b.c", scopes=("x", "y"))
    assert form_of(request) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "assertion": "a.b.c",
        "scope": "x y",
        "client_id": "s6BhdRkqt3",
    }


def test_j2_the_rfc_8693_exchange():
    advanced = Advanced(resources=("https://backend.example.com/api",))
    request = grants.token_exchange_request(
        SERVER, BASIC, subject_token="accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC", advanced=advanced
    )
    assert form_of(request) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "resource": "https://backend.example.com/api",
        "subject_token": "accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC",
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
    }
    full = grants.token_exchange_request(
        SERVER, BASIC, subject_token="s", actor_token="a", actor_token_type=JWT_TYPE, requested_token_type=JWT_TYPE,
        audience="urn:x", scopes=("r",),
    )  # fmt: skip
    assert {"actor_token", "actor_token_type", "requested_token_type", "audience", "scope"} < form_of(full).keys()


@pytest.mark.parametrize("half", [{"actor_token": "a"}, {"actor_token_type": JWT_TYPE}])
def test_an_actor_comes_whole(half):
    with pytest.raises(ValueError, match="needs its type"):
        grants.token_exchange_request(SERVER, BASIC, subject_token="s", **half)


def test_what_was_issued_and_of_which_type():
    body = {"access_token": "t", "issued_token_type": JWT_TYPE, "token_type": "Bearer", "expires_in": 60}
    found = grants.process_token_exchange_response(answer(body), wanted=JWT_TYPE, now=NOW)
    assert (found.tokens.access_token, found.token_type, found.issued_token_type) == ("t", "Bearer", JWT_TYPE)
    other = answer({**body, "token_type": "N_A"})
    assert grants.process_token_exchange_response(other, Advanced(token={"dpop": True}), now=NOW).token_type == "N_A"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"issued_token_type": None}, "does not say"),
        ({"issued_token_type": "urn:y"}, "Another"),
        ({"token_type": "mac"}, "no Bearer"),
    ],
)
def test_another_type_is_refused(changes, words):
    body = {"access_token": "t", "issued_token_type": JWT_TYPE, "token_type": "Bearer", **changes}
    with pytest.raises(OAuthError, match=words):
        grants.process_token_exchange_response(answer(body), wanted=JWT_TYPE, now=NOW)
