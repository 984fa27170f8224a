"""ID tokens and UserInfo: what OIDC Core wants checked is checked, one thing wrong at a time."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from joserfc.jws import JWSRegistry

from keyturn.oauth import jose
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.id_tokens import (
    UnknownKey,
    identity_of,
    keys_request,
    process_keys,
    process_userinfo,
    userinfo_request,
    verified,
)
from keyturn.wire import Response

NOW = 1_800_000_000.0
ISSUER = "https://login.acme.example"
ALGORITHMS = ("RS256", "PS256", "ES256", "Ed25519")
PRIVATE = {name: jose.new_key(name) for name in ALGORITHMS}
PUBLIC = [jose.public_key(key, algorithm=name) for name, key in PRIVATE.items()]
CLAIMS = {
    "iss": ISSUER,
    "aud": "keyturn",
    "sub": "u-1",
    "nonce": "n",
    "exp": NOW + 60,
    "iat": NOW,
    "email": "a@acme.com",
}
GONE = object()


def signed(algorithm: str = "ES256", header: dict | None = None, **changes) -> str:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not GONE}
    key = PRIVATE[algorithm]
    head = {"alg": algorithm, "kid": jose.key_id(key), **(header or {})}
    return jose.signed(claims, {name: value for name, value in head.items() if value is not None}, key)


def check(token: str, keys=PUBLIC, **changes):
    return verified(token, keys, **{"issuer": ISSUER, "client_id": "keyturn", "nonce": "n", "now": NOW, **changes})


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_r6_each_algorithm_of_ours_is_verified_by_the_published_key(algorithm):
    assert check(signed(algorithm))["sub"] == "u-1"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"iss": "https://evil.example"}, "iss"),
        ({"iss": f"{ISSUER}/"}, "iss"),
        ({"aud": "another"}, "aud"),
        ({"aud": []}, "aud"),
        ({"aud": GONE}, "aud"),
        ({"aud": ["keyturn", "another"]}, "azp"),
        ({"azp": "another"}, "azp"),
        ({"exp": NOW - 60}, "exp"),
        ({"exp": GONE}, "exp"),
        ({"exp": "soon"}, "exp"),
        ({"exp": True}, "exp"),
        ({"iat": GONE}, "iat"),
        ({"iat": NOW + 61}, "iat"),
        ({"nbf": NOW + 61}, "nbf"),
        ({"nbf": "now"}, "nbf"),
        ({"nonce": "another"}, "nonce"),
        ({"nonce": GONE}, "nonce"),
        ({"nonce": 7}, "nonce"),
        ({"sub": GONE}, "sub"),
        ({"sub": ""}, "sub"),
        ({"sub": "x" * 256}, "sub"),
        ({"sub": "a\x00b"}, "sub"),
        ({"sub": 7}, "sub"),
    ],
)
def test_r6_what_is_not_for_us_or_not_for_now_is_refused(changes, word):
    with pytest.raises(OAuthError, match=rf"\({word}\)"):
        check(signed(**changes))


def test_a_minute_of_different_clocks_is_borne_and_several_audiences_with_azp():
    assert check(signed(exp=NOW - 59))
    assert check(signed(iat=NOW + 59))
    assert check(signed(nbf=NOW + 59))
    assert check(signed(nbf=0))
    assert check(signed(aud=["keyturn", "another"], azp="keyturn"))


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_r6_nothing_unsigned_or_signed_with_a_shared_secret_passes():
    registry = JWSRegistry(algorithms=["none", "HS256"])
    unsigned = jwt.encode({"alg": "none"}, CLAIMS, OctKey.import_key("x" * 32), registry=registry)
    # The public key as the secret: whoever reads it could sign (RFC 8725 §2.1).
    secret = OctKey.import_key(json.dumps(PUBLIC[0]))
    confused = jwt.encode({"alg": "HS256", "kid": PUBLIC[0]["kid"]}, CLAIMS, secret, registry=registry)
    for token in (unsigned, confused):
        with pytest.raises(OAuthError, match="signed by"):
            check(token)


def test_r6_a_signature_of_another_key_or_over_other_claims_is_refused():
    other = jose.new_key("ES256")
    forged = jose.signed(CLAIMS, {"alg": "ES256", "kid": PUBLIC[2]["kid"]}, other)
    head, _, signature = signed().split(".")
    changed = f"{head}.{signed(sub='u-2').split('.')[1]}.{signature}"
    for token in (forged, changed, signed(header={"kid": "gone"})):
        with pytest.raises(UnknownKey):
            check(token)
    with pytest.raises(UnknownKey):
        check(signed(), [{**PUBLIC[2], "alg": "ES384"}])


def test_a_key_without_an_id_and_a_token_without_one_are_tried():
    bare = [{name: value for name, value in key.items() if name not in {"kid", "alg", "use"}} for key in PUBLIC]
    assert check(signed(header={"kid": None}), bare)
    assert check(signed(), bare)


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_a_short_rsa_key_signs_nothing():
    weak = RSAKey.generate_key(1024, private=True)
    token = jwt.encode({"alg": "RS256"}, CLAIMS, weak, registry=JWSRegistry(algorithms=["RS256"]))
    with pytest.raises(UnknownKey):
        check(token, [weak.as_dict(private=False)])


def test_an_extension_that_must_be_understood_and_is_not_is_refused():
    head = base64.urlsafe_b64encode(json.dumps({"alg": "ES256", "crit": ["exp2"], "exp2": 1}).encode()).decode()
    with pytest.raises(OAuthError):
        check(f"{head.rstrip('=')}.{signed().partition('.')[2]}")


@given(
    st.text()
    | st.lists(st.text(st.sampled_from("eyJhbGciOiJ.=_-A9"), max_size=60), min_size=3, max_size=3).map(".".join)
)
def test_any_text_is_refused_in_our_words(token):
    with pytest.raises(OAuthError):
        check(token)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["kty", "alg", "kid", "use", "crv", "x", "y", "n", "e"]), json_values))
def test_any_key_is_passed_over(key):
    with pytest.raises(UnknownKey):
        check(signed(), [{"kty": "EC", **key}])


def test_a_key_set_is_read_and_what_is_none_is_refused():
    answer = {"keys": [PUBLIC[0], {"kty": "RSA", "use": "enc"}, "x", {"no": "kind"}]}
    assert process_keys(Response(200, body=json.dumps(answer).encode())) == (PUBLIC[0],)
    assert keys_request("https://i.example/jwks").method == "GET"
    for response in (Response(404, body=b"{}"), Response(200, body=b"<html>"), Response(200, body=b'{"keys": {}}')):
        with pytest.raises(OAuthError):
            process_keys(response)


def test_userinfo_adds_claims_about_the_same_person_alone():
    assert "secret-token" not in repr(userinfo_request("https://i.example/me", "secret-token"))
    claims = {"sub": "u-1", "name": "Ada"}
    answer = Response(200, body=b'{"sub": "u-1", "name": "Eve", "email": "ada@acme.com"}')
    assert process_userinfo(answer, claims) == {"sub": "u-1", "name": "Ada", "email": "ada@acme.com"}
    for body, status in ((b'{"sub": "u-2"}', 200), (b"{}", 200), (b"eyJ.x.y", 200), (b'{"sub": "u-1"}', 401)):
        with pytest.raises(OAuthError):
            process_userinfo(Response(status, body=body), claims)


@pytest.mark.parametrize(
    ("given", "email", "unverified"),
    [
        ({"email": " Ada@Acme.com ", "email_verified": True}, "ada@acme.com", False),
        ({"email": "ada@acme.com", "email_verified": "true"}, "ada@acme.com", False),
        ({"email": "\u212aIM@acme.com", "email_verified": True}, "\u212aim@acme.com", False),
        ({"email": " ", "email_verified": True}, None, False),
        ({"email": "ada@acme.com", "email_verified": False}, None, True),
        ({"email": "ada@acme.com", "email_verified": 1}, None, True),
        ({"email": "ada@acme.com"}, None, True),
        ({"email": 7, "email_verified": True}, None, False),
        ({}, None, False),
    ],
)
def test_r6_an_address_counts_only_if_it_is_verified(given, email, unverified):
    found = identity_of({"iss": ISSUER, "sub": "u-1", "name": " Ada ", "auth_time": 5, **given})
    assert (found.email, found.unverified_email) == (email, unverified)
    assert (found.subject, found.name, found.authenticated_at) == ("u-1", "Ada", 5.0)
    assert "ada" not in repr(found).lower()
