"""The `advanced` object: strict, described, and the same after a round trip."""

from __future__ import annotations

import json

import pytest
from pydantic import BaseModel, ValidationError

from keyturn.oauth.quirks import STANDARD, Advanced
from keyturn.oauth.settings_rules import RESERVED_PARAMETERS

FULL = {
    "version": 1,
    "authorize": {"scope_separator": ",", "params": {"access_type": "offline"}, "pkce": "off",
                  "rename": {"client_id": "client_key", "response_type": None}, "nonce": True, "fragment": True,
                  "par_url": "https://p.example/par", "device_url": "https://p.example/device"},
    "token": {"auth": "basic", "basic_encoding": "raw", "basic_user": "secret", "method": "GET", "body": "json",
              "params": {"resource": "x"}, "headers": {"X-Key": "k"}, "rename": {"code": "auth_code"},
              "omit": ["redirect_uri"], "assertion_algorithm": "RS256", "assertion_audience": "https://t.example",
              "dpop": False},
    "refresh": {"url": "https://r.example/t", "params": {"a": "b"}, "send_scope": True, "expires": "idle",
                "short_grace": True},
    "response": {"root": "data", "fields": {"expires_in": "expires"}, "expires": {"unit": "ms", "kind": "at"},
                 "ok": {"path": "ok", "equals": True}, "error": "error.code", "keep": ["instance_url"],
                 "token_type": "ignore"},
    "callback": {"code": "c", "state": "state", "decode": True, "keep": ["realmId"], "shared": True},
    "api": {"base_url": "https://{subdomain}.x.example/v1", "placement": {"header": "X-Token", "prefix": "", "query": "t"}, "headers": {"X-Version": "2"},
            "expired_when": {"status": [401, 403], "body": {"path": "errors.0.code", "in": ["602", 1]}}},
    "return_urls": ["https://app.example.com/back"],
    "variables": {"subdomain": {"label": "Your subdomain", "from": "admin", "kind": "dns_label", "value": "acme"}},
    "allowed_hosts": ["api.endsystem.com", "*.my.salesforce.com"],
    "resources": ["https://api.example/", "urn:api"],
    "issuer": "https://I.example:443/Path/",
    "revocation_url": "https://r.example/revoke",
}  # fmt: skip


def problem_of(settings: dict) -> tuple[str, str]:
    with pytest.raises(ValidationError) as caught:
        Advanced.model_validate(settings)
    first = caught.value.errors()[0]
    return ".".join(str(part) for part in first["loc"]), first["msg"]


def test_every_setting_survives_a_round_trip_through_json():
    advanced = Advanced.model_validate(FULL)
    dumped = advanced.model_dump(mode="json")
    assert dumped == FULL
    assert Advanced.model_validate(json.loads(json.dumps(dumped))) == advanced


def test_nothing_set_is_what_the_rfcs_say():
    assert Advanced.model_validate({}) == STANDARD
    assert STANDARD.authorize.pkce == "S256"
    assert STANDARD.token.auth == "detect"
    assert STANDARD.api.placement.prefix == "Bearer "


def test_bound_tokens_are_sent_in_their_own_place_alone():
    assert Advanced.model_validate({"token": {"dpop": True}, "api": {"headers": {"X-Version": "2"}}}).token.dpop
    for placement in ({"header": "X-Token"}, {"prefix": "Token "}, {"query": "t"}):
        _, message = problem_of({"token": {"dpop": True}, "api": {"placement": placement}})
        assert "Authorization: DPoP" in message


def test_an_issuer_is_kept_byte_for_byte_and_other_urls_are_normalised():
    assert Advanced.model_validate({"issuer": " https://I.example:443/Path/ "}).issuer == "https://I.example:443/Path/"
    assert (
        Advanced.model_validate({"revocation_url": "HTTPS://R.example:443/x"}).revocation_url == "https://r.example/x"
    )
    assert Advanced.model_validate({"allowed_hosts": ["API.Example.com."]}).allowed_hosts == ("api.example.com",)


def test_every_field_has_a_title_and_a_description():
    todo: list[type[BaseModel]] = [Advanced]
    names = set()
    while todo:
        model = todo.pop()
        names.add(model.__name__)
        for name, field in model.model_fields.items():
            assert field.title, f"{model.__name__}.{name}"
            assert field.description, f"{model.__name__}.{name}"
            todo += [part for part in _models_in(field.annotation) if part.__name__ not in names]
    assert {"Authorize", "Placement", "BodyMatch", "Variable", "Condition"} <= names


def _models_in(annotation) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]


@pytest.mark.parametrize(
    ("settings", "at"),
    [
        ({"tokn": {}}, "tokn"),
        ({"token": {"ath": "post"}}, "token.ath"),
        ({"api": {"expired_when": {"body": {"path": "a", "in": [1], "regex": "x"}}}}, "api.expired_when.body.regex"),
    ],
)
def test_an_unknown_key_is_refused_by_name(settings, at):
    assert problem_of(settings) == (at, "Extra inputs are not permitted")


@pytest.mark.parametrize("place", [("authorize", "params"), ("token", "params"), ("refresh", "params")])
@pytest.mark.parametrize("name", sorted(RESERVED_PARAMETERS))
def test_a_reserved_parameter_is_refused_in_params(place, name):
    at, message = problem_of({place[0]: {place[1]: {name: "x"}}})
    assert at == ".".join(place)
    assert name in message


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"authorize": {"params": {"": "x"}}}, "needs a name"),
        ({"authorize": {"params": {"a b": "x"}}}, "needs a name"),
        ({"authorize": {"params": {"a": "x\r\n"}}}, "cannot be typed"),
        ({"authorize": {"params": {f"p{n}": "x" for n in range(51)}}}, "At most 50"),
        ({"authorize": {"rename": {"state": None}}}, "state cannot be left out"),
        ({"authorize": {"rename": {"code_challenge": None}}}, "code_challenge cannot be left out"),
        ({"authorize": {"rename": {"client_id": "state"}}}, "which OAuth 2.0 uses itself"),
        ({"authorize": {"rename": {"client_id": "x", "scope": "x"}}}, "same name"),
        ({"token": {"omit": ["refresh_token"]}}, "cannot be left out"),
        ({"token": {"headers": {"Authorization": "x"}}}, "cannot be set here"),
        ({"token": {"headers": {"HOST": "x"}}}, "cannot be set here"),
        ({"token": {"headers": {"Content-Length": "1"}}}, "cannot be set here"),
        ({"token": {"headers": {"Cookie": "x"}}}, "cannot be set here"),
        ({"token": {"headers": {"A:b": "x"}}}, "needs a name"),
        ({"token": {"headers": {"X-A": "x", "x-a": "y"}}}, "given twice"),
        ({"token": {"headers": {"X-A": "x\r\nY: z"}}}, "only letters"),
        ({"token": {"auth": "private_key_jwt"}}, "needs the Issuer"),
        ({"token": {"auth": "client_secret_jwt"}}, "needs the Issuer"),
        ({"token": {"headers": {"DPoP": "x"}}}, "cannot be set here"),
        ({"authorize": {"params": {"request_uri": "urn:x"}}}, "set by OAuth 2.0 itself"),
        ({"resources": ["api"]}, "absolute URI"),
        ({"resources": ["https://a.example/#x"]}, "absolute URI"),
        ({"resources": ["https://a.example/ü"]}, "absolute URI"),
        ({"resources": ["https:"]}, "absolute URI"),
        ({"token": {"auth": "none"}, "authorize": {"pkce": "off"}}, "needs PKCE"),
        ({"token": {"auth": "mac"}}, "Input should be"),
        ({"api": {"placement": {"header": "Cookie"}}}, "cannot be set here"),
        ({"api": {"placement": {"prefix": "é"}}}, "only letters"),
        ({"api": {"expired_when": {"status": []}}}, "one or more"),
        ({"api": {"expired_when": {"status": [42]}}}, "one or more"),
        ({"api": {"expired_when": {"body": {"path": "a", "in": []}}}}, "at least 1"),
        ({"response": {"root": "a..b"}}, "keys and numbers"),
        ({"response": {"error": "$.a[?(@.x)]"}}, "keys and numbers"),
        ({"response": {"fields": {"acess_token": "x"}}}, "Input should be"),
        ({"response": {"keep": [f"k{n}" for n in range(51)]}}, "At most 50"),
        ({"variables": {"Sub-Domain": {}}}, "pattern"),
        ({"allowed_hosts": ["https://x.example"]}, "A host looks like"),
        ({"allowed_hosts": ["*.com"]}, "top-level domain"),
        ({"allowed_hosts": ["*"]}, "A host looks like"),
        ({"issuer": "https://i.example/?a=b"}, "no query"),
        ({"callback": {"shared": True}}, "needs the Issuer"),
        ({"callback": {"shared": True, "state": "s"}, "issuer": "https://i.example"}, "must keep its name"),
        ({"issuer": "https:/i.example"}, "one slash"),
        ({"issuer": "https://u@i.example"}, "before @"),
        ({"revocation_url": "javascript:x"}, "Use https"),
        ({"refresh": {"url": "https://r.example/#x"}}, "fragment"),
    ],
)
def test_d5_what_cannot_be_right_is_refused_in_words(settings, words):
    assert words in problem_of(settings)[1]


def test_settings_are_frozen_and_errors_quote_no_input():
    with pytest.raises(ValidationError):
        STANDARD.token.auth = "post"
    with pytest.raises(ValidationError) as caught:
        Advanced.model_validate({"token": {"headers": {"X-A": "s3cret\r\n"}}})
    assert "s3cret" not in str(caught.value)


def test_authorization_may_be_named_as_the_tokens_place():
    assert Advanced.model_validate({"api": {"placement": {"header": "authorization"}}}).api.placement.header


def test_values_that_are_kept_come_from_both_answers():
    made = Advanced.model_validate({"response": {"keep": ["instance_url"]}, "callback": {"keep": ["realmId"]}})
    assert made.kept_names == ("instance_url", "realmId")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"variables": {"region": {"label": "Region", "filled_by": "admin"}}}, "Give the variable region its value"),
        ({"api": {"base_url": "https://a.example/v1?x=1"}}, "no query and no fragment"),
        ({"response": {"keep": ["data.access_token"]}}, "is a secret, which is not kept"),
    ],
)
def test_what_a_sign_in_tells_is_kept_without_secrets(settings, words):
    with pytest.raises(ValidationError, match=words):
        Advanced.model_validate(settings)


@pytest.mark.parametrize("wrong", [
    "http://app.example.com/back", "https://*.example.com/", "https://u@app.example.com/", "https://app.example.com/#x",
    "https://app.example.com/?status=ok", "https://app.example.com/?connect_link=", "javascript:alert(1)", "/back",
    "https:/app.example.com", "https://localhost.evil.example\\@x/", "http://localhost.example.com/",
])  # fmt: skip
def test_l8_a_return_url_is_a_whole_address_with_https(wrong):
    with pytest.raises(ValidationError):
        Advanced(return_urls=(wrong,))


def test_l8_a_return_url_may_be_on_the_machine_itself_and_have_a_query():
    good = (
        "https://app.example.com/back?tenant=a",
        "http://localhost:3000/back",
        "http://[::1]:3000/",
        "http://127.0.0.1/x",
    )
    assert Advanced(return_urls=good).return_urls == good
