"""Errors on their way out: the one table from code to HTTP status, and `application/problem+json` (RFC 9457)."""

from __future__ import annotations

import math
import secrets
from typing import Any
from urllib.parse import quote

import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from keyturn import redaction
from keyturn.errors import Invalid, KeyturnError, NotFound, Problem, Unauthenticated
from keyturn.web import rendering

log = structlog.get_logger(__name__)

STATUS: dict[str, int] = {
    "invalid": 422,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "gone": 410,
    "conflict": 409,
    "reconnect_needed": 409,
    "incomplete_data": 409,
    "client_refused": 409,
    "limit_reached": 429,
    "unavailable": 503,
    "upstream": 502,
    "upstream_timeout": 504,
    "internal": 500,
}
TITLES: dict[str, str] = {
    "invalid": "Something to fix",
    "unauthenticated": "Not signed in",
    "forbidden": "Not allowed",
    "not_found": "Not found",
    "gone": "Not there any more",
    "conflict": "It clashes with what is there",
    "reconnect_needed": "Reconnect needed",
    "incomplete_data": "Incomplete data",
    "client_refused": "The OAuth 2.0 client was refused",
    "limit_reached": "Too many requests",
    "unavailable": "Not available just now",
    "upstream": "The end system had trouble",
    "upstream_timeout": "The end system did not answer in time",
    "internal": "Something of ours failed",
}


def request_id(request: Request) -> str:
    """The id of this request, for people to name and for the log."""
    if not hasattr(request.state, "request_id"):
        request.state.request_id = secrets.token_hex(8)
    return str(request.state.request_id)


def problem(request: Request, error: KeyturnError, *, status: int | None = None) -> Response:
    """An error as problem details; values are cleaned of secrets once more on the way."""
    code = error.code
    problems: tuple[Problem, ...] = getattr(error, "problems", ())
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": TITLES.get(code, "Error"),
        "status": status or STATUS.get(code, 500),
        "detail": redaction.text(error.message, limit=2000),
        "code": code,
        "request_id": request_id(request),
    }
    if error.message_code:
        body["message_code"] = error.message_code
    if problems:
        body["errors"] = [{"at": item.at, "message": redaction.text(item.message, limit=1000)} for item in problems]
    for name, value in error.details.items():
        body.setdefault(name, redaction.fields(value))
    headers = {"Keyturn-Error": code, "Cache-Control": "no-store"}
    wait = getattr(error, "retry_after_seconds", None)
    if wait is not None:
        body["retry_after"] = max(1, math.ceil(wait))
        headers["Retry-After"] = str(body["retry_after"])
    if body["status"] == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(orjson.dumps(body, default=str), body["status"], headers, media_type="application/problem+json")


def answer(request: Request, error: KeyturnError, *, status: int | None = None) -> Response:
    """Problem details for programs, a page for people."""
    status = getattr(request.state, "status", None) or status or STATUS.get(error.code, 500)
    accepted = request.headers.get("accept", "*/*")
    if request.url.path.startswith("/api/") or not ("text/html" in accepted or "*/*" in accepted):
        return problem(request, error, status=status)
    if isinstance(error, Unauthenticated) and request.method in {"GET", "HEAD"}:
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/sign-in?next={quote(here, safe='')}", 303)
    if error.details.get("second_factor") is True and request.method in {"GET", "HEAD"}:
        return RedirectResponse("/preferences/second-factor", 303)
    return rendering.page(
        "problem.html",
        status=status,
        request=request,
        title=TITLES.get(error.code, "Error"),
        sentence=redaction.text(error.message, limit=2000),
        message_code=error.message_code,
        request_id=request_id(request),
        prove=error.details.get("reauthenticate") is True,
    )


def internal(request: Request, error: Exception) -> KeyturnError:
    """An unexpected error: logged whole, shown as an id."""
    log.error("internal_error", request_id=request_id(request), path=request.url.path, exc_info=error)
    return KeyturnError(f"Something of ours failed. Its id is {request_id(request)}; the log has the rest.")


def translated(error: HTTPException | RequestValidationError) -> KeyturnError:
    """The web framework's own errors in our words."""
    if isinstance(error, RequestValidationError):
        found = tuple(
            Problem(".".join(str(part) for part in item["loc"][1:]) or "body", f"{item['msg']}.")
            for item in error.errors()
        )
        return Invalid(problems=found)
    if error.status_code == 404:
        return NotFound("There is nothing at this address.")
    if error.status_code == 405:
        return Invalid("This address does not take that method.")
    return Invalid(redaction.text(error.detail, limit=300))


def install(app: FastAPI) -> None:
    """Teach the app to answer every error: problem details for programs, a page for people."""

    async def ours(request: Request, error: Exception) -> Response:
        found = error if isinstance(error, KeyturnError) else internal(request, error)
        return answer(request, found)

    async def framework(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else None
        found = (
            translated(error) if isinstance(error, HTTPException | RequestValidationError) else internal(request, error)
        )
        return answer(request, found, status=status)

    app.add_exception_handler(KeyturnError, ours)
    app.add_exception_handler(HTTPException, framework)
    app.add_exception_handler(RequestValidationError, framework)
    app.add_exception_handler(Exception, ours)
