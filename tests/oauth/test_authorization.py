"""Authorization requests and what comes back."""

from __future__ import annotations

import contextlib
import dataclasses
from urllib.parse import parse_qsl, urlsplit

import pytest
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from hypothesis import given
from hypothesis import strategies as st

from keyturn.oauth.authorization import (
    authorization_parameters,
    authorization_url,
    challenge,
    check_iss,
    new_attempt,
    new_nonce,
    new_state,
    new_verifier,
    parse_callback,
)
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.quirks import Advanced
from keyturn.oauth.server import AuthorizationServer

SERVER = AuthorizationServer("https://server.example.com/authorize", "https://server.example.com/token")
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=30)


def url_of(url: str = SERVER.authorization_url, advanced: Advanced | None = None, **changes) -> str:
    values = {
        "client_id": "s6BhdRkqt3",
        "redirect_uri": "https://client.example.com/cb",
        "scopes": ("read", "write"),
        "state": "xyz",
        "code_challenge": CHALLENGE,
        **changes,
    }
    server = dataclasses.replace(SERVER, authorization_url=url, code_challenge_methods=values.pop("methods", None))
    advanced = advanced or Advanced()
    return authorization_url(server, authorization_parameters(server, advanced=advanced, **values), advanced=advanced)


def query_of(url: str) -> dict[str, str]:
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    assert len(dict(pairs)) == len(pairs), "a parameter is there twice"
    return dict(pairs)


def test_c1_the_challenge_of_rfc_7636_appendix_b():
    assert challenge(VERIFIER) == CHALLENGE == create_s256_code_challenge(VERIFIER)


def test_b1_c1_verifiers_states_and_nonces_are_new_each_time_and_of_the_right_length():
    made = {make() for make in (new_verifier, new_state, new_nonce) for _ in range(400)}
    assert len(made) == 1200
    assert all(43 <= len(value) <= 128 and value.replace("-", "").replace("_", "").isalnum() for value in made)


def test_a1_the_rfc_6749_example_request():
    assert query_of(url_of()) == {
        "response_type": "code",
        "client_id": "s6BhdRkqt3",
        "redirect_uri": "https://client.example.com/cb",
        "scope": "read write",
        "state": "xyz",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }


@given(st.lists(texts.filter(lambda t: t and not t.isspace()), max_size=4), texts.filter(bool), texts.filter(bool))
def test_a3_the_server_decodes_what_authlib_would_have_sent(scopes, state, client_id):
    theirs = prepare_grant_uri(
        SERVER.authorization_url,
        client_id,
        "code",
        "https://client.example.com/cb",
        " ".join(scopes) or None,
        state,
        code_challenge=CHALLENGE,
        code_challenge_method="S256",
    )
    ours = url_of(scopes=scopes, state=state, client_id=client_id)
    assert query_of(ours) == query_of(theirs)
    assert ours.isascii()
    assert "+" not in ours


def test_a2_a_registered_query_is_kept_to_the_letter_and_ours_is_there_once():
    url = url_of("https://server.example.com/authorize?tenant=a%2Fb&flag&scope=old&&client%5Fid=x")
    assert url.startswith("https://server.example.com/authorize?tenant=a%2Fb&flag&response_type=code")
    assert query_of(url)["scope"] == "read write"
    assert query_of(url)["client_id"] == "s6BhdRkqt3"


def test_a3_empty_parameters_are_left_out():
    url = url_of(scopes=(), nonce=None, advanced=Advanced.model_validate({"authorize": {"params": {"prompt": ""}}}))
    assert not {"scope", "nonce", "prompt"} & query_of(url).keys()


def test_a_nonce_is_sent():
    assert query_of(url_of(nonce="n-1"))["nonce"] == "n-1"


def test_settings_add_rename_and_drop_parameters():
    advanced = Advanced.model_validate(
        {
            "authorize": {
                "scope_separator": ",",
                "params": {"access_type": "offline", "client_id": "never", "client_key": "never", "scope": "never"},
                "rename": {"client_id": "client_key", "state": "payload", "response_type": None},
            }
        }
    )
    query = query_of(url_of(advanced=advanced))
    assert query["client_key"] == "s6BhdRkqt3"
    assert query["payload"] == "xyz"
    assert query["access_type"] == "offline"
    assert query["scope"] == "read,write"
    assert not {"client_id", "state", "response_type"} & query.keys()


def test_c3_pkce_is_left_out_only_where_the_settings_say_so():
    off = Advanced.model_validate({"authorize": {"pkce": "off"}})
    assert "code_challenge" not in query_of(url_of(advanced=off))
    with pytest.raises(OAuthError, match="pkce_required"):
        url_of(code_challenge=None)


def test_c2_a_server_that_lists_only_plain_is_refused():
    with pytest.raises(OAuthError) as caught:
        url_of(methods=("plain",))
    assert caught.value.error == "pkce_unsupported"
    assert "code_challenge_method=S256" in url_of(methods=("plain", "S256"))


def test_a2_a_fragment_is_refused_unless_allowed_and_then_the_parameters_stand_behind_it():
    with pytest.raises(OAuthError, match="fragment"):
        url_of("https://server.example.com/#/login")
    advanced = Advanced.model_validate({"authorize": {"fragment": True}})
    assert url_of("https://server.example.com/#/login?a=b", advanced).startswith(
        "https://server.example.com/#/login?a=b&response_type=code&"
    )


def test_an_attempt_has_what_its_settings_want():
    plain = new_attempt("https://c.example/cb", ("read",))
    assert plain.code_verifier
    assert plain.nonce is None
    with_openid = new_attempt("https://c.example/cb", ("openid",))
    assert with_openid.nonce
    advanced = Advanced.model_validate({"authorize": {"pkce": "off", "nonce": True}})
    odd = new_attempt("https://c.example/cb", (), advanced=advanced)
    assert odd.code_verifier is None
    assert odd.nonce
    for secret in (plain.state, plain.code_verifier, with_openid.nonce):
        assert secret not in repr(plain) + repr(with_openid)


def test_the_rfc_6749_example_answer():
    answer = parse_callback([("code", "SplxlOBeZQQYbYS6WxSbIA"), ("state", "xyz"), ("unknown", "x")])
    assert (answer.code, answer.state, answer.error, answer.extra) == ("SplxlOBeZQQYbYS6WxSbIA", "xyz", None, {})
    assert "Splxl" not in repr(answer)
    assert "xyz" not in repr(answer)


def test_an_error_answer():
    answer = parse_callback({"error": ["access_denied"], "state": "xyz", "error_description": "<b>", "error_uri": "u"})
    assert (answer.error, answer.error_description, answer.error_uri) == ("access_denied", "<b>", "u")
    assert answer.code is None


def test_names_of_the_answer_follow_the_settings():
    advanced = Advanced.model_validate(
        {"callback": {"code": "spapi_oauth_code", "state": "payload", "decode": True, "keep": ["realmId", "none"]}}
    )
    answer = parse_callback(
        [("spapi_oauth_code", "a%2Fb"), ("payload", "s"), ("realmId", "7"), ("state", "no")], advanced
    )
    assert (answer.code, answer.state, answer.extra) == ("a/b", "s", {"realmId": "7"})


@pytest.mark.parametrize("name", ["code", "state", "iss", "error"])
@pytest.mark.parametrize("first", ["", "a"])
def test_a_parameter_that_is_there_twice_is_refused(name, first):
    with pytest.raises(OAuthError, match="twice"):
        parse_callback([(name, first), (name, "b")])
    with pytest.raises(OAuthError, match="twice"):
        parse_callback({name: [first, "b"]})


def test_unknown_parameters_may_repeat_and_empty_ones_count_as_missing():
    answer = parse_callback([("x", "1"), ("x", "2"), ("code", "c"), ("error", ""), ("iss", "")])
    assert (answer.code, answer.error, answer.iss) == ("c", None, None)


def test_a_code_together_with_an_error_is_refused():
    with pytest.raises(OAuthError, match="a code and an error"):
        parse_callback([("code", "c"), ("error", "access_denied")])


def test_b7_long_codes_pass_and_endless_ones_do_not():
    assert len(parse_callback([("code", "c" * 8192)]).code or "") == 8192
    with pytest.raises(OAuthError, match="too long"):
        parse_callback([("code", "c" * 20_000)])
    with pytest.raises(OAuthError, match="too long"):
        parse_callback([(f"x{number}", "") for number in range(101)])


@given(st.lists(st.tuples(st.sampled_from(["code", "state", "error", "iss"]) | texts, texts), max_size=120))
def test_any_answer_is_read_or_refused(pairs):
    with contextlib.suppress(OAuthError):
        parse_callback(pairs)


ISSUER = dataclasses.replace(SERVER, issuer="https://honest.as.example", iss_required=True)


@pytest.mark.parametrize(
    ("server", "iss", "good"),
    [
        (ISSUER, "https://honest.as.example", True),
        (ISSUER, "https://honest.as.example/", False),
        (ISSUER, "https://HONEST.as.example", False),
        (ISSUER, "https://attacker.example", False),
        (ISSUER, None, False),
        (dataclasses.replace(ISSUER, iss_required=False), None, True),
        (dataclasses.replace(ISSUER, iss_required=False), "https://attacker.example", False),
        (SERVER, "https://whoever.example", True),
        (SERVER, None, True),
    ],
)
def test_k2_iss_is_compared_to_the_letter_and_needed_if_promised(server, iss, good):
    pairs = [("code", "c")] + ([("iss", iss)] if iss else [])
    if good:
        check_iss(parse_callback(pairs), server)
    else:
        with pytest.raises(OAuthError, match="invalid_issuer"):
            check_iss(parse_callback(pairs), server)
