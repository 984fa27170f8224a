"""Every URL on one page: the HTTP API for programs, the pages for people, and what the operator watches."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from keyturn.web import errors, operator
from keyturn.web.api import connections, imports, oauth_clients, proxy, tables, tokens
from keyturn.web.pages import authorizations
from keyturn.web.rendering import FOLDER

#  /healthz /readyz /metrics                      web/operator.py
#  /api/v1/oauth-clients…                         web/api/oauth_clients.py
#  /api/v1/connections… /api/v1/authorizations…   web/api/connections.py
#  /api/v1/connections/{id}/proxy/{path}          web/api/proxy.py
#  /api/v1/tables… /api/v1/reads…                 web/api/tables.py
#  /api/v1/imports…                               web/api/imports.py
#  /api/v1/tokens… /api/v1/me                     web/api/tokens.py
#  /connect/{link} /oauth2/callback…              web/pages/authorizations.py
#  /static/…                                      web/static/
API = (oauth_clients.router, connections.router, proxy.router, tables.router, imports.router, tokens.router)
PAGES = (authorizations.router,)


def build_routes(app: FastAPI) -> None:
    """Add every route to the app."""
    errors.install(app)
    app.include_router(operator.router)
    for router in (*API, *PAGES):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=FOLDER / "static"))
