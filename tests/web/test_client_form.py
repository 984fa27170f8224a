"""The client's form: every setting has a field, and what is drawn is what is read again."""

from __future__ import annotations

import pytest

from keyturn.errors import Invalid
from keyturn.model.oauth_clients import OAuthClientSettings
from keyturn.model.presets import presets
from keyturn.model.validation import merged
from keyturn.oauth.quirks import Advanced
from keyturn.web.forms import Form
from keyturn.web.pages import client_form
from keyturn.web.pages.client_form import SETTINGS, VARIABLES, patch, raw, usual_names, values_of

ODD = {
    "authorize": {"params": {"prompt": "", "access_type": "offline"}, "rename": {"client_id": "client_key", "redirect_uri": None}},
    "token": {"headers": {"X-A": "1"}, "omit": ["redirect_uri"], "body": "json"},
    "response": {"root": "authed_user", "ok": {"path": "ok", "equals": True}, "keep": ["instance_url"],
                 "fields": {"access_token": "accessToken"}, "expires": {"unit": "ms", "kind": "at"}},
    "api": {"placement": {"header": "X-Token", "prefix": ""},
            "expired_when": {"status": [401, 403], "body": {"path": "errors.0.code", "in": [602, "expired", "601"]}}},
    "variables": {"subdomain": {"label": "Your subdomain"}},
    "allowed_hosts": ["*.acme.example"], "resources": ["https://api.acme.example/"], "issuer": "https://acme.example",
}  # fmt: skip


def settings(**advanced) -> OAuthClientSettings:
    return OAuthClientSettings.model_validate(
        {"name": "Acme", "client_id": "id", "authorization_url": "https://acme.example/authorize",
         "token_url": "https://acme.example/token", "scopes": "read", "advanced": advanced}
    )  # fmt: skip


def every_setting(model, prefix) -> set[str]:
    found = set()
    for name, info in model.model_fields.items():
        inner = next((item for item in (info.annotation, *getattr(info.annotation, "__args__", ()))
                      if isinstance(item, type) and hasattr(item, "model_fields")), None)  # fmt: skip
        dotted = f"{prefix}.{info.alias or name}"
        found |= every_setting(inner, dotted) if inner is not None and name != "variables" else {dotted}
    return found


def test_every_setting_has_a_field():
    assert every_setting(Advanced, "advanced") == {*SETTINGS, VARIABLES, "advanced.version"}


def test_every_field_is_drawn_once():
    drawn = [field.name for field in client_form.common()]
    drawn += [field.name for inside in client_form.sections().values() for field in inside]
    assert sorted([*drawn, client_form.DEVICE_URL]) == sorted(SETTINGS)
    assert list(client_form.sections()) == [
        "Authorization",
        "Token",
        "Refresh",
        "Token response",
        "Callback",
        "API",
        "Other",
    ]


@pytest.mark.parametrize("advanced", [{}, ODD], ids=["standard", "odd"])
def test_what_is_drawn_is_read_again(advanced):
    shown = settings(**advanced)
    assert OAuthClientSettings.model_validate(raw(values_of(shown))) == shown
    assert patch(values_of(shown), shown).get("advanced") is None or merged(
        OAuthClientSettings, shown, patch(values_of(shown), shown)
    ) == shown  # fmt: skip


def test_a_form_takes_any_settings_to_any_others():
    plain, odd = settings(), settings(**ODD)
    assert merged(OAuthClientSettings, plain, patch(values_of(odd), plain)) == odd
    assert merged(OAuthClientSettings, odd, patch(values_of(plain), odd)) == plain


@pytest.mark.parametrize("preset", presets().values(), ids=lambda preset: preset.id)
def test_what_a_preset_fills_in_is_created_as_it_is(preset):
    given = {name: variable.example for name, variable in preset.variables.items()}
    made = {"name": "x", "client_id": "x", "scopes": "", **preset.settings(given)}
    wanted = OAuthClientSettings.model_validate(made)
    sent = {**client_form.filled(made), "client_id": "x"}
    assert OAuthClientSettings.model_validate({"scopes": "", **raw(sent)}) == wanted


def test_sections_say_what_differs():
    names = usual_names(Form(values_of(settings(token={"body": "json"}))))
    assert set(SETTINGS) - set(names) == {"advanced.token.body"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("advanced.api.expired_when.status", "401 x"),
        ("advanced.token.params", "no value here"),
        (VARIABLES, "[1]"),
        (VARIABLES, "{"),
    ],
)
def test_what_cannot_be_read_is_said_at_its_field(name, text):
    with pytest.raises(Invalid) as refused:
        raw({**values_of(settings()), name: text})
    assert [problem.at for problem in refused.value.problems] == [name]
