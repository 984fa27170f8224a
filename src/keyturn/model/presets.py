"""Presets: well-known end systems as data, so that only the ID and the secret remain to be typed. No network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field

from keyturn.errors import Invalid, NotFound, Problem
from keyturn.oauth.quirks import Advanced, Variable
from keyturn.oauth.urls import UrlProblem
from keyturn.oauth.variables import fill, names_in

_FILE = Path(__file__).with_name("presets.yaml")
# How end systems call the permission to go on without the person, as a scope and as a parameter.
_OFFLINE_SCOPES = frozenset({"offline", "offline.access", "offline_access", "refresh_token"})
_OFFLINE_PARAMS = frozenset({"access_type", "token_access_type"})
_ONLY_WITH = (
    "{system} gives a refresh token only with {what}. Without it each sign-in stops when its access token ends."
)
_TEMPLATES = ("authorization_url", "token_url", "api")
_DEFAULT_ACCESS_MS = 3_600_000


class PresetVariable(BaseModel):
    """What has to be known to fill the URLs, for example the subdomain of an account."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str
    example: str
    kind: Literal["dns_label", "path_segment"]


class Preset(BaseModel):
    """One end system. `source` is the vendor's own page; `refresh` says what becomes of a refresh token when used.

    Lives are in milliseconds; an access token's is None if it does not end or is always told.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    name: str
    domains: tuple[str, ...]
    authorization_url: str
    token_url: str
    api: str
    scopes: str = ""
    access_token_expires_in: int | None = Field(default=None, gt=0)
    refresh_token_expires_in: int = Field(default=0, ge=0)
    refresh: Literal["stays", "rotates", "none"]
    advanced: dict[str, Any] = Field(default_factory=dict)
    variables: dict[str, PresetVariable] = Field(default_factory=dict)
    source: str
    notes: tuple[str, ...] = ()

    def settings(self, values: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The fields of an OAuth client, with the variables put into the URLs; ID and secret are missing.

        Raises `Invalid` naming each variable without a fitting value.
        """
        given = {name: (values or {}).get(name, "") for name in self.variables}
        host = urlsplit(self._filled("api", given)).hostname
        return {
            "name": self.name,
            "authorization_url": self._filled("authorization_url", given),
            "token_url": self._filled("token_url", given),
            "scopes": _plain(self.scopes, given),
            "access_token_expires_in": self.access_token_expires_in or _DEFAULT_ACCESS_MS,
            "refresh_token_expires_in": self.refresh_token_expires_in,
            "advanced": {"allowed_hosts": [host], **_deep(self.advanced, given)},
        }

    def base_url(self, values: Mapping[str, str] | None = None) -> str:
        """Where its API begins. Raises `Invalid` as `settings` does."""
        return self._filled("api", {name: (values or {}).get(name, "") for name in self.variables})

    def hosts(self) -> tuple[str, ...]:
        """The hosts that tell it apart from others; a variable stands as `*`."""
        found = (urlsplit(self._starred(getattr(self, name))).hostname or "" for name in _TEMPLATES)
        return tuple(dict.fromkeys(found))

    @property
    def starred_sign_in(self) -> str:
        """Where people sign in; a variable stands as `*`."""
        return self._starred(self.authorization_url)

    def _starred(self, template: str) -> str:
        for name in self.variables:
            template = template.replace(f"{{{name}}}", "*")
        return template

    def _filled(self, field: str, values: Mapping[str, str]) -> str:
        template = getattr(self, field)
        known = {name: Variable(label=item.label, kind=item.kind) for name, item in self.variables.items()}
        try:
            return fill(template, known, values) if names_in(template) else template
        except UrlProblem as problem:
            blank = next((name for name in names_in(template) if not values.get(name)), names_in(template)[0])
            raise Invalid(problems=(Problem(f"variables.{blank}", str(problem)),)) from None


@cache
def presets() -> dict[str, Preset]:
    """All of them by id, in the order of their names."""
    import yaml

    raw = yaml.safe_load(_FILE.read_text("utf-8"))
    found = [Preset(id=preset_id, **fields) for preset_id, fields in raw.items()]
    return {preset.id: preset for preset in sorted(found, key=lambda preset: preset.name.casefold())}


def preset(preset_id: str) -> Preset:
    """The one of that id. Raises `NotFound`."""
    try:
        return presets()[preset_id]
    except KeyError:
        raise NotFound(f"There is no preset {preset_id}.") from None


def recognised(url: str) -> Preset | None:
    """The preset whose hosts a URL belongs to, if just one does; several APIs may share a sign-in host."""
    host = (_split(url).hostname or "").lower()
    if not host:
        return None
    found = [item for item in presets().values() if any(_matches(host, pattern) for pattern in item.hosts())]
    return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class RefreshHint:
    """What settings lack to be given a refresh token: a scope, or an authorization parameter as `name=value`."""

    sentence: str
    at: Literal["scopes", "advanced.authorize.params"]
    add: str


def refresh_hint(authorization_url: str, scopes: str, params: Mapping[str, str]) -> RefreshHint | None:
    """What is missing for a refresh token (E-NOREFRESH) at an end system we know, or None.

    Several systems may sign in at one host; only what all of them need is told.
    """
    host = (_split(authorization_url).hostname or "").lower()
    if not host:
        return None
    known = [item for item in presets().values() if _matches(host, _split(item.starred_sign_in).hostname or "")]
    if not known:
        return None
    system = known[0].name if len(known) == 1 else host
    needed = set.intersection(*({*item.scopes.split()} for item in known)) & _OFFLINE_SCOPES
    for scope in sorted(needed - {*scopes.split()}):
        return RefreshHint(_ONLY_WITH.format(system=system, what=f"the scope {scope}"), "scopes", scope)
    wanted = set.intersection(*({*check(item).authorize.params.items()} for item in known))
    for name, value in sorted(wanted - {*params.items()}):
        if name in _OFFLINE_PARAMS:
            pair = f"{name}={value}"
            return RefreshHint(_ONLY_WITH.format(system=system, what=pair), "advanced.authorize.params", pair)
    return None


def check(item: Preset) -> Advanced:
    """The `advanced` object as the client's schema reads it. Raises pydantic's `ValidationError`."""
    return Advanced.model_validate(_deep(item.advanced, dict.fromkeys(item.variables, "x")))


def _split(url: str) -> SplitResult:
    """A URL's parts; none of what is no URL, as while one types."""
    try:
        return urlsplit(url.strip())
    except ValueError:
        return urlsplit("")


def _matches(host: str, pattern: str) -> bool:
    if "*" not in pattern:
        return host == pattern
    before, after = pattern.split("*", 1)
    return host.startswith(before) and host.endswith(after) and len(host) > len(before) + len(after)


def _plain(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _deep(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _deep(item, values) for name, item in value.items()}
    if isinstance(value, list):
        return [_deep(item, values) for item in value]
    return _plain(value, values) if isinstance(value, str) else value
