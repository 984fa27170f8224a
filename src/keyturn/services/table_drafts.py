"""Drafts of tables: out of what was pasted, or out of the description that an API publishes of itself.

A description is looked for without a credential first, under the Base URL and beside it; the connection's goes along
only to a place under the Base URL that asks for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from keyturn.errors import Invalid, KeyturnError
from keyturn.model.connections import Connection
from keyturn.rest.drafts import LONGEST, Found, drafts_of
from keyturn.services import calls, connections
from keyturn.services.context import Context
from keyturn.wire import Headers, Request

# Where the frameworks that write a description put it: FastAPI and most others, NestJS and hand-made ones, Spring.
PLACES = ("openapi.json", "openapi.yaml", "swagger.json", "v3/api-docs")
_TIMEOUT_SECONDS = 10.0


async def drafts(ctx: Context, raw: Mapping[str, Any]) -> Found:
    """Drafts out of `source`, or without one out of what the API of `connection_id` says of itself; nothing is saved.

    `source` is an address, a cURL line, an OpenAPI 3 document or a Postman collection. Raises `Invalid`, `NotFound`,
    and what a call raises when the API does not answer at all.
    """
    ctx.require_verb("tables.drafts")
    source = raw.get("source") or ""
    if not isinstance(source, str):
        raise Invalid("Paste a cURL line, an OpenAPI 3 document or a Postman collection.", at="source")
    connection = await connections.get(ctx, str(raw.get("connection_id", "")))
    base_url = connection.settings.base_url
    if source.strip():
        return drafts_of(source, base_url)
    if not base_url:
        raise Invalid(f"{connection.name} has no Base URL yet. Sign in first, or paste a description.", at="source")
    connections.require_use(ctx, connection)
    for url, under in _addresses(base_url):
        text = await _text(ctx, connection, url, under=under)
        found = _described(text, base_url) if text else None
        if found is not None:
            found.found_at = url
            return found
    host = urlsplit(base_url).hostname
    raise Invalid(
        f"{host} publishes no OpenAPI 3 description where we looked ({', '.join(PLACES)}). "
        "Paste one, or give the path of an endpoint.",
        at="source",
    )


def _addresses(base_url: str) -> list[tuple[str, bool]]:
    """Where to look, and whether that is under the Base URL."""
    parts = urlsplit(base_url)
    base, origin = base_url.rstrip("/"), f"{parts.scheme}://{parts.netloc}"
    found = [(f"{base}/{place}", True) for place in PLACES]
    return found if base == origin else [*found, *((f"{origin}/{place}", False) for place in PLACES)]


async def _text(ctx: Context, connection: Connection, url: str, *, under: bool) -> str | None:
    """The document at an address, or None where there is none."""
    request = Request("GET", url, Headers.of({"Accept": "application/json, application/yaml, */*"}))
    answer = await ctx.egress.send(request, timeout_seconds=_TIMEOUT_SECONDS, max_bytes=LONGEST)
    if under and answer.status in {401, 403}:
        answer = await calls.send(ctx, connection, request, timeout_seconds=_TIMEOUT_SECONDS, max_bytes=LONGEST)
    return answer.body.decode("utf-8", "replace") if answer.status == 200 else None


def _described(text: str, base_url: str) -> Found | None:
    """Its drafts, unless it is something else: a web page, or a description of an older kind."""
    try:
        found = drafts_of(text, base_url)
    except KeyturnError:
        return None
    return found if found.kind == "openapi" else None
