"""Whatever a server answers and whatever is set, only errors of ours come out, and no secret in any of their words."""

from __future__ import annotations

import json
import os

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from keyturn import redaction
from keyturn.oauth.authorization import check_iss, parse_callback
from keyturn.oauth.errors import OAuthError, classify
from keyturn.oauth.quirks import Advanced
from keyturn.oauth.tokens import identity_of, lifetime, process_token_response
from keyturn.wire import Headers, Response
from oauth_answers import SERVER

# With the callbacks through the web layer these are more than 100,000 cases in `make soak`.
SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
CASES = 40_000 if SOAK else 200
NOW = 1_800_000_000.0
SECRET = "canary-planted-secret-5e81c0"


def names_in(model: type[BaseModel]) -> set[str]:
    """Every field of a model and of what it holds."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        found.add(name)
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                found |= names_in(inner)
    return found


SETTINGS = sorted(names_in(Advanced))
ANSWERS = [
    "access_token", "refresh_token", "token_type", "expires_in", "expires_at", "refresh_token_expires_in", "scope",
    "id_token", "error", "error_description", "error_uri", "ok", "data", "authed_user", "instance_url", "errors",
]  # fmt: skip
FIELDS = ["access_token", "token_type", "expires_in", "refresh_token", "refresh_token_expires_in", "scope", "id_token"]
texts = st.text(max_size=30) | st.sampled_from(
    [SECRET, f"<b>{SECRET}</b>", "", "Bearer", "DPoP", "post", "basic", "off", "S256", "raw", "json", "GET", "$.data",
     "{tenant}", "*.example.com", "https://a.example/x?y", "a.b.0", "1e999", "NaN", "2027-01-01T00:00:00Z", "\x00\r\n"]
)  # fmt: skip
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts


def values_with(names: list[str]) -> st.SearchStrategy:
    keys = st.sampled_from(names) | texts
    return st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5))


anything = values_with(SETTINGS)
wild = st.dictionaries(st.sampled_from(SETTINGS), anything, max_size=4)
right = st.fixed_dictionaries(
    {},
    optional={
        "response": st.fixed_dictionaries(
            {},
            optional={
                "root": st.sampled_from([None, "data", "authed_user.0", "a.b"]),
                "fields": st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(ANSWERS), max_size=3),
                "expires": st.sampled_from([{"unit": "ms"}, {"kind": "at"}, {"unit": "s", "kind": "at"}]),
                "ok": st.sampled_from([{"path": "ok", "equals": True}, {"path": "data.ok", "equals": 1}]),
                "error": st.sampled_from(["error", "errors.0", "data.error"]),
                "keep": st.sampled_from([["instance_url"], ["data.x", "ok"]]),
                "token_type": st.sampled_from(["strict", "ignore"]),
            },
        ),
        "callback": st.sampled_from([{"code": "c", "state": "s"}, {"keep": ["realmId"]}]),
    },
)


def said(error: Exception) -> str:
    return f"{error!s} {error!r} {getattr(error, 'error', '')} {getattr(error, 'description', '')}"


def silent(words: str) -> None:
    assert SECRET not in words


@settings(max_examples=CASES, derandomize=not SOAK)
@given(wild)
def test_any_advanced_object_is_taken_or_refused_by_field(raw):
    try:
        made = Advanced.model_validate(raw)
    except ValidationError:
        return
    assert Advanced.model_validate_json(made.model_dump_json()) == made


bodies = (
    st.dictionaries(st.sampled_from(ANSWERS) | texts, values_with(ANSWERS), max_size=8).map(json.dumps)
    | values_with(ANSWERS).map(json.dumps)
    | st.text(max_size=200)
    | st.sampled_from(
        [f"access_token={SECRET}&token_type=bearer&expires_in=3600", "[" * 5000, f'{{"error": "{SECRET}"}}']
    )
).map(str.encode) | st.binary(max_size=100)
responses = st.builds(
    lambda status, kind, retry, body: Response(
        status, Headers.of({"Content-Type": kind, "Retry-After": retry, "WWW-Authenticate": retry}), body
    ),
    st.sampled_from([200, 201, 204, 301, 400, 401, 403, 429, 500, 503]),
    st.sampled_from(["application/json", "text/html", "text/plain", "application/x-www-form-urlencoded", ""]),
    st.sampled_from(["", "5", "-1", "nan", "Wed, 21 Oct 2026 07:28:00 GMT", "9" * 400, SECRET]),
    bodies,
)


@settings(max_examples=CASES, derandomize=not SOAK)
@given(responses, right)
def test_any_token_response_is_tokens_or_an_error_of_ours(response, raw):
    # Each time anew: only the newest secrets are remembered, and thousands go by.
    redaction.remember(SECRET)
    advanced = Advanced.model_validate(raw)
    try:
        tokens = process_token_response(response, advanced, now=NOW)
    except OAuthError as error:
        silent(f"{said(error)} {classify(error, now=NOW)!r}")
        return
    assert isinstance(tokens.access_token, str)
    assert tokens.access_token
    # What is stored sealed is never shown; what is shown of it was cleaned.
    assert tokens.access_token not in repr(tokens) or len(tokens.access_token) < 8
    life = lifetime(tokens, 3600.0, now=NOW)
    assert life is None or 0 < life <= 10 * 366 * 86400
    identity_of(tokens, issuer=SERVER.issuer, client_id="app", nonce=None, now=NOW)


pairs = st.tuples(
    st.sampled_from(["code", "state", "error", "error_description", "iss", "c", "s", "realmId"]) | texts, texts
)


@settings(max_examples=CASES, derandomize=not SOAK)
@given(st.lists(pairs, max_size=12), right)
def test_any_callback_is_an_answer_or_an_error_of_ours(found, raw):
    redaction.remember(SECRET)
    try:
        answer = parse_callback(found, Advanced.model_validate(raw))
        check_iss(answer, SERVER)
    except OAuthError as error:
        silent(said(error))
        return
    assert SECRET not in repr(answer)
