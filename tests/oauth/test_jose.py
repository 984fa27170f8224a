"""Keys and signatures, with Authlib as the reader on the other side."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from keyturn.oauth import jose
from oauth_answers import verified

CLAIMS = {"iss": "s6BhdRkqt3", "exp": 60}


def pem(key) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize("algorithm", [name for name in jose.ALGORITHMS if name != "Ed25519"])
def test_what_we_sign_others_verify(algorithm):
    key = jose.new_key(algorithm)
    public = jose.public_key(key, algorithm=algorithm)
    token = jose.signed(CLAIMS, {"alg": algorithm, "kid": public["kid"]}, key)
    assert verified(token, public) == CLAIMS
    assert public["use"] == "sig"
    assert "d" not in public


def test_ed25519_is_verified_by_its_public_key():
    import base64

    key = jose.new_key("Ed25519")
    head, body, signature = jose.signed(CLAIMS, {"alg": "Ed25519"}, key).split(".")
    raw = base64.urlsafe_b64decode(jose.public_key(key)["x"] + "==")
    public = ed25519.Ed25519PublicKey.from_public_bytes(raw)
    public.verify(base64.urlsafe_b64decode(signature + "=="), f"{head}.{body}".encode())


def test_d7_a_secret_signs_by_hs256_and_a_short_one_does_not():
    secret = "s" * 32
    assert verified(jose.signed_with_secret(CLAIMS, secret), secret) == CLAIMS
    with pytest.raises(jose.KeyProblem, match="at least 32"):
        jose.signed_with_secret(CLAIMS, "s" * 31)


@pytest.mark.parametrize(
    ("made", "algorithm"),
    [
        (lambda: rsa.generate_private_key(65537, 2048), "RS256"),
        (lambda: ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (lambda: ec.generate_private_key(ec.SECP384R1()), "ES384"),
        (ed25519.Ed25519PrivateKey.generate, "Ed25519"),
    ],
)
def test_a_pem_becomes_a_jwk_and_its_public_half_is_refused(made, algorithm):
    key = made()
    text = jose.private_key(pem(key))
    assert next(name for name in jose.ALGORITHMS if jose.fits(text, name)) == algorithm
    assert json.loads(text)["kid"] == jose.thumbprint(text)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(jose.KeyProblem, match="not the private key"):
        jose.private_key(public)


def test_a_jwk_keeps_its_own_kid():
    key = json.loads(jose.new_key()) | {"kid": "mine"}
    assert json.loads(jose.private_key(json.dumps(key)))["kid"] == "mine"
    assert jose.private_key(jose.new_key()).startswith("{")


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "{", "x" * 50, '{"kty":"oct","k":"c2VjcmV0"}', '{"kty":["EC"]}', '{"kty":"EC","crv":"P-256","x":1}',
     '{"kty":"RSA","n":"AA","e":"AQAB","d":"AA"}', '{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":"AA"}',
     '{"a":' * 20_000],
)  # fmt: skip
def test_what_is_no_private_key_is_refused_in_words(text):
    with pytest.raises(jose.KeyProblem, match="no private key"):
        jose.private_key(text)


@given(
    st.text(max_size=200) | st.recursive(st.none() | st.text(), lambda x: st.dictionaries(st.text(), x)).map(json.dumps)
)
def test_any_text_is_a_key_or_a_problem_without_it(text):
    with pytest.raises(jose.KeyProblem) as caught:
        jose.private_key(text)
    assert len(text) < 12 or text not in str(caught.value)


def test_a_weak_rsa_key_is_refused():
    with pytest.raises(jose.KeyProblem, match="2048"):
        jose.private_key(pem(rsa.generate_private_key(65537, 1024)))


def test_a_key_signs_only_as_it_can():
    with pytest.raises(jose.KeyProblem, match="does not fit RS256"):
        jose.signed(CLAIMS, {"alg": "RS256"}, jose.new_key("ES256"))
