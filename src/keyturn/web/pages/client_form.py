"""The OAuth 2.0 client's form, both ways: what was typed as a verb's raw value, and settings as field values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from keyturn.errors import Invalid
from keyturn.model.oauth_clients import OAuthClientSettings
from keyturn.oauth.quirks import Advanced
from keyturn.web.forms import Form, merged_pairs, put
from keyturn.web.setting_fields import SettingField, fields_of

PLAIN = (
    "authentication_type",
    "name",
    "client_id",
    "authorization_url",
    "token_url",
    "scopes",
    "access_token_expires_in",
    "refresh_token_expires_in",
)
_WORDS: dict[str, dict[str, str]] = {
    "advanced.token.auth": {
        "detect": "Detect automatically",
        "basic": "Basic header",
        "post": "Request body",
        "none": "None, PKCE only",
        "private_key_jwt": "Signed by a key of ours",
        "client_secret_jwt": "Signed by the secret",
    },
    "advanced.token.dpop": {"false": "Off", "true": "On"},
    "advanced.authorize.pkce": {"S256": "On", "off": "Off"},
    "advanced.authorize.scope_separator": {" ": "Space", ",": "Comma", "+": "Plus"},
    "advanced.token.basic_encoding": {"percent": "Percent, as OAuth 2.0 says", "raw": "Raw"},
    "advanced.token.basic_user": {"client_id": "Client ID", "secret": "Client Secret"},
    "advanced.token.body": {"form": "Form", "json": "JSON", "query": "Query"},
    "advanced.refresh.expires": {"fixed": "The last new refresh token", "idle": "Its last use"},
    "advanced.response.expires.unit": {"s": "Seconds", "ms": "Milliseconds"},
    "advanced.response.expires.kind": {"in": "A length", "at": "A time"},
    "advanced.response.token_type": {"strict": "Must say Bearer", "ignore": "May say anything"},
}
SETTINGS = {field.name: field for field in fields_of(Advanced, "advanced", _WORDS)}
# Drawn outside the Advanced section, with its authentication type.
DEVICE_URL = "advanced.authorize.device_url"
# What is asked for most; the others are drawn below, by section.
_COMMON = (
    "advanced.token.auth",
    "advanced.authorize.pkce",
    "advanced.authorize.scope_separator",
    "advanced.issuer",
    "advanced.revocation_url",
    "advanced.allowed_hosts",
    "advanced.return_urls",
    "advanced.authorize.params",
)
VARIABLES = "advanced.variables"
SECRET = ("client_secret", "secret_expires_on", "redirect_uri")
FIELDS = (*PLAIN, *SECRET, *SETTINGS, VARIABLES)


def raw(sent: Mapping[str, str]) -> dict[str, Any]:
    """What `create` and `check_draft` take. A field left empty is left out, so that its own sentence is said."""
    found: dict[str, Any] = {name: sent[name] for name in PLAIN if sent.get(name, "").strip()}
    for name in SECRET:
        if sent.get(name):
            found[name] = sent[name]
    for name, value in _advanced(sent).items():
        if value not in (None, {}, []) and (value != "" or SETTINGS[name].exact):
            put(found, name, value)
    return found


def patch(sent: Mapping[str, str], current: OAuthClientSettings) -> dict[str, Any]:
    """What `update` takes: a merge patch of the fields that are shown; the others stay as they are."""
    found: dict[str, Any] = {name: sent[name] for name in PLAIN if name in sent}
    if sent.get("client_secret"):
        found["client_secret"] = sent["client_secret"]
    before = current.model_dump(mode="json", by_alias=True)
    for name, value in _advanced(
        {name: text for name, text in sent.items() if not _stands(name, text, before)}
    ).items():
        old = _at(before, name)
        put(found, name, merged_pairs(value, old) if isinstance(value, dict) and isinstance(old, dict) else value)
    return found


def _stands(name: str, text: str, before: Mapping[str, Any]) -> bool:
    """Whether a setting's field says what is stored already."""
    field = SETTINGS.get(name)
    return field is not None and field.part is None and field.write(_at(before, name)).splitlines() == text.splitlines()


def kept(sent: Mapping[str, str]) -> dict[str, str]:
    """What may be drawn again: never the secret, which the page's script keeps where it was typed."""
    return {name: value for name, value in sent.items() if name not in {"client_secret", "new_secret", "redirect_uri"}}


def values_of(settings: OAuthClientSettings | None) -> dict[str, str]:
    """Settings as field values; without any, the defaults of an empty form."""
    shown = settings or OAuthClientSettings.model_construct()
    dump = shown.model_dump(mode="json", by_alias=True)
    found = {
        name: str(dump.get(name) or "") if name == "authorization_url" else str(dump.get(name, "")) for name in PLAIN
    }
    found |= {name: field.write(_at(dump, name)) for name, field in SETTINGS.items()}
    variables = _at(dump, VARIABLES)
    found[VARIABLES] = json.dumps(variables, indent=2) if variables else ""
    return found


def filled(settings: Mapping[str, Any]) -> dict[str, str]:
    """Field values of what a preset or a discovery found; the ID is left to be typed."""
    made = OAuthClientSettings.model_validate({"name": "x", "client_id": "x", "scopes": "", **settings})
    return {**values_of(made), "client_id": "", "name": str(settings.get("name", ""))}


def common() -> list[SettingField]:
    """The settings that are asked for most."""
    return [SETTINGS[name] for name in _COMMON]


def sections() -> dict[str, list[SettingField]]:
    """The other settings by the title of their section."""
    found: dict[str, list[SettingField]] = {}
    for field in SETTINGS.values():
        if field.name not in {*_COMMON, DEVICE_URL}:
            info = Advanced.model_fields.get(field.group.rpartition(".")[2])
            found.setdefault((info and info.title) or "Other", []).append(field)
    return found


def usual_names(form: Form) -> list[str]:
    """The settings of a form that stand as the standard says."""
    return [name for name, usual in _USUAL.items() if str(form.value(name, usual)).strip() in {usual.strip(), ""}]


def _advanced(sent: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, field in SETTINGS.items():
        if name in sent and field.part is None:
            found[name] = field.read(sent[name])
        elif name in sent and field.part is not None:
            part = found.setdefault(field.part, {})
            part[name.rpartition(".")[2]] = field.read(sent[name])
    for part in {field.part for field in SETTINGS.values() if field.part is not None} & found.keys():
        # Without any of its values it is not there at all.
        if all(value in (None, []) for value in found[part].values()):
            found[part] = None
    if VARIABLES in sent:
        found[VARIABLES] = _parsed(sent[VARIABLES])
    return found


def _parsed(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise Invalid(f"This is not JSON: {error}.", at=VARIABLES) from None
    if not isinstance(found, dict):
        raise Invalid('Write an object, for example {"subdomain": {"label": "Your subdomain"}}.', at=VARIABLES)
    return found


def _at(target: Any, dotted: str) -> Any:
    """What stands there; None within a part that is absent."""
    for name in dotted.split("."):
        target = None if target is None else target[name]
    return target


_USUAL = values_of(None)
