"""The OAuth 2.0 client's form, both ways: what was typed as a verb's raw value, and settings as field values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from keyturn.errors import Invalid
from keyturn.model.oauth_clients import OAuthClientSettings
from keyturn.oauth.jose import ALGORITHMS
from keyturn.oauth.quirks import STANDARD
from keyturn.web.forms import lines_of, merged_pairs, pairs, put

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
DPOP = "advanced.token.dpop"
CHOICES: dict[str, dict[str, str]] = {
    "advanced.token.auth": {
        "detect": "Detect automatically",
        "basic": "Basic header",
        "post": "Request body",
        "none": "None, PKCE only",
        "private_key_jwt": "Signed by a key of ours",
        "client_secret_jwt": "Signed by the secret",
    },
    DPOP: {"false": "Off", "true": "On"},
    "advanced.token.assertion_algorithm": {name: name for name in ALGORITHMS},
    "advanced.authorize.pkce": {"S256": "On", "off": "Off"},
    "advanced.authorize.scope_separator": {" ": "Space", ",": "Comma", "+": "Plus"},
}
OPTIONAL = (
    "advanced.authorize.device_url",
    "advanced.revocation_url",
    "advanced.issuer",
    "advanced.authorize.par_url",
)
PAIRS = ("advanced.authorize.params", "advanced.token.params", "advanced.refresh.params", "advanced.api.headers")
HOSTS = "advanced.allowed_hosts"
STATUSES = "advanced.api.expired_when.status"
# What has no field of its own, as JSON.
MORE = "advanced.more"
SECRET = ("client_secret", "secret_expires_on", "redirect_uri")
FIELDS = (*PLAIN, *SECRET, *CHOICES, *OPTIONAL, *PAIRS, HOSTS, STATUSES, MORE)
_SHOWN = (*CHOICES, *OPTIONAL, *PAIRS, HOSTS, STATUSES)


_STANDARD = STANDARD.model_dump(mode="json", by_alias=True)


def raw(sent: Mapping[str, str]) -> dict[str, Any]:
    """What `create` and `check_draft` take. A field left empty is left out, so that its own sentence is said."""
    found: dict[str, Any] = {name: sent[name] for name in PLAIN if sent.get(name, "").strip()}
    for name in SECRET:
        if sent.get(name):
            found[name] = sent[name]
    for name, value in _advanced(sent).items():
        if value not in (None, "", {}, []):
            put(found, name, value)
    more = _parsed(sent.get(MORE, ""))
    if more:
        found["advanced"] = _merged(more, found.get("advanced", {}))
    return found


def patch(sent: Mapping[str, str], current: OAuthClientSettings) -> dict[str, Any]:
    """What `update` takes: a merge patch of the fields that are shown; the others stay as they are."""
    found: dict[str, Any] = {name: sent[name] for name in PLAIN if name in sent}
    if sent.get("client_secret"):
        found["client_secret"] = sent["client_secret"]
    before = current.model_dump(mode="json")
    for name, value in _advanced(sent).items():
        old = _at(before, name)
        put(found, name, merged_pairs(value, old) if isinstance(value, dict) and isinstance(old, dict) else value)
    if MORE in sent:
        _put_more(found, _parsed(sent[MORE]), more_of(current))
    return found


def kept(sent: Mapping[str, str]) -> dict[str, str]:
    """What may be drawn again: never the secret, which the page's script keeps where it was typed."""
    return {name: value for name, value in sent.items() if name not in {"client_secret", "new_secret", "redirect_uri"}}


def values_of(settings: OAuthClientSettings | None) -> dict[str, str]:
    """Settings as field values; without any, the defaults of an empty form."""
    shown = settings or OAuthClientSettings.model_construct()
    dump = shown.model_dump(mode="json")
    found = {
        name: str(dump.get(name) or "") if name == "authorization_url" else str(dump.get(name, "")) for name in PLAIN
    }
    for name in (*CHOICES, *OPTIONAL):
        found[name] = _text(_at(dump, name))
    found |= {name: lines_of(_at(dump, name)) for name in PAIRS}
    found[HOSTS] = "\n".join(_at(dump, HOSTS))
    found[STATUSES] = " ".join(str(status) for status in _at(dump, STATUSES))
    more = more_of(shown)
    found[MORE] = json.dumps(more, indent=2) if more else ""
    return found


def filled(settings: Mapping[str, Any]) -> dict[str, str]:
    """Field values of what a preset or a discovery found; the ID is left to be typed."""
    made = OAuthClientSettings.model_validate({"name": "x", "client_id": "x", "scopes": "", **settings})
    return {**values_of(made), "client_id": "", "name": str(settings.get("name", ""))}


def more_of(settings: OAuthClientSettings) -> dict[str, Any]:
    """The part of `advanced` that differs from the standard and has no field of its own."""
    found = _differences(settings.advanced.model_dump(mode="json", by_alias=True), _STANDARD)
    for name in _SHOWN:
        _drop(found, name.split(".")[1:])
    return found


def _differences(value: dict[str, Any], standard: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, item in value.items():
        usual = standard.get(name)
        if isinstance(item, dict) and isinstance(usual, dict) and usual:
            if inner := _differences(item, usual):
                found[name] = inner
        elif item != usual:
            found[name] = item
    return found


def _drop(target: dict[str, Any], path: list[str]) -> None:
    inner = target.get(path[0])
    if len(path) > 1 and isinstance(inner, dict):
        _drop(inner, path[1:])
        if not inner:
            del target[path[0]]
    elif len(path) == 1:
        target.pop(path[0], None)


def _parsed(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise Invalid(f"This is not JSON: {error}.", at=MORE) from None
    if not isinstance(found, dict):
        raise Invalid('Write an object, for example {"token": {"body": "json"}}.', at=MORE)
    return found


def _merged(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    return one | {
        name: _merged(one[name], item) if isinstance(item, dict) and isinstance(one.get(name), dict) else item
        for name, item in two.items()
    }


def _put_more(found: dict[str, Any], new: dict[str, Any], old: dict[str, Any]) -> None:
    """As a merge patch: what stood there before and does not now goes back to the standard."""
    advanced = found.setdefault("advanced", {})
    found["advanced"] = _merged(_patched(new, old), advanced)


def _patched(new: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    found = dict.fromkeys(set(old) - set(new))
    for name, item in new.items():
        before = old.get(name)
        found[name] = _patched(item, before) if isinstance(item, dict) and isinstance(before, dict) else item
    return found


def _advanced(sent: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {name: sent[name] for name in CHOICES if name in sent}
    found |= {name: sent[name].strip() or None for name in OPTIONAL if name in sent}
    found |= {name: pairs(sent[name], at=name) for name in PAIRS if name in sent}
    if HOSTS in sent:
        found[HOSTS] = sent[HOSTS].split()
    if sent.get(STATUSES, "").strip():
        parts = sent[STATUSES].replace(",", " ").split()
        if not all(part.isdecimal() for part in parts):
            raise Invalid("List one or more HTTP statuses, for example 401.", at=STATUSES)
        found[STATUSES] = [int(part) for part in parts]
    return found


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value or "")


def _at(target: Any, dotted: str) -> Any:
    for name in dotted.split("."):
        target = target[name]
    return target
