"""Token responses, good, odd and bad."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.oauth.errors import OAuthError
from keyturn.oauth.quirks import Advanced
from keyturn.oauth.tokens import TokenSet, identity_of, lifetime, process_token_response
from keyturn.wire import Headers, Response

NOW = 1_700_000_000.0
RFC = {
    "access_token": "2YotnFZFEjr1zCsicMWpAA",
    "token_type": "Bearer",
    "expires_in": 3600,
    "refresh_token": "tGzv3JOkF0XG5Qx2TlKWIA",
    "example_parameter": "example_value",
}
NOTHING = object()


def respond(body: object = None, *, status: int = 200, content_type: str = "application/json", **changes) -> Response:
    if body is None:
        body = {name: value for name, value in {**RFC, **changes}.items() if value is not NOTHING}
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, Headers.of({"Content-Type": content_type}), raw)


def read(response: Response, **response_settings) -> TokenSet:
    return process_token_response(response, Advanced.model_validate({"response": response_settings}), now=NOW)


def refused(response: Response, **response_settings) -> OAuthError:
    with pytest.raises(OAuthError) as caught:
        read(response, **response_settings)
    return caught.value


def test_the_rfc_6749_example_response():
    assert process_token_response(respond(), now=NOW) == TokenSet(
        access_token="2YotnFZFEjr1zCsicMWpAA",
        token_type="Bearer",
        expires_in_seconds=3600.0,
        refresh_token="tGzv3JOkF0XG5Qx2TlKWIA",
        scopes=None,
        refresh_token_expires_in_seconds=None,
        id_token=None,
        kept={},
    )


def test_repr_shows_no_token():
    tokens = read(respond(id_token="a.b.c", instance_url="https://i.example"), keep=["instance_url"])
    for secret in ("2Yotn", "tGzv3", "a.b.c", "https://i"):
        assert secret not in repr(tokens)


@pytest.mark.parametrize(
    "response",
    [
        respond(status=201),
        respond(content_type="text/html"),
        respond(content_type="text/plain"),
        respond(b"\xef\xbb\xbf" + json.dumps(RFC).encode()),
        respond(b"access_token=2YotnFZFEjr1zCsicMWpAA&token_type=bearer&expires_in=3600", content_type="text/plain"),
        respond(b"access_token=2YotnFZFEjr1zCsicMWpAA&token_type=Bearer&expires=3600\n"),
        respond(token_type="bEARER "),
    ],
)
def test_a_success_is_read_however_it_is_dressed(response):
    tokens = read(response)
    assert tokens.access_token == "2YotnFZFEjr1zCsicMWpAA"
    assert tokens.token_type == "Bearer"
    assert tokens.expires_in_seconds == 3600.0


@pytest.mark.parametrize(
    ("value", "settings", "life"),
    [
        ("3600", {}, 3600.0),
        (" 3600.5 ", {}, 3600.5),
        (NOTHING, {}, None),
        (None, {}, None),
        (0, {}, None),
        (-1, {}, None),
        (True, {}, None),
        ("NaN", {}, None),
        ("Infinity", {}, None),
        ("soon", {}, None),
        ([], {}, None),
        (10**400, {}, None),
        (11 * 365 * 86400, {}, None),
        (1_700_000_060, {}, 60.0),
        (1_700_000_060_000, {}, 60.0),
        ("1700000060", {}, 60.0),
        (1_600_000_000, {}, None),
        ("2023-11-14T22:14:20Z", {}, 60.0),
        ("2023-11-14T22:14:20", {}, 60.0),
        ("2023-11-15T00:14:20+02:00", {}, 60.0),
        ("0001-01-01T00:00:00+23:59", {}, None),
        (3_600_000, {"unit": "ms"}, 3600.0),
        ("3600000", {"unit": "ms"}, 3600.0),
        (1_700_000_060, {"kind": "at"}, 60.0),
        (1_700_000_060_000, {"kind": "at", "unit": "ms"}, 60.0),
        (60, {"kind": "at"}, None),
    ],
)
def test_e3_the_life_of_an_access_token_is_read_in_every_known_form(value, settings, life):
    assert read(respond(expires_in=value), expires=settings).expires_in_seconds == life


def test_a_time_of_expiry_may_stand_under_another_name():
    assert read(respond(expires_in=NOTHING, expires_at=1_700_000_060)).expires_in_seconds == 60.0
    assert read(respond(expires_in=NOTHING, expires="7200")).expires_in_seconds == 7200.0
    mapped = read(respond(expires_in=NOTHING, life=5, expires=7), fields={"expires_in": "life"})
    assert mapped.expires_in_seconds == 5.0


@pytest.mark.parametrize("name", ["refresh_token_expires_in", "refresh_expires_in"])
def test_f10_the_life_of_a_refresh_token(name):
    assert read(respond(**{name: 86400})).refresh_token_expires_in_seconds == 86400.0
    assert read(respond(**{name: 0})).refresh_token_expires_in_seconds is None
    mapped = read(respond(rt=7), fields={"refresh_token_expires_in": "rt"})
    assert mapped.refresh_token_expires_in_seconds == 7.0


@pytest.mark.parametrize("value", [NOTHING, None, "", 7, [], "x" * 70_000])
def test_f1_no_usable_refresh_token_means_keep_the_old_one(value):
    assert read(respond(refresh_token=value)).refresh_token is None


@pytest.mark.parametrize(
    ("value", "separator", "scopes"),
    [
        (NOTHING, " ", None),
        (None, " ", None),
        ("", " ", None),
        (7, " ", None),
        ([], " ", None),
        ("read write", " ", ("read", "write")),
        ("  read  read write\n", " ", ("read", "write")),
        (["read", "", 7, "write"], " ", ("read", "write")),
        ("read,write", " ", ("read", "write")),
        ("read, write", " ", ("read", "write")),
        ("a b,c", " ", ("a", "b,c")),
        ("read,write", ",", ("read", "write")),
        ("read+write", "+", ("read", "write")),
    ],
)
def test_e6_scopes_come_as_text_list_or_commas(value, separator, scopes):
    advanced = Advanced.model_validate({"authorize": {"scope_separator": separator}})
    assert process_token_response(respond(scope=value), advanced, now=NOW).scopes == scopes


@pytest.mark.parametrize("value", [NOTHING, None, "", "mac", "DPoP", "user", 7, ["Bearer"]])
def test_e2_an_odd_token_type_is_refused_unless_the_settings_ignore_it(value):
    error = refused(respond(token_type=value))
    assert (error.error, error.where, error.status) == ("unsupported_token_type", "token", 200)
    assert read(respond(token_type=value), token_type="ignore").token_type == "Bearer"


def test_nested_and_renamed_fields():
    body = {
        "ok": True,
        "authed_user": {"accessToken": "t", "tokenType": "bearer", "info": [{"life": "60"}], "scope": "a,b"},
        "team": {"id": "T1"},
        "refresh_token": "top",
    }
    tokens = read(
        respond(body),
        root="authed_user",
        fields={"access_token": "accessToken", "token_type": "tokenType", "expires_in": "info.0.life"},
        ok={"path": "ok", "equals": True},
        keep=["team.id", "missing", "team"],
    )
    assert (tokens.access_token, tokens.expires_in_seconds, tokens.scopes) == ("t", 60.0, ("a", "b"))
    assert tokens.refresh_token == "top"
    assert tokens.kept == {"team.id": "T1"}


@pytest.mark.parametrize(
    ("response", "settings", "error", "description"),
    [
        (respond({"error": "invalid_grant", "error_description": "used"}, status=400), {}, "invalid_grant", "used"),
        (respond({"error": "invalid_client"}, status=401), {}, "invalid_client", None),
        (respond({"error": "bad_verification_code", "error_uri": "u"}), {}, "bad_verification_code", None),
        (respond({**RFC, "error": "odd"}), {}, "odd", None),
        (respond(b"error=bad_refresh_token&error_description=x+y"), {}, "bad_refresh_token", "x y"),
        (respond({"error": {"message": "m", "type": "OAuthException", "code": 190}}, status=400), {}, "190", "m"),
        (respond({"error": {"error_description": "d"}}, status=400), {}, "error", "d"),
        (respond({"error": {}}, status=400), {}, "http_400", None),
        (respond({"errors": [{"errorType": "invalid_grant", "message": "m"}]}, status=400), {}, "invalid_grant", "m"),
        (respond({"errors": [None, "plain"]}, status=400), {}, "plain", None),
        (respond({"errors": []}, status=400), {}, "http_400", None),
        (respond({"error": True, "message": "m"}), {}, "error", "m"),
        (respond({"error": 0, "code": 7}, status=400), {}, "http_400", None),
        (respond({"message": "gone"}, status=404), {}, "http_404", "gone"),
        (respond({}, status=500), {}, "http_500", None),
        (respond({"ok": False, "error": "token_expired"}), {"ok": {"path": "ok", "equals": True}}, "token_expired", None),
        (respond({"ok": False}), {"ok": {"path": "ok", "equals": True}}, "not_ok", None),
        (respond({"ok": 1}), {"ok": {"path": "ok", "equals": True}}, "not_ok", None),
        (respond({"code": 0, **RFC}, status=400), {"ok": {"path": "code", "equals": "0"}}, "not_ok", None),
        (respond({"code": 105, "m": "x"}), {"ok": {"path": "code", "equals": 0}, "error": "code"}, "105", None),
        (respond({"a": {"b": "deep"}}, status=400), {"error": "a.b"}, "deep", None),
        (respond(b"", status=400), {}, "http_400", None),
        (respond(b"", status=200), {}, "malformed_response", None),
        (respond(b'{"access_token": "t"', status=200), {}, "malformed_response", None),
        (respond([RFC]), {}, "malformed_response", None),
        (respond(b"\xff\xfe"), {}, "malformed_response", None),
        (respond(b"[" * 100_000), {}, "malformed_response", None),
        (respond(b"&".join([b"access_token=x"] * 2000)), {}, "malformed_response", None),
        (respond(b"<!doctype html><b>Sign in</b>", content_type="text/html"), {}, "not_json", None),
        (respond(b" <html>", status=404, content_type="text/plain"), {}, "not_json", None),
        (respond(b"<html>", status=503), {}, "http_503", None),
        (respond(b"<html>", status=302), {}, "http_302", None),
        (respond(access_token=NOTHING), {}, "no_access_token", "The answer has no access token."),
        (respond(access_token=""), {}, "no_access_token", "The answer has no access token."),
        (respond(access_token=7), {}, "no_access_token", "The answer has no access token."),
        (respond(access_token="a\r\nb"), {}, "malformed_response", "The access token holds characters that no token may hold."),
        (respond(access_token="tökën"), {}, "malformed_response", "The access token holds characters that no token may hold."),
    ],
)  # fmt: skip
def test_e1_everything_else_is_an_error_with_a_code(response, settings, error, description):
    found = refused(response, **settings)
    assert (found.error, found.description, found.status, found.where) == (error, description, response.status, "token")


@pytest.mark.parametrize("error", [None, "", False, 0, "0", [], {}])
def test_an_empty_error_field_is_no_error(error):
    assert read(respond(error=error)).access_token == RFC["access_token"]


def test_an_error_field_beside_the_sign_of_success_is_no_error():
    body = {**RFC, "error": {"code": "ok", "message": ""}}
    assert read(respond(body), ok={"path": "error.code", "equals": "ok"}).access_token == RFC["access_token"]


def test_an_error_carries_retry_after():
    response = Response(429, Headers.of({"Retry-After": "9"}), b"{}")
    assert refused(response).retry_after == "9"


def test_b7_long_tokens_pass():
    assert len(read(respond(access_token="x" * 8192)).access_token) == 8192


def test_e5_kept_values_are_plain_and_bounded():
    tokens = read(respond(a="x", b=7, c=True, d={"e": 1}, f="y" * 5000), keep=["a", "b", "c", "d", "f", "d.e"])
    assert tokens.kept == {"a": "x", "b": 7, "c": True, "d.e": 1}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from([*RFC, "scope", "error", "errors", "id_token", "expires_at", "refresh_expires_in", "message"])
odd_settings = st.sampled_from(
    [
        {},
        {"root": "error", "keep": ["scope", "0"], "token_type": "ignore"},
        {"ok": {"path": "error", "equals": None}, "error": "errors.0", "expires": {"unit": "ms", "kind": "at"}},
        {"fields": {"access_token": "errors.0.a", "expires_in": "scope"}, "token_type": "ignore"},
    ]
)


def never_breaks(response: Response, settings: dict) -> None:
    try:
        tokens = read(response, **settings)
    except OAuthError:
        return
    assert tokens.access_token
    assert tokens.access_token not in repr(tokens) or len(tokens.access_token) < 12
    assert tokens.expires_in_seconds is None or 0 < tokens.expires_in_seconds <= 315360000


@given(st.integers(100, 599), st.binary(max_size=200), odd_settings)
def test_any_bytes_are_a_token_set_or_an_oauth_error(status, body, settings):
    never_breaks(respond(body, status=status), settings)


@given(st.integers(100, 599), st.dictionaries(fields, anything, max_size=6), st.booleans(), odd_settings)
def test_any_json_is_a_token_set_or_an_oauth_error(status, changes, whole, settings):
    never_breaks(respond({**(RFC if whole else {}), **changes}, status=status), settings)


def jwt(**claims) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{payload}.c2ln"


@pytest.mark.parametrize(
    ("token", "told", "configured", "life"),
    [
        ("opaque", 60.0, 3600.0, 60.0),
        ("opaque", None, 3600.0, 3600.0),
        ("opaque", None, None, None),
        (jwt(exp=NOW + 120), None, None, 120.0),
        (jwt(exp=NOW - 1), None, None, None),
        (jwt(exp="x"), None, None, None),
        ("a.!.c", None, None, None),
        ("a.W10.c", None, None, None),
    ],
)
def test_e4_a_life_is_the_servers_word_else_configured_else_in_the_token(token, told, configured, life):
    assert lifetime(TokenSet(token, expires_in_seconds=told), configured, now=NOW) == life


CLAIMS = {"iss": "https://i.example", "aud": "me", "exp": NOW + 10, "nonce": "n", "email": "ada@acme.com"}


@pytest.mark.parametrize(
    ("changes", "account"),
    [
        ({}, "ada@acme.com"),
        ({"aud": ["me"]}, "ada@acme.com"),
        ({"aud": ["me", "you"], "azp": "me"}, "ada@acme.com"),
        ({"aud": ["me", "you"]}, None),
        ({"aud": "you"}, None),
        ({"iss": "https://evil.example"}, None),
        ({"exp": NOW - 61}, None),
        ({"exp": None}, None),
        ({"nonce": "other"}, None),
        ({"email": "  ", "name": " Ada "}, "Ada"),
        ({"email": None}, None),
    ],
)
def test_e8_an_id_token_names_the_account_only_if_it_is_ours_and_fresh(changes, account):
    tokens = TokenSet("t", id_token=jwt(**{**CLAIMS, **changes}))
    assert identity_of(tokens, issuer="https://i.example", client_id="me", nonce="n", now=NOW) == account
    assert identity_of(tokens) is None


def test_a_kept_value_names_the_account():
    assert identity_of(TokenSet("t", kept={"username": "ada", "email": 7})) == "ada"
    assert identity_of(TokenSet("t")) is None
    broken = TokenSet("t", id_token="nonsense")
    assert identity_of(broken, issuer="i", client_id="c", now=NOW) is None


@pytest.mark.parametrize(("found", "asked", "taken"), [("DPoP", True, True), ("dpop", True, True), ("Bearer", True, False),
                                                       ("DPoP", False, False), (NOTHING, True, False)])  # fmt: skip
def test_j7_a_bound_token_is_taken_only_if_it_was_asked_for_and_never_downgraded(found, asked, taken):
    for extra in ({}, {"response": {"token_type": "ignore"}} if asked else {}):
        advanced, key = Advanced.model_validate(extra), "a key" if asked else None
        if taken:
            tokens = process_token_response(respond(token_type=found), advanced, now=NOW, dpop_key=key)
            assert (tokens.token_type, tokens.dpop_key) == ("DPoP", key)
        else:
            with pytest.raises(OAuthError, match="unsupported_token_type"):
                process_token_response(respond(token_type=found), advanced, now=NOW, dpop_key=key)
