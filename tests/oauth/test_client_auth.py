"""Exactly one way of client authentication a request."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace
from urllib.parse import unquote

import pytest
from authlib.oauth2.auth import encode_client_secret_basic
from hypothesis import given
from hypothesis import strategies as st

from keyturn.oauth import jose
from keyturn.oauth.client_auth import ClientCredentials, authenticate, methods_to_try
from keyturn.wire import Headers
from oauth_answers import verified

texts = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=40)


def basic_of(headers: Headers) -> str:
    scheme, _, value = (headers.get("Authorization") or "").partition(" ")
    assert scheme == "Basic"
    return base64.b64decode(value).decode()


def test_the_rfc_6749_example_is_sent_as_written_there():
    credentials = ClientCredentials("s6BhdRkqt3", "gX1fBat3bV", "basic")
    form, headers = authenticate({"grant_type": "refresh_token"}, Headers(), credentials)
    assert headers.get("Authorization") == "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW"
    assert form == {"grant_type": "refresh_token"}


def test_d2_post_puts_id_and_secret_into_the_body_alone():
    credentials = ClientCredentials("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw", "post")
    form, headers = authenticate({"a": "b"}, Headers.of({"Authorization": "Basic old"}), credentials)
    assert form == {"a": "b", "client_id": "s6BhdRkqt3", "client_secret": "7Fjfp0ZBr1KtDRbnfVdmIw"}
    assert headers.get("Authorization") is None


def test_d5_a_public_client_sends_its_id_alone():
    form, headers = authenticate({"client_secret": "left"}, Headers(), ClientCredentials("id", None, "none"))
    assert form == {"client_id": "id"}
    assert headers == Headers()


def test_d3_percent_encoding_writes_a_space_as_percent_20_and_raw_writes_it_as_it_is():
    _, headers = authenticate({}, Headers(), ClientCredentials("i:d", "a:b+c %41&=ü", "basic"))
    assert basic_of(headers) == "i%3Ad:a%3Ab%2Bc%20%2541%26%3D%C3%BC"
    _, headers = authenticate({}, Headers(), ClientCredentials("id", "a:b+c %41&=", "basic", "raw"))
    assert basic_of(headers) == "id:a:b+c %41&="


def test_the_secret_may_stand_as_the_user_name():
    _, headers = authenticate({}, Headers(), ClientCredentials("id", "sk_1", "basic", basic_user="secret"))
    assert basic_of(headers) == "sk_1:"


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
    st.text(st.characters(max_codepoint=127), min_size=1),
)
def test_d3_the_raw_header_is_authlibs(client_id: str, secret: str):
    theirs: dict[str, str] = {}
    encode_client_secret_basic(SimpleNamespace(client_id=client_id, client_secret=secret), "POST", "", theirs, "")
    _, ours = authenticate({}, Headers(), ClientCredentials(client_id, secret, "basic", "raw"))
    assert ours.get("Authorization") == theirs["Authorization"]


@given(texts, texts)
def test_a_server_that_decodes_gets_back_any_id_and_secret(client_id: str, secret: str):
    _, headers = authenticate({}, Headers(), ClientCredentials(client_id, secret, "basic"))
    user, _, password = basic_of(headers).partition(":")
    assert (unquote(user), unquote(password)) == (client_id, secret)


def test_a_secret_is_needed_unless_the_client_is_public():
    with pytest.raises(ValueError, match="needs a client secret"):
        ClientCredentials("id", "", "post")
    with pytest.raises(ValueError, match="no client authentication method"):
        ClientCredentials("id", "s", "mac")  # type: ignore[arg-type]


def test_repr_shows_no_secret():
    assert "hunter22" not in repr(ClientCredentials("id", "hunter22", "post"))


@pytest.mark.parametrize(
    ("configured", "metadata", "remembered", "tries"),
    [
        ("basic", None, "post", ("basic",)),
        ("none", ("client_secret_basic",), None, ("none",)),
        ("detect", None, None, ("post", "basic")),
        ("detect", None, "basic", ("basic",)),
        ("detect", ("client_secret_basic",), None, ("basic",)),
        ("detect", ("client_secret_basic",), "post", ("basic",)),
        ("detect", ("client_secret_basic", "client_secret_post"), None, ("post", "basic")),
        ("detect", ("client_secret_basic", "client_secret_post"), "basic", ("basic",)),
        ("detect", ("none", "private_key_jwt"), None, ("none",)),
        ("detect", ("none", "client_secret_post"), None, ("post",)),
        ("detect", ("private_key_jwt",), None, ("post", "basic")),
        ("detect", (), "rubbish", ("post", "basic")),
    ],
)
def test_d4_detect_follows_metadata_then_memory_then_post_and_basic(configured, metadata, remembered, tries):
    assert methods_to_try(configured, metadata, remembered) == tries


def test_a_method_that_is_not_offered_is_refused():
    with pytest.raises(ValueError, match="mtls"):
        methods_to_try("mtls", None, None)


KEY = jose.new_key("ES256")
ISSUER = "https://server.example.com"


def assertion_of(credentials: ClientCredentials) -> tuple[dict, dict, dict]:
    form, headers = authenticate(
        {"grant_type": "x", "client_secret": "no"}, Headers.of({"Authorization": "no"}), credentials
    )
    assert headers.get("Authorization") is None
    assert "client_secret" not in form
    assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    header, claims = (json.loads(base64.urlsafe_b64decode(p + "==")) for p in form["client_assertion"].split(".")[:2])
    return form, header, claims


@pytest.mark.parametrize(
    ("method", "secret", "header"),
    [
        ("private_key_jwt", KEY, {"alg": "ES256", "kid": jose.key_id(KEY), "typ": "JWT"}),
        ("client_secret_jwt", "s" * 32, {"alg": "HS256"}),
    ],
)
def test_d6_an_assertion_is_short_lived_for_the_issuer_alone_and_never_the_same(method, secret, header):
    credentials = ClientCredentials("me", secret, method, audience=ISSUER, issued_at=1000.9)
    form, found, claims = assertion_of(credentials)
    assert found == header
    assert claims.pop("jti") != assertion_of(credentials)[2]["jti"]
    assert claims == {"iss": "me", "sub": "me", "aud": ISSUER, "iat": 1000, "exp": 1060}
    assert form["client_id"] == "me"
    assert secret not in repr(credentials) + str(form)


@pytest.mark.parametrize("method", ["private_key_jwt", "client_secret_jwt"])
def test_d6_authlib_reads_the_assertion(method):
    secret = KEY if method == "private_key_jwt" else "s" * 32
    form, _, claims = assertion_of(ClientCredentials("me", secret, method, audience=ISSUER))
    key = jose.public_key(KEY, algorithm="ES256") if method == "private_key_jwt" else secret
    found = verified(form["client_assertion"], key)
    assert found.pop("jti")
    assert found == {name: value for name, value in claims.items() if name != "jti"}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"client_secret": KEY, "audience": None}, "audience"),
        ({"client_secret": KEY, "audience": ISSUER, "algorithm": "RS256"}, "does not fit"),
        ({"client_secret": None, "audience": ISSUER}, "needs a client secret"),
    ],
)
def test_what_cannot_sign_is_refused_when_it_is_made(values, words):
    with pytest.raises(ValueError, match=words):
        ClientCredentials(client_id="me", method="private_key_jwt", **values)


def test_a_signature_is_never_probed():
    assert methods_to_try("private_key_jwt", None, "basic") == ("private_key_jwt",)
    assert methods_to_try("detect", None, "private_key_jwt") == ("post", "basic")
