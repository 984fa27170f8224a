"""Samples: one real call with everything that can be said of it, what was sent and what came, secrets masked."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import orjson

from keyturn import redaction
from keyturn.columns.shapes import MAIN, Shape, Shaper
from keyturn.errors import KeyturnError
from keyturn.model.connections import Connection
from keyturn.model.tables import TableSettings
from keyturn.rest import fillings
from keyturn.rest.detect import lists_in
from keyturn.rest.excerpts import hides, hides_sent, indented
from keyturn.rest.paginators import NoPagination
from keyturn.rest.rows import parse_body, rows_at, to_json
from keyturn.services import connections, tables
from keyturn.services.context import Context
from keyturn.services.endpoints import EVERYTHING, Asked
from keyturn.services.filled import spellings
from keyturn.services.tables import Detected, Preview
from keyturn.wire import Request, Response

BODY_CHARACTERS = 20_000
# A secret that begins before the end of what is shown is masked whole.
_BEHIND_CHARACTERS = 8_192
_SHORTEST_SECRET = 6
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


async def of_table(
    ctx: Context, table_id: str, *, limit: int = 100, asked: Asked = EVERYTHING
) -> tuple[Preview, dict[str, Any]]:
    """The sample of a saved table, and its `exchange`. Raises what `tables.preview` raises."""
    preview = await tables.preview(ctx, table_id, limit=limit, asked=asked)
    table = await tables.get(ctx, table_id)
    connection = await connections.get(ctx, table.settings.connection_id)
    return preview, exchange(connection, preview, asked)


def exchange(connection: Connection, preview: Preview, asked: Asked = EVERYTHING) -> dict[str, Any]:
    """`request` and `response` of a sample as people may see them; what is masked in one is masked in the other.

    The sign-in is in neither, nor in the request's `curl`. Of the response the beginning is shown; `cut` says so.
    """
    hidden = tuple(form for value in _keys(preview.request, asked) for form in spellings(value))
    request, response = _request(connection, preview.request), _response(preview.response, hidden)
    return {"request": {name: _without(value, hidden) for name, value in request.items()}, "response": response}


def raw_rows(preview: Preview, settings: TableSettings, asked: Asked = EVERYTHING) -> list[str]:
    """The sampled rows as the API sent them, as JSON text, masked as in `exchange`; none where that is not known."""
    try:
        came = rows_at(parse_body(preview.response, settings.format), settings.rows_path)
    except KeyturnError:
        return []
    if settings.expand is not None:
        # Each of the rows that an item became shows the row that it came in.
        one_each = Shape(expand=settings.expand)
        came = [row for row in came for _ in Shaper(one_each).add([row])[MAIN]]
    if len(came) < len(preview.rows):
        return []
    hidden = tuple(form for value in _keys(preview.request, asked) for form in spellings(value))
    texts = [to_json(row).decode("utf-8", "replace") for row in came[: len(preview.rows)]]
    return [indented(_without(redaction.values(text), hidden))[:BODY_CHARACTERS] for text in texts]


def lists(response: Response) -> list[tuple[str, int]]:
    """The lists in an answer, by where they are, with how many items each has."""
    try:
        return lists_in(parse_body(response))
    except KeyturnError:
        return []


def _request(connection: Connection, request: Request) -> dict[str, Any]:
    headers = {
        name: redaction.MASK if hides_sent(name) and not fillings.names_secret(v) else redaction.text(v)
        for name, v in request.headers.items
    }
    body = redaction.values(indented((request.body or b"").decode("utf-8", "replace")))
    curl = _curl(connection, request, body)
    return {"method": request.method, "url": _url(request.url), "headers": headers, "body": body, "curl": curl}


def _response(response: Response, hidden: tuple[str, ...]) -> dict[str, Any]:
    masked = {"set-cookie", "www-authenticate"}
    headers = {
        name: redaction.MASK if name.lower() in masked or hides(name) else _without(redaction.values(value), hidden)
        for name, value in response.headers.items
    }
    text = response.body[: (BODY_CHARACTERS + _BEHIND_CHARACTERS) * 4].decode("utf-8", "replace")
    text = _without(redaction.values(text[: BODY_CHARACTERS + _BEHIND_CHARACTERS]), hidden)
    cut = len(text) > BODY_CHARACTERS
    return {"status": response.status, "headers": headers, "body": indented(text[:BODY_CHARACTERS]), "cut": cut}


def _keys(request: Request, asked: Asked) -> set[str]:
    """The values that are sent under the name of a secret: an answer may repeat them under any."""
    query = parse_qsl(urlsplit(request.url).query)
    pairs = [(name, value) for name, value in (*query, *request.headers.items) if hides_sent(name)]
    pairs += [(name, str(value)) for name, value in asked.parameters.items() if hides(name)]
    pairs += [pair for pair in _texts(_json(request.body)) if hides(pair[0])]
    return {text for _, text in pairs if len(text) >= _SHORTEST_SECRET and not fillings.names_secret(text)}


def _json(body: bytes | None) -> Any:
    try:
        return orjson.loads(body or b"null")
    except orjson.JSONDecodeError:
        return None


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """The texts in JSON, with the name of the field that each is in."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, name)
    elif isinstance(value, str):
        yield name, value


def _without(value: Any, hidden: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        return {name: _without(text, hidden) for name, text in value.items()}
    for secret in sorted(hidden, key=len, reverse=True):
        value = value.replace(secret, redaction.MASK)
    return value


def _all(found: Detected) -> tuple[dict[str, str], ...]:
    """The evidence, and what a person should know of settings nobody searched for."""
    settings, more = found.settings, list(found.evidence)
    for at, values in (("query", settings.query), ("headers", settings.headers)):
        for name in values:
            if hides_sent(name) and not fillings.names_secret(values[name]):
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
    masked = [(n, redaction.MASK if hides_sent(n) and not fillings.names_secret(v) else v) for n, v in pairs]
    query = urlencode(masked, safe="•/:,{}")
    netloc = parts.netloc.rpartition("@")[2]
    return redaction.values(urlunsplit((parts.scheme, netloc, parts.path, query, "")))


def _curl(connection: Connection, request: Request, body: str) -> str:
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
        shown = shlex.quote(f"{name}: {redaction.values(value)}")
        words += ["-H", f'"{name}: ${_variable(name)}"' if hides_sent(name) else shown]
    if body:
        words += ["--data", shlex.quote(body)]
    return " ".join(words)


def _variable(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in name).upper()
