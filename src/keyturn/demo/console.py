"""The developer console, by page and by JSON: where a person makes the app that asks people for their data."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from keyturn.demo import data, faults, settings
from keyturn.demo.api import SCOPE_OF
from keyturn.demo.pages import own_pages_only, page, refused, wants_json
from keyturn.demo.settings import AppSettings
from keyturn.demo.state import PEOPLE, SCOPES, ClientApp, Demo, new_secret


def routes() -> list[Route]:
    """The console's addresses."""
    return [
        Route("/", home),
        Route("/console", home),
        Route("/sample-data", sample_data),
        Route("/console/apps", apps, methods=["GET"]),
        Route("/console/apps", create, methods=["POST"]),
        Route("/console/apps/{app_id}", show, methods=["GET"]),
        Route("/console/apps/{app_id}", change, methods=["POST"]),
        Route("/console/apps/{app_id}", delete, methods=["DELETE"]),
        Route("/console/apps/{app_id}/delete", delete, methods=["POST"]),
        Route("/console/apps/{app_id}/secrets", add_secret, methods=["POST"]),
        Route("/console/apps/{app_id}/secrets/{secret_id}/delete", delete_secret, methods=["POST"]),
    ]


async def home(request: Request) -> Response:
    """The list of apps and the form for a new one."""
    return _home(request, AppSettings(scopes=list(SCOPES)))


async def apps(request: Request) -> Response:
    """The apps as JSON, or the page."""
    if not wants_json(request):
        return await home(request)
    demo: Demo = request.app.state.demo
    return JSONResponse({"data": [_shown(request, app) for app in demo.apps.values()]})


@own_pages_only
async def create(request: Request) -> Response:
    """Create an app; its secret is shown on this answer alone."""
    demo: Demo = request.app.state.demo
    given = settings.read(await settings.sent(request))
    if given.wrong:
        return _wrong(given) if wants_json(request) else _home(request, given, status=422)
    app, value = demo.create_app(given.name, given.redirect_uris, given.scopes)
    return _with_secret(request, app, value)


async def show(request: Request) -> Response:
    """One app."""
    app = _app(request)
    if app is None:
        return _no_such_app(request)
    return JSONResponse(_shown(request, app)) if wants_json(request) else _app_page(request, app)


@own_pages_only
async def change(request: Request) -> Response:
    """Change the redirect URIs."""
    app = _app(request)
    if app is None:
        return _no_such_app(request)
    given = settings.read_redirect_uris(await settings.sent(request))
    if given.wrong:
        return _wrong(given) if wants_json(request) else _app_page(request, app, status=422, given=given)
    app.redirect_uris = given.redirect_uris
    request.app.state.demo.save()
    return _changed(request, app)


@own_pages_only
async def delete(request: Request) -> Response:
    """Delete an app, and end all sign-ins for it."""
    app = _app(request)
    if app is None:
        return _no_such_app(request)
    request.app.state.demo.delete_app(app.id)
    return Response(status_code=204) if request.method == "DELETE" else RedirectResponse("/console", 303)


@own_pages_only
async def add_secret(request: Request) -> Response:
    """A further secret; the old ones go if `replace` is sent."""
    app = _app(request)
    if app is None:
        return _no_such_app(request)
    secret, value = new_secret(request.app.state.demo.clock())
    if (await settings.sent(request)).get("replace"):
        app.secrets = []
    app.secrets.append(secret)
    request.app.state.demo.save()
    return _with_secret(request, app, value)


@own_pages_only
async def delete_secret(request: Request) -> Response:
    """A secret that works no more."""
    app = _app(request)
    if app is None:
        return _no_such_app(request)
    app.secrets = [secret for secret in app.secrets if secret.id != request.path_params["secret_id"]]
    request.app.state.demo.save()
    return _changed(request, app)


async def sample_data(request: Request) -> Response:
    """What there is to read, and who can sign in."""
    rows = {
        "orders": (len(data.orders()), "next URL in the body"),
        "customers": (len(data.customers()), "Link header"),
        "order_items": (len(data.order_items()), "page number"),
        "products": (len(data.products()), "offset and limit"),
        "events": (len(data.events()), "cursor, with a rate limit"),
        "countries": (len(data.countries()), "one page"),
    }
    endpoints = [(name, *rows[name], scope) for name, scope in SCOPE_OF.items()]
    return page(request, "sample_data.html", endpoints=endpoints, people=PEOPLE)


def _home(request: Request, typed: AppSettings, *, status: int = 200) -> Response:
    demo: Demo = request.app.state.demo
    shown = [_shown(request, app) for app in demo.apps.values()]
    return page(request, "console.html", apps=shown, scopes=SCOPES, typed=typed, wrong=typed.wrong, status=status)


def _app_page(
    request: Request, app: ClientApp, *, status: int = 200, value: str | None = None, given: AppSettings | None = None
) -> Response:
    given = given or AppSettings(redirect_uris=app.redirect_uris)
    buttons = faults.described(request.app.state.demo.faults, short=True)
    shown = _shown(request, app)
    return page(request, "app.html", app=shown, secret=value, typed=given, wrong=given.wrong, faults=buttons,
                status=status)  # fmt: skip


def _with_secret(request: Request, app: ClientApp, value: str) -> Response:
    if wants_json(request):
        shown = {**_shown(request, app), "client_secret": value, "client_secret_id": app.secrets[-1].id}
        return JSONResponse(shown, 201, {"Cache-Control": "no-store"})
    return _app_page(request, app, value=value, status=201)


def _changed(request: Request, app: ClientApp) -> Response:
    if wants_json(request):
        return JSONResponse(_shown(request, app))
    return RedirectResponse(f"/console/apps/{app.id}", 303)


def _wrong(given: AppSettings) -> Response:
    return JSONResponse({"errors": given.wrong}, 422)


def _no_such_app(request: Request) -> Response:
    return refused(request, 404, "not_found", "There is no such app.")


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


def _app(request: Request) -> ClientApp | None:
    found: ClientApp | None = request.app.state.demo.apps.get(request.path_params["app_id"])
    return found
