"""The developer console, by page and by JSON, and the page that breaks things on purpose."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from keyturn.demo.pages import page, wants_json
from keyturn.demo.state import SCOPES, ClientApp, Demo, Faults, new_secret


def routes() -> list[Route]:
    """The console's addresses."""
    return [
        Route("/", home),
        Route("/console", home),
        Route("/console/apps", apps, methods=["GET"]),
        Route("/console/apps", create, methods=["POST"]),
        Route("/console/apps/{app_id}", show, methods=["GET"]),
        Route("/console/apps/{app_id}", change, methods=["POST"]),
        Route("/console/apps/{app_id}/secrets", add_secret, methods=["POST"]),
        Route("/console/apps/{app_id}/delete", delete, methods=["POST"]),
        Route("/break", break_page, methods=["GET"]),
        Route("/break", break_it, methods=["POST"]),
        Route("/break/log", log),
    ]


async def home(request: Request) -> Response:
    """The list of apps and the form for a new one."""
    return _home(request)


async def apps(request: Request) -> Response:
    """The apps as JSON, or the page."""
    if not wants_json(request):
        return _home(request)
    demo: Demo = request.app.state.demo
    return JSONResponse({"data": [_shown(request, app) for app in demo.apps.values()]})


async def create(request: Request) -> Response:
    """Create an app; its secret is shown on this answer alone."""
    demo: Demo = request.app.state.demo
    values = await _sent(request)
    wrong = _wrong(values)
    if wrong:
        if wants_json(request):
            return JSONResponse({"errors": wrong}, 422)
        return _home(request, wrong=wrong, typed=values, status=422)
    app, secret = demo.create_app(values["name"].strip(), values["redirect_uri"].strip(), _scopes(values))
    if wants_json(request):
        return JSONResponse({**_shown(request, app), "client_secret": secret}, 201)
    return page(request, "app.html", app=_shown(request, app), secret=secret, scopes=SCOPES, status=201)


async def show(request: Request) -> Response:
    """One app."""
    app = _app(request)
    if app is None:
        return page(request, "error.html", status=404, error="not_found", sentence="There is no such app.")
    if wants_json(request):
        return JSONResponse(_shown(request, app))
    return page(request, "app.html", app=_shown(request, app), secret=None, scopes=SCOPES)


async def change(request: Request) -> Response:
    """Change the redirect URI."""
    app = _app(request)
    values = await _sent(request)
    if app is None or "redirect_uri" in _wrong({"name": "x", **values}):
        sentence = "Enter an absolute http or https address without a fragment."
        return page(request, "error.html", status=422, error="invalid_redirect_uri", sentence=sentence)
    app.redirect_uris = [values["redirect_uri"].strip()]
    request.app.state.demo.save()
    if wants_json(request):
        return JSONResponse(_shown(request, app))
    return RedirectResponse(f"/console/apps/{app.id}", 303)


async def add_secret(request: Request) -> Response:
    """A further secret; the old ones go if `replace` is sent."""
    app = _app(request)
    if app is None:
        return page(request, "error.html", status=404, error="not_found", sentence="There is no such app.")
    secret, value = new_secret(request.app.state.demo.clock())
    if (await _sent(request)).get("replace"):
        app.secrets = []
    app.secrets.append(secret)
    request.app.state.demo.save()
    if wants_json(request):
        return JSONResponse({**_shown(request, app), "client_secret": value}, 201)
    return page(request, "app.html", app=_shown(request, app), secret=value, scopes=SCOPES, status=201)


async def delete(request: Request) -> Response:
    """Delete an app."""
    request.app.state.demo.apps.pop(request.path_params["app_id"], None)
    request.app.state.demo.save()
    return RedirectResponse("/console", 303)


async def break_page(request: Request) -> Response:
    """What can be broken, and what is."""
    demo: Demo = request.app.state.demo
    if wants_json(request):
        return JSONResponse(asdict(demo.faults))
    return page(request, "break.html", faults=demo.faults)


async def break_it(request: Request) -> Response:
    """Break one thing, or heal everything."""
    demo: Demo = request.app.state.demo
    values = await _sent(request)
    action = values.get("action", "")
    if action == "expire_access_tokens":
        demo.expire_access_tokens()
    elif action == "revoke_access":
        demo.revoke_grants()
    elif action == "heal":
        demo.faults = Faults()
    elif action in FAULTS:
        setattr(demo.faults, *FAULTS[action](demo.faults))
    else:
        return JSONResponse({"error": "unknown action", "actions": [*FAULTS, *_DIRECT]}, 422)
    demo.save()
    return JSONResponse(asdict(demo.faults)) if wants_json(request) else RedirectResponse("/break", 303)


_DIRECT = ("expire_access_tokens", "revoke_access", "heal")
FAULTS: dict[str, Any] = {
    "toggle_rotation": lambda f: ("rotate", not f.rotate),
    "toggle_rate_limit": lambda f: ("rate_limit", not f.rate_limit),
    "toggle_schema": lambda f: ("schema_changed", not f.schema_changed),
    "toggle_redirect_uri": lambda f: ("refuse_redirect_uri", not f.refuse_redirect_uri),
    "short_life": lambda f: ("access_token_seconds", 3600 if f.access_token_seconds < 3600 else 20),
    "api_429": lambda f: ("api_429s", f.api_429s + 1),
    "api_500": lambda f: ("api_500s", f.api_500s + 3),
    "token_500": lambda f: ("token_500s", f.token_500s + 1),
    "token_page": lambda f: ("token_pages", f.token_pages + 1),
}


async def log(request: Request) -> Response:
    """The token requests so far, without a secret in them."""
    return JSONResponse({"token_requests": request.app.state.demo.token_requests[-200:]})


def _home(request: Request, *, status: int = 200, **values: Any) -> Response:
    demo: Demo = request.app.state.demo
    shown = [_shown(request, app) for app in demo.apps.values()]
    given: dict[str, Any] = {"wrong": {}, "typed": {}, **values}
    return page(request, "console.html", apps=shown, scopes=SCOPES, status=status, **given)


def _shown(request: Request, app: ClientApp) -> dict[str, Any]:
    url = request.app.state.public_url
    return {
        "id": app.id,
        "client_id": app.id,
        "name": app.name,
        "redirect_uris": app.redirect_uris,
        "scopes": app.scopes,
        "secret_ids": [secret.id for secret in app.secrets],
        "authorization_url": f"{url}/oauth2/authorize",
        "token_url": f"{url}/oauth2/token",
        "revocation_url": f"{url}/oauth2/revoke",
        "api_url": f"{url}/api/v1",
    }


async def _sent(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").startswith("application/json"):
        values = await request.json()
        return values if isinstance(values, dict) else {}
    form = await request.form()
    return {**{name: str(value) for name, value in form.items()}, "scopes": [str(s) for s in form.getlist("scopes")]}


def _scopes(values: dict[str, Any]) -> list[str]:
    given = values.get("scopes") or []
    wanted = given.split() if isinstance(given, str) else [s for item in given for s in str(item).split()]
    return [scope for scope in SCOPES if scope in wanted]


def _wrong(values: dict[str, Any]) -> dict[str, str]:
    wrong: dict[str, str] = {}
    if not 1 <= len(str(values.get("name", "")).strip()) <= 80:
        wrong["name"] = "Enter a name of at most 80 characters."
    parts = urlsplit(str(values.get("redirect_uri", "")).strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.fragment:
        wrong["redirect_uri"] = "Enter an absolute http or https address without a fragment."
    if "scopes" in values and not _scopes(values):
        wrong["scopes"] = "Choose at least one scope."
    return wrong


def _app(request: Request) -> ClientApp | None:
    found: ClientApp | None = request.app.state.demo.apps.get(request.path_params["app_id"])
    return found
