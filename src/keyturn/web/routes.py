"""Every URL on one page: the HTTP API for programs, the pages for people, and what the operator watches."""

from __future__ import annotations

from functools import cache

from fastapi import FastAPI
from starlette.routing import BaseRoute
from starlette.staticfiles import StaticFiles

from keyturn.web import errors, keys, openapi, operator, pages
from keyturn.web.api import (
    audit,
    connect_links,
    connections,
    destinations,
    doctor,
    imports,
    invitations,
    members,
    notices,
    oauth_clients,
    organisations,
    presets,
    proxy,
    schedules,
    secrets,
    settings,
    shares,
    tables,
    tokens,
    webhooks,
    workspaces,
)
from keyturn.web.pages import authorizations, home, joining, preferences, sessions, setup, sign_ins
from keyturn.web.rendering import FOLDER

#  /healthz /readyz /metrics                      web/operator.py
#  /api/v1/oauth-clients…                         web/api/oauth_clients.py
#  /api/v1/presets…                               web/api/presets.py
#  /api/v1/connections… /api/v1/authorizations…   web/api/connections.py
#  /api/v1/connections/{id}/shares…               web/api/shares.py
#  /api/v1/connect-links…                         web/api/connect_links.py
#  /api/v1/connections/{id}/proxy/{path}          web/api/proxy.py
#  /api/v1/tables… /api/v1/reads…                 web/api/tables.py
#  /api/v1/imports…                               web/api/imports.py
#  /api/v1/schedules…                             web/api/schedules.py
#  /api/v1/tokens… /api/v1/me                     web/api/tokens.py
#  /api/v1/audit…                                 web/api/audit.py
#  /api/v1/members… /api/v1/service-accounts      web/api/members.py
#  /api/v1/invitations…                           web/api/invitations.py
#  /api/v1/notices                                web/api/notices.py
#  /api/v1/webhooks…                              web/api/webhooks.py
#  /api/v1/secrets…                               web/api/secrets.py
#  /api/v1/settings…                              web/api/settings.py
#  /api/v1/organisation                           web/api/organisations.py
#  /api/v1/destinations…                          web/api/destinations.py
#  /api/v1/workspaces…                            web/api/workspaces.py
#  /api/v1/doctor                                 web/api/doctor.py
#  /                                              web/pages/home.py
#  /setup /setup/recovery-key                     web/pages/setup.py
#  /sign-in /sign-out… /prove                     web/pages/sessions.py
#  /admin/oauth-clients…                          web/pages/oauth_clients.py
#  /connections… (list, new, health, settings)    web/pages/connections.py
#  /connections/reconnect-links                   web/pages/reconnect_links.py
#  /connections/bulk… /schedules/bulk…            web/pages/bulk.py
#  /connections/{id}/sharing…                     web/pages/shares.py
#  /connections/{id}/links…                       web/pages/connect_links.py
#  /connections/{id}/sign-in …/authorizations…    web/pages/sign_ins.py
#  /tables… (list, builder, sample)               web/pages/tables.py
#  /tables/{id}/copy                              web/pages/table_copies.py
#  /tables/{id}/import /imports…                  web/pages/imports.py
#  /tables/{id}/schedule /schedules…              web/pages/schedules.py
#  /preferences… /api-tokens…                     web/pages/preferences.py
#  /admin/members…                                web/pages/members.py
#  /admin/audit-log…                              web/pages/audit.py
#  /admin/doctor                                  web/pages/doctor.py
#  /notices                                       web/pages/notices.py
#  /admin/settings…                               web/pages/settings.py, webhooks.py, destinations.py, organisations.py,
#                                                 secrets.py
#  /sign-in/organisation /prove/organisation      web/pages/organisations.py
#  /invitations/{link} /new-password/{link}       web/pages/joining.py
#  /sign-in/code /preferences/second-factor…      web/pages/second_factors.py
#  /oauth2/organisation/callback                  web/pages/organisations.py
#  /connect/{link} /oauth2/callback…              web/pages/authorizations.py
#  /oauth2/jwks/{slug}                            web/keys.py
#  /static/…                                      web/static/
API = (
    oauth_clients.router,
    presets.router,
    connections.router,
    shares.router,
    connect_links.router,
    proxy.router,
    doctor.router,
    tables.router,
    imports.router,
    schedules.router,
    secrets.router,
    tokens.router,
    audit.router,
    members.router,
    invitations.router,
    workspaces.router,
    notices.router,
    webhooks.router,
    settings.router,
    organisations.router,
    destinations.router,
)
PAGES = (
    home.router,
    setup.router,
    sessions.router,
    pages.oauth_clients.router,
    sign_ins.router,
    pages.bulk.router,
    pages.connections.router,
    pages.reconnect_links.router,
    pages.shares.router,
    pages.connect_links.router,
    pages.imports.router,
    pages.schedules.router,
    pages.tables.router,
    pages.table_copies.router,
    preferences.router,
    pages.members.router,
    pages.audit.router,
    pages.doctor.router,
    pages.notices.router,
    pages.settings.router,
    pages.webhooks.router,
    pages.destinations.router,
    pages.organisations.router,
    pages.second_factors.router,
    pages.secrets.router,
    joining.router,
    authorizations.router,
)


def build_routes(app: FastAPI) -> None:
    """Add every route to the app."""
    errors.install(app)
    app.router.routes.extend(included())
    openapi.install(app)
    app.mount("/static", StaticFiles(directory=FOLDER / "static"))


@cache
def included() -> tuple[BaseRoute, ...]:
    """All but the files, once for all apps of a process: the framework makes much of a route at its first request."""
    whole = FastAPI(openapi_url=None)
    whole.include_router(operator.router)
    whole.include_router(keys.router)
    for router in API:
        whole.include_router(router, responses=openapi.PROBLEMS)
    for router in PAGES:
        whole.include_router(router)
    return tuple(whole.routes)
