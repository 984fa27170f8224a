"""A request and its answer as people may see them: secrets masked, and the same request as a cURL line to run."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from keyturn import redaction
from keyturn.wire import Request, Response

_OPEN_HEADERS = frozenset({"accept", "content-type", "user-agent"})
_BODY_CHARACTERS = 2000
# What is asked for in place of a secret, where its name tells which.
_PLACES = {"client_secret": "$CLIENT_SECRET", "code": "$CODE", "code_verifier": "$CODE_VERIFIER"}


def shown(
    request: Request, response: Response | None, *, secrets: Iterable[str | None] = (), elapsed_ms: int = 0
) -> dict[str, Any]:
    """Request and answer for *Show request*. `secrets` are masked by value wherever they stand, under any name."""
    hidden = frozenset(secret for secret in secrets if secret)
    pairs = _pairs(request)
    headers = {name: _header(name, value) for name, value in request.headers.items}
    body = "&".join(f"{name}={redaction.MASK if _is_secret(name, value, hidden) else value}" for name, value in pairs)
    found: dict[str, Any] = {
        "request": {"method": request.method, "url": _url(request, hidden), "headers": headers, "body": body},
        "curl": curl(request, secrets=hidden),
        "elapsed_ms": elapsed_ms,
    }
    if response is not None:
        found["response"] = {
            "status": response.status,
            "content_type": response.content_type,
            "date": redaction.text(response.headers.get("date") or "", limit=60),
            "body": _answer(response, hidden),
        }
    return found


def curl(request: Request, *, secrets: Iterable[str | None] = ()) -> str:
    """The request as a shell line in which each secret is a variable to set before."""
    hidden = frozenset(secret for secret in secrets if secret)
    words = ["curl", "-sS", "-X", request.method, shlex.quote(_url(request, hidden))]
    for name, value in request.headers.items:
        if name.lower() == "authorization" and value.startswith("Basic "):
            words += ["-u", '"$CLIENT_ID:$CLIENT_SECRET"']
        elif name.lower() in _OPEN_HEADERS:
            words += ["-H", shlex.quote(f"{name}: {value}")]
        else:
            words += ["-H", f'"{name}: ${_variable(name)}"']
    content_type = request.headers.get("content-type") or ""
    if request.body and "json" in content_type:
        clean = {name: _PLACES.get(name, f"${_variable(name)}") if _is_secret(name, value, hidden) else value
                 for name, value in _pairs(request)}  # fmt: skip
        words += ["--data", shlex.quote(json.dumps(clean))]
    elif request.body:
        for name, value in _pairs(request):
            words += ["--data-urlencode", _field(name, value, hidden)]
    return " ".join(words)


def _field(name: str, value: str, hidden: frozenset[str]) -> str:
    if _is_secret(name, value, hidden):
        return f'"{name}={_PLACES.get(name, "$" + _variable(name))}"'
    return shlex.quote(f"{name}={value}")


def _variable(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in name).upper()


def _is_secret(name: str, value: str, hidden: frozenset[str]) -> bool:
    return redaction.is_secret_name(name) or value in hidden or redaction.text(value) != value


def _header(name: str, value: str) -> str:
    if name.lower() in _OPEN_HEADERS:
        return redaction.text(value, limit=200)
    return f"Basic {redaction.MASK}" if value.startswith("Basic ") else redaction.MASK


def _url(request: Request, hidden: frozenset[str]) -> str:
    clean = redaction.url(request.url)
    for name, value in parse_qsl(urlsplit(request.url).query):
        # A renamed secret in the query goes with the whole query: only its names remain.
        if value in hidden and not redaction.is_secret_name(name):
            return clean.partition("?")[0] + f"?{redaction.MASK}"
    return clean


def _pairs(request: Request) -> list[tuple[str, str]]:
    text = (request.body or b"").decode("utf-8", "replace")
    if "json" not in (request.headers.get("content-type") or ""):
        return parse_qsl(text, keep_blank_values=True)
    try:
        body = json.loads(text)
    except ValueError:
        return []
    return [(str(name), str(value)) for name, value in body.items()] if isinstance(body, dict) else []


def _answer(response: Response, hidden: frozenset[str]) -> str:
    text = response.body[:_BODY_CHARACTERS].decode("utf-8", "replace")
    for secret in hidden:
        text = text.replace(secret, redaction.MASK)
    try:
        text = json.dumps(redaction.fields(json.loads(text)), ensure_ascii=False)
    except (ValueError, RecursionError):
        pass
    return redaction.text(text, limit=500)
