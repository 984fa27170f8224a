"""Token requests, byte by byte."""

from __future__ import annotations

import base64
import json
from urllib.parse import parse_qsl, urlsplit

from authlib.oauth2.rfc6749.parameters import prepare_token_request
from hypothesis import given
from hypothesis import strategies as st

from keyturn.oauth.client_auth import ClientCredentials
from keyturn.oauth.grants import (
    authorization_code_request,
    client_credentials_request,
    made_up_code_request,
    refresh_token_request,
)
from keyturn.oauth.quirks import Advanced
from keyturn.oauth.server import AuthorizationServer
from keyturn.wire import Request
from oauth_answers import lists_of

SERVER = AuthorizationServer("https://server.example.com/authorize", "https://server.example.com/token")
BASIC = ClientCredentials("s6BhdRkqt3", "gX1fBat3bV", "basic")
POST = ClientCredentials("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw", "post")
NONE = ClientCredentials("s6BhdRkqt3", None, "none")
REDIRECT = "https://client.example.com/cb"
texts = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=30)


def form_of(request: Request) -> dict[str, str]:
    pairs = parse_qsl((request.body or b"").decode("ascii"), keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def exchange(credentials=BASIC, advanced=None, code="SplxlOBeZQQYbYS6WxSbIA", verifier=None) -> Request:
    return authorization_code_request(
        SERVER,
        credentials,
        code=code,
        redirect_uri=REDIRECT,
        code_verifier=verifier,
        advanced=Advanced.model_validate(advanced or {}),
    )


def test_a5_d1_the_rfc_6749_code_exchange():
    request = exchange()
    assert request.method == "POST"
    assert request.url == "https://server.example.com/token"
    assert request.headers.get("Authorization") == "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW"
    assert request.headers.get("Content-Type") == "application/x-www-form-urlencoded"
    assert request.headers.get("Accept") == "application/json"
    assert request.body == (
        b"grant_type=authorization_code&code=SplxlOBeZQQYbYS6WxSbIA&redirect_uri=https%3A%2F%2Fclient.example.com%2Fcb"
    )


def test_f6_the_rfc_6749_refresh_by_body():
    request = refresh_token_request(SERVER, POST, refresh_token="tGzv3JOkF0XG5Qx2TlKWIA", scopes=("read",))
    assert request.body == (
        b"grant_type=refresh_token&refresh_token=tGzv3JOkF0XG5Qx2TlKWIA"
        b"&client_id=s6BhdRkqt3&client_secret=7Fjfp0ZBr1KtDRbnfVdmIw"
    )
    assert request.headers.get("Authorization") is None


def test_the_rfc_6749_client_credentials():
    request = client_credentials_request(SERVER, BASIC)
    assert request.body == b"grant_type=client_credentials"
    assert form_of(client_credentials_request(SERVER, BASIC, scopes=("a", "b")))["scope"] == "a b"


@given(texts, texts)
def test_the_body_is_authlibs_for_any_code_and_verifier(code, verifier):
    theirs = prepare_token_request(
        "authorization_code", "", REDIRECT, code=code, code_verifier=verifier, client_id=NONE.client_id
    )
    ours = (exchange(NONE, code=code, verifier=verifier).body or b"").decode()
    assert sorted(ours.split("&")) == sorted(theirs.split("&"))


@given(texts, st.lists(texts, max_size=3))
def test_a_refresh_is_authlibs_for_any_token_and_scopes(token, scopes):
    theirs = prepare_token_request(
        "refresh_token",
        "",
        refresh_token=token,
        scope=list(scopes),
        client_id=POST.client_id,
        client_secret=POST.client_secret,
    )
    advanced = Advanced.model_validate({"refresh": {"send_scope": True}})
    request = refresh_token_request(SERVER, POST, refresh_token=token, scopes=scopes, advanced=advanced)
    assert sorted((request.body or b"").decode().split("&")) == sorted(theirs.split("&"))


def test_d2_secrets_are_in_no_url_and_no_repr():
    request = exchange(POST, verifier="v" * 43)
    shown = repr(request) + request.url
    for secret in ("SplxlOBeZQQYbYS6WxSbIA", "7Fjfp0ZBr1KtDRbnfVdmIw", "v" * 43):
        assert secret not in shown


def test_a_json_body():
    request = exchange(POST, {"token": {"body": "json"}})
    assert request.headers.get("Content-Type") == "application/json"
    assert json.loads(request.body or b"")["client_secret"] == POST.client_secret


def test_parameters_in_the_query_by_post_or_get_only_where_set():
    posted = exchange(NONE, {"token": {"body": "query"}})
    got = exchange(NONE, {"token": {"method": "GET"}})
    assert (posted.method, got.method) == ("POST", "GET")
    assert posted.url == got.url
    assert posted.body is None
    assert dict(parse_qsl(urlsplit(got.url).query))["code"] == "SplxlOBeZQQYbYS6WxSbIA"
    assert got.headers.get("Content-Type") is None


def test_extra_renamed_and_left_out_parameters_and_headers():
    request = exchange(
        POST,
        {
            "token": {
                "params": {"context": "x", "client_id": "never", "empty": ""},
                "rename": {"client_id": "client_key", "code": "auth_code", "grant_type": None},
                "omit": ["redirect_uri"],
                "headers": {"User-Agent": "me", "X-Api-Key": "k"},
            }
        },
    )
    assert form_of(request) == {
        "auth_code": "SplxlOBeZQQYbYS6WxSbIA",
        "client_key": "s6BhdRkqt3",
        "client_secret": POST.client_secret,
        "context": "x",
    }
    assert request.headers.get("user-agent") == "me"
    assert request.headers.get("x-api-key") == "k"


def test_refresh_has_its_own_url_and_parameters():
    advanced = Advanced.model_validate(
        {"token": {"params": {"a": "1"}}, "refresh": {"url": "https://r.example/t?x=1", "params": {"b": "2"}}}
    )
    request = refresh_token_request(SERVER, NONE, refresh_token="r", advanced=advanced)
    assert request.url == "https://r.example/t?x=1"
    assert form_of(request) == {
        "grant_type": "refresh_token",
        "refresh_token": "r",
        "b": "2",
        "client_id": "s6BhdRkqt3",
    }


def test_basic_follows_the_settings():
    request = exchange(
        ClientCredentials("id", "a b", "basic"), {"token": {"basic_encoding": "raw", "basic_user": "secret"}}
    )
    assert base64.b64decode((request.headers.get("Authorization") or "").removeprefix("Basic ")) == b"a b:"


def test_d10_a_made_up_code_is_new_each_time_and_has_a_verifier_unless_pkce_is_off():
    first, second = (form_of(made_up_code_request(SERVER, POST, redirect_uri=REDIRECT)) for _ in range(2))
    assert first["grant_type"] == "authorization_code"
    assert first["code"] != second["code"]
    assert len(first["code_verifier"]) == 43
    off = Advanced.model_validate({"authorize": {"pkce": "off"}})
    assert "code_verifier" not in form_of(made_up_code_request(SERVER, POST, redirect_uri=REDIRECT, advanced=off))


def test_j4_resources_are_in_every_request_for_a_token_each_by_itself():
    advanced = Advanced(resources=("https://a.example", "urn:b"))
    requests = (
        exchange(NONE, {"resources": ["https://a.example", "urn:b"]}),
        refresh_token_request(SERVER, NONE, refresh_token="r", advanced=advanced),
        client_credentials_request(SERVER, NONE, advanced=advanced),
    )
    for request in requests:
        assert lists_of(request)["resource"] == ["https://a.example", "urn:b"]
    got = exchange(NONE, {"token": {"method": "GET"}, "resources": ["https://a.example", "urn:b"]})
    assert "resource=https%3A%2F%2Fa.example&resource=urn%3Ab" in got.url
    left_out = exchange(NONE, {"token": {"omit": ["resource"]}, "resources": ["urn:b"]})
    assert "resource" not in lists_of(left_out)
