"""What people type about an app in the developer console: read from a form or JSON, and checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request

from keyturn.demo.state import SCOPES

NAME_CHARACTERS, URI_CHARACTERS, URIS = 80, 2000, 20


@dataclass
class AppSettings:
    """An app's settings as far as they could be read, and what is wrong, by field."""

    name: str = ""
    redirect_uris: list[str] = field(default_factory=list)
    scopes: list[str] = field(default_factory=list)
    wrong: dict[str, str] = field(default_factory=dict)


async def sent(request: Request) -> dict[str, Any]:
    """The fields of a form or of a JSON object; nothing if neither can be read."""
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            values = await request.json()
        except ValueError:
            return {}
        return values if isinstance(values, dict) else {}
    form = await request.form()
    fields: dict[str, Any] = {name: value for name, value in form.items() if isinstance(value, str)}
    if "scopes" in form:
        fields["scopes"] = [value for value in form.getlist("scopes") if isinstance(value, str)]
    return fields


def read(values: dict[str, Any]) -> AppSettings:
    """All fields of an app."""
    found = read_redirect_uris(values)
    name = values.get("name")
    found.name = name.strip() if isinstance(name, str) else ""
    if not 1 <= len(found.name) <= NAME_CHARACTERS:
        found.wrong["name"] = f"Enter a name of at most {NAME_CHARACTERS} characters."
    given = _list(values.get("scopes"))
    wanted = {scope for item in given or () for scope in item.split()}
    found.scopes = [scope for scope in SCOPES if scope in wanted]
    unknown = sorted(wanted - set(SCOPES))
    if unknown:
        found.wrong["scopes"] = f"{unknown[0][:80]} is no scope here. Choose among {', '.join(SCOPES)}."
    elif not found.scopes:
        found.wrong["scopes"] = "Choose at least one scope."
    return found


def read_redirect_uris(values: dict[str, Any]) -> AppSettings:
    """The redirect URIs alone: `redirect_uris` or `redirect_uri`, one per line or a list."""
    given = _list(values.get("redirect_uris", values.get("redirect_uri"))) or []
    lines = [line.strip() for item in given for line in item.splitlines()]
    found = AppSettings(redirect_uris=list(dict.fromkeys(line for line in lines if line)))
    strange = [uri for uri in found.redirect_uris if not _is_redirect_uri(uri)]
    if strange:
        found.wrong["redirect_uri"] = (
            f"{strange[0][:80]} cannot be a redirect URI. Enter an absolute http or https address without a fragment."
        )
    elif not 1 <= len(found.redirect_uris) <= URIS:
        found.wrong["redirect_uri"] = f"Enter 1 to {URIS} absolute http or https addresses, one per line."
    return found


def _list(given: object) -> list[str] | None:
    if isinstance(given, str):
        return [given]
    if isinstance(given, list) and all(isinstance(item, str) for item in given):
        return given
    return None


def _is_redirect_uri(uri: str) -> bool:
    if len(uri) > URI_CHARACTERS or not uri.isascii() or not uri.isprintable() or " " in uri or "#" in uri:
        return False
    try:
        parts = urlsplit(uri)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
