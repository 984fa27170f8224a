"""The OAuth 2.0 client's form, both ways: what was typed as a verb's raw value, and settings as field values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keyturn.errors import Invalid
from keyturn.model.oauth_clients import OAuthClientSettings
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
CHOICES: dict[str, dict[str, str]] = {
    "advanced.token.auth": {
        "detect": "Detect automatically",
        "basic": "Basic header",
        "post": "Request body",
        "none": "None, PKCE only",
    },
    "advanced.authorize.pkce": {"S256": "On", "off": "Off"},
    "advanced.authorize.scope_separator": {" ": "Space", ",": "Comma", "+": "Plus"},
}
OPTIONAL = ("advanced.revocation_url", "advanced.issuer")
PAIRS = ("advanced.authorize.params", "advanced.token.params", "advanced.refresh.params", "advanced.api.headers")
HOSTS = "advanced.allowed_hosts"
STATUSES = "advanced.api.expired_when.status"
FIELDS = (*PLAIN, "client_secret", "redirect_uri", *CHOICES, *OPTIONAL, *PAIRS, HOSTS, STATUSES)


def raw(sent: Mapping[str, str]) -> dict[str, Any]:
    """What `create` and `check_draft` take. A field left empty is left out, so that its own sentence is said."""
    found: dict[str, Any] = {name: sent[name] for name in PLAIN if sent.get(name, "").strip()}
    for name in ("client_secret", "redirect_uri"):
        if sent.get(name):
            found[name] = sent[name]
    for name, value in _advanced(sent).items():
        if value not in (None, "", {}, []):
            put(found, name, value)
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
    return found


def kept(sent: Mapping[str, str]) -> dict[str, str]:
    """What may be drawn again: never the secret, which the page's script keeps where it was typed."""
    return {name: value for name, value in sent.items() if name not in {"client_secret", "new_secret", "redirect_uri"}}


def values_of(settings: OAuthClientSettings | None) -> dict[str, str]:
    """Settings as field values; without any, the defaults of an empty form."""
    shown = settings or OAuthClientSettings.model_construct()
    dump = shown.model_dump(mode="json")
    found = {name: str(dump.get(name, "")) for name in PLAIN}
    for name in (*CHOICES, *OPTIONAL):
        found[name] = str(_at(dump, name) or "") if name != "advanced.authorize.scope_separator" else _at(dump, name)
    found |= {name: lines_of(_at(dump, name)) for name in PAIRS}
    found[HOSTS] = "\n".join(_at(dump, HOSTS))
    found[STATUSES] = " ".join(str(status) for status in _at(dump, STATUSES))
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


def _at(target: Any, dotted: str) -> Any:
    for name in dotted.split("."):
        target = target[name]
    return target
