"""DPoP proofs, read by Authlib and against the example of the RFC."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.oauth import dpop, jose
from keyturn.wire import Request
from oauth_answers import answer, verified

KEY = dpop.new_dpop_key()
NONCE = {"DPoP_Nonce": "n-1"}


def parts_of(token: str) -> tuple[dict, dict]:
    head, body, _ = token.split(".")
    return tuple(json.loads(base64.urlsafe_b64decode(part + "==")) for part in (head, body))


def test_a_proof_for_the_token_endpoint():
    header, claims = parts_of(
        dpop.proof(KEY, method="POST", url="HTTPS://Server.example.com/token?a=b#c", issued_at=1562262616.9)
    )
    assert header == {"typ": "dpop+jwt", "alg": "ES256", "jwk": jose.public_key(KEY)}
    assert set(header["jwk"]) == {"kty", "crv", "x", "y"}
    assert len(claims.pop("jti")) >= 24
    assert claims == {"htm": "POST", "htu": "https://server.example.com/token", "iat": 1562262616}


def test_j7_a_proof_for_the_api_holds_the_tokens_hash_and_the_nonce():
    token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
    made = dpop.proof(KEY, method="GET", url="https://r.example.org", issued_at=1, access_token=token, nonce="n")
    _, claims = parts_of(made)
    # RFC 9449 §7.1 has this very token and its hash.
    assert claims["ath"] == "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"
    assert claims["nonce"] == "n"
    assert claims["htu"] == "https://r.example.org/"
    assert hashlib.sha256(token.encode()).digest() == base64.urlsafe_b64decode(claims["ath"] + "=")


def test_j7_another_implementation_verifies_it():
    made = dpop.proof(KEY, method="POST", url="https://r.example.org/x", issued_at=1)
    header, claims = parts_of(made)
    assert verified(made, header["jwk"]) == claims


def test_every_proof_is_new_and_takes_the_place_of_the_one_before():
    request = Request("POST", "https://r.example.org/x")
    first = dpop.with_proof(request, KEY, issued_at=1)
    second = dpop.with_proof(first, KEY, issued_at=1)
    assert len(second.headers.get_all("dpop")) == 1
    assert first.headers.get("DPoP") != second.headers.get("DPoP")


@pytest.mark.parametrize(
    ("response", "wanted"),
    [
        (answer({"error": "use_dpop_nonce"}, 400, **NONCE), True),
        (answer({}, 401, WWW_Authenticate='DPoP error="use_dpop_nonce"', **NONCE), True),
        (answer(b"", 401, WWW_Authenticate='Bearer realm="x", DPoP error="use_dpop_nonce"', **NONCE), True),
        (answer({"error": "use_dpop_nonce"}, 400), False),
        (answer({"error": "use_dpop_nonce"}, 400, DPoP_Nonce="a b"), False),
        (answer({"error": "use_dpop_nonce"}, 400, DPoP_Nonce="x" * 1001), False),
        (answer({"error": "invalid_grant"}, 400, **NONCE), False),
        (answer(b"<html>", 401, **NONCE), False),
        (answer({"error": "use_dpop_nonce"}, 200, **NONCE), False),
    ],
)
def test_a_nonce_is_asked_for_only_so(response, wanted):
    assert dpop.wants_nonce(response) is wanted


@given(st.text(st.characters(max_codepoint=255), max_size=50), st.binary(max_size=50), st.sampled_from([400, 401]))
def test_no_answer_breaks_it(nonce, body, status):
    found = answer(body, status, DPoP_Nonce=nonce, WWW_Authenticate=nonce)
    assert dpop.wants_nonce(found) in {True, False}
