"""Where a client's form can be filled from: a preset, an issuer, or an OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from keyturn.errors import Invalid, KeyturnError
from keyturn.model.presets import preset
from keyturn.services import discovery
from keyturn.services.context import Context

_OPENAPI_ENDINGS = (".json", ".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Source:
    """What was found, for the box above the form: both hosts, where it is written, and what to know.

    `issuer` is set where the server registers clients by itself.
    """

    title: str
    sign_in_host: str | None
    token_host: str
    base_url: str | None
    link: str | None
    notes: tuple[str, ...]
    issuer: str | None = None


async def found(ctx: Context, sent: Mapping[str, str]) -> tuple[Source, dict[str, Any]]:
    """The source and a client's fields. Raises `Invalid` and `UpstreamError`."""
    address = sent.get("address", "").strip()
    if sent.get("preset"):
        item = preset(sent["preset"])
        values = {name: sent.get(f"variables.{name}", "") for name in item.variables}
        settings = item.settings(values)
        return _source(item.name, settings, item.base_url(values), item.source, item.notes), settings
    if not address:
        raise Invalid("Choose an end system, or enter an issuer or the address of an OpenAPI document.", at="address")
    if urlsplit(address).path.lower().endswith(_OPENAPI_ENDINGS):
        draft = await discovery.discover(ctx, {"openapi_url": address})
    else:
        draft = await discovery.discover(ctx, {"issuer": address})
    host = urlsplit(address).hostname or "this address"
    found_there = _source(f"Found at {host}", draft.settings, draft.base_url, None, draft.evidence)
    issuer = draft.settings.get("advanced", {}).get("issuer") if draft.registers else None
    return replace(found_there, issuer=issuer), draft.settings


def problem_of(error: KeyturnError) -> str:
    """The one sentence for the picker."""
    return next((item.message for item in getattr(error, "problems", ())), error.message)


def _source(
    title: str, settings: Mapping[str, Any], base_url: str | None, link: str | None, notes: tuple[str, ...]
) -> Source:
    return Source(
        title,
        urlsplit(str(settings.get("authorization_url") or "")).hostname,
        urlsplit(str(settings["token_url"])).hostname or "",
        base_url,
        link,
        notes,
    )
