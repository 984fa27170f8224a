"""The demo end system's pages: its own look, no script from elsewhere, nothing inline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.templating import Jinja2Templates

FOLDER = Path(__file__).parent
_templates = Jinja2Templates(directory=FOLDER / "templates")
# Consent leads on to the app by a redirect after a form post, so form-action cannot be 'self' alone.
_POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; frame-ancestors 'none'"


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """A page from a template."""
    response: HTMLResponse = _templates.TemplateResponse(
        request, template, {"public_url": request.app.state.public_url, **values}, status_code=status
    )
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response


def wants_json(request: Request) -> bool:
    """Programs ask for JSON; people's browsers ask for pages."""
    return "application/json" in request.headers.get("accept", "")
