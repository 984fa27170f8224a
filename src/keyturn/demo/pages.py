"""The demo end system's pages: its own look, no script from elsewhere, nothing inline."""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.templating import Jinja2Templates

Answer = Callable[[Request], Awaitable[Response]]
FOLDER = Path(__file__).parent
_ORIGIN_CHARACTERS = re.compile(r"[A-Za-z0-9.:\[\]-]+")
_templates = Jinja2Templates(directory=FOLDER / "templates")
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def page(request: Request, template: str, *, status: int = 200, form_goes_to: str = "", **values: Any) -> Response:
    """A page from a template. `form_goes_to`: where the answer to its form may redirect, besides here."""
    response: HTMLResponse = _templates.TemplateResponse(
        request, template, {"public_url": request.app.state.public_url, **values}, status_code=status
    )
    target = urlsplit(form_goes_to)
    # Browsers hold redirects after a form post to form-action as well.
    origin = f" {target.scheme}://{target.netloc}" if _ORIGIN_CHARACTERS.fullmatch(target.netloc) else ""
    response.headers["Content-Security-Policy"] = f"{_POLICY}; form-action 'self'{origin}"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    return response


def sent_from_elsewhere(request: Request) -> bool:
    """Whether another site's page made the browser send this form. Pages without a referrer send Origin: null."""
    if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        return True
    own = {None, "null", request.app.state.public_url, f"{request.url.scheme}://{request.headers.get('host', '')}"}
    return request.headers.get("origin") not in own


def wants_json(request: Request) -> bool:
    """Programs ask for JSON; people's browsers ask for pages."""
    return "application/json" in request.headers.get("accept", "")


def own_pages_only(answer: Answer) -> Answer:
    """An address that changes something, closed to forms on other sites' pages."""

    @functools.wraps(answer)
    async def checked(request: Request) -> Response:
        if sent_from_elsewhere(request):
            return refused(request, 403, "forbidden", "This form was sent from another site.")
        return await answer(request)

    return checked


def refused(request: Request, status: int, error: str, sentence: str) -> Response:
    """An error as a page, or as JSON for programs."""
    if wants_json(request):
        return JSONResponse({"error": error, "message": sentence}, status)
    return page(request, "error.html", status=status, error=error, sentence=sentence)


async def http_error(request: Request, error: Exception) -> Response:
    """Addresses that are not there, and methods that an address does not know."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    name, sentence = {
        404: ("not_found", f"There is nothing at {request.url.path}."),
        405: ("method_not_allowed", f"{request.url.path} does not know {request.method}."),
    }.get(status, ("error", "Something went wrong on our side."))
    if request.url.path.startswith(("/api/", "/oauth2/")):
        answer: Response = JSONResponse({"error": name, "message": sentence}, status)
    else:
        answer = refused(request, status, name, sentence)
    answer.headers.update((isinstance(error, HTTPException) and error.headers) or {})
    return answer


def bearer(request: Request) -> str:
    """The access token of a request (RFC 6750 §2.1), or an empty text."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""
