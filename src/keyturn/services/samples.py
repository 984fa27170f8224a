"""Samples for the builder: one real call with everything that can be said of it, and what was sent, secrets masked."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from keyturn import redaction
from keyturn.errors import KeyturnError
from keyturn.model.connections import Connection
from keyturn.model.tables import TableSettings
from keyturn.rest import fillings
from keyturn.rest.detect import lists_in
from keyturn.rest.excerpts import hides, indented
from keyturn.rest.paginators import NoPagination
from keyturn.rest.rows import parse_body
from keyturn.services import tables
from keyturn.services.context import Context
from keyturn.services.endpoints import EVERYTHING, Asked
from keyturn.services.tables import Detected, Preview
from keyturn.wire import Request, Response

BODY_CHARACTERS = 20_000
_SIGN_IN = {
    "oauth2": ("Authorization: Bearer $ACCESS_TOKEN", ""),
    "bearer": ("Authorization: Bearer $TOKEN", ""),
    "basic": ("", "$USERNAME:$PASSWORD"),
}


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at an endpoint found: completed settings with their evidence, and the sample they give."""

    settings: TableSettings
    evidence: tuple[dict[str, str], ...]
    preview: Preview


async def look(ctx: Context, raw: Mapping[str, Any], *, limit: int = 100, asked: Asked = EVERYTHING) -> Look:
    """Ask the endpoint of a draft once, and for page 2 as proof. Raises what `tables.detect` raises."""
    found = await tables.detect(ctx, raw, asked=asked)
    settings = found.settings
    if settings.expand is not None:
        draft = settings.model_dump(mode="json")
        return Look(settings, _all(found), await tables.preview_draft(ctx, draft, limit=limit, asked=asked))
    more = found.came > limit or not isinstance(settings.pagination, NoPagination)
    total = found.reported_total
    truncated = more if total is None else total > min(found.came, limit)
    preview = Preview(
        columns=found.columns,
        rows=found.rows[:limit],
        truncated=truncated,
        reported_total=total,
        stop_reason="max_rows" if truncated else "no_next",
        read_at=ctx.clock(),
        request=found.request,
        response=found.response,
    )
    return Look(settings, _all(found), preview)


def shown_request(connection: Connection, request: Request) -> dict[str, Any]:
    """A request as people may see it, and as a cURL line; the sign-in is in neither."""
    headers = {
        name: redaction.MASK if hides(name) and not fillings.names_secret(v) else redaction.text(v)
        for name, v in request.headers.items
    }
    body = indented((request.body or b"").decode("utf-8", "replace"))
    return {
        "method": request.method,
        "url": _url(request.url),
        "headers": headers,
        "body": redaction.values(body),
        "curl": _curl(connection, request),
    }


def shown_response(response: Response) -> dict[str, Any]:
    """An answer as people may see it: its status, headers and the beginning of its body."""
    hidden = {"set-cookie", "www-authenticate"}
    headers = {
        name: redaction.MASK if name.lower() in hidden or hides(name) else redaction.values(value)
        for name, value in response.headers.items
    }
    text = response.body[: BODY_CHARACTERS * 4].decode("utf-8", "replace")
    return {
        "status": response.status,
        "headers": headers,
        "body": redaction.values(indented(text[:BODY_CHARACTERS])),
        "cut": len(text) > BODY_CHARACTERS or len(response.body) > BODY_CHARACTERS * 4,
        "lists": _lists(response),
    }


def _lists(response: Response) -> list[tuple[str, int]]:
    try:
        return lists_in(parse_body(response))
    except KeyturnError:
        return []


def _all(found: Detected) -> tuple[dict[str, str], ...]:
    """The evidence, and what a person should know of settings nobody searched for."""
    settings, more = found.settings, list(found.evidence)
    for at, values in (("query", settings.query), ("headers", settings.headers)):
        for name in values:
            if hides(name) and not fillings.names_secret(values[name]):
                sentence = (
                    f"{name} looks like a key. Put keys in the connection, not in a table; URLs are logged by others."
                )
                more.append({"at": at, "sentence": sentence, "kind": "doubt"})
    asked = dict(parse_qsl(urlsplit(found.request.url).query, keep_blank_values=True))
    for name, value in settings.query.items():
        if "{{" in value and name in asked and not fillings.names_secret(value):
            more.append({"at": "query", "sentence": f"Resolved: {name}={asked[name]}"})
    if settings.incremental is not None and not settings.row_key:
        sentence = "Without a key, rows in the overlap may repeat."
        more.append({"at": "incremental", "sentence": sentence, "kind": "doubt"})
    return tuple(more)


def _url(url: str) -> str:
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    masked = [(n, redaction.MASK if hides(n) and not fillings.names_secret(v) else v) for n, v in pairs]
    query = urlencode(masked, safe="•/:,{}")
    netloc = parts.netloc.rpartition("@")[2]
    return redaction.values(urlunsplit((parts.scheme, netloc, parts.path, query, "")))


def _curl(connection: Connection, request: Request) -> str:
    """The request as a line for a shell; whoever runs it sets the variables that stand for the sign-in."""
    auth = connection.settings.auth
    header, user = _SIGN_IN.get(auth.type, ("", ""))
    words = ["curl", "-sS", "-X", request.method, shlex.quote(_url(request.url))]
    words += ["-H", f'"{header}"'] if header else []
    words += ["-u", f'"{user}"'] if user else []
    if auth.type == "header":
        words += ["-H", f'"{auth.name}: $API_KEY"']
    if auth.type == "query":
        words += ["-G", "--data-urlencode", f'"{auth.name}=$API_KEY"']
    for name, value in request.headers.items:
        told = f'"{name}: ${_variable(name)}"' if hides(name) else shlex.quote(f"{name}: {redaction.values(value)}")
        words += ["-H", told]
    if request.body:
        words += ["--data", shlex.quote(redaction.values(request.body.decode("utf-8", "replace")))]
    return " ".join(words)


def _variable(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in name).upper()
