"""Connections: list, new, and one connection's health, tables and settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from keyturn.errors import Invalid, KeyturnError, Problem
from keyturn.model.connections import (
    ACCESS_LABELS,
    SECRET_FIELD,
    STATUS_WORDS,
    Connection,
    ConnectionSettings,
    HeadersAuth,
    OAuth2Auth,
    forecast,
    why,
)
from keyturn.model.ids import slug_of
from keyturn.services import (
    connection_lists,
    connection_tests,
    connections,
    events,
    oauth_clients,
    reconnect_links,
    tables,
)
from keyturn.web import forms, rendering
from keyturn.web.auth import Visit, visit, visit_for
from keyturn.web.pages import health

router = APIRouter(prefix="/connections", include_in_schema=False)
Here = Annotated[Visit, Depends(visit)]
Maker = Annotated[Visit, Depends(visit_for("connections.create"))]
OTHER_WAYS = {
    "none": "No sign-in",
    "basic": "User name and password",
    "bearer": "A token, sent as Authorization: Bearer",
    "header": "A key in a header",
    "headers": "Keys in several headers",
    "query": "A key in the address",
}
FIELDS = (
    "name",
    "base_url",
    "access",
    "auth",
    "auth.name",
    "auth.username",
    "auth.secret",
    "auth.headers",
    "headers",
    "query",
)
PAGE = 50
SHOWS = {"": "Everything", "problems": "Problems", "sign_ins": "Sign-ins"}
DONE = {
    "connected": "Connected.",
    "saved": "Saved.",
    "paused": "Paused. Nothing is read until it is resumed.",
    "resumed": "Resumed.",
    "created": "Created.",
}


@router.get("")
async def list_(
    visit: Here, done: str = "", end_user: str = "", status: str = "", cursor: str | None = None
) -> Response:
    """The connections the person may see, a page at a time: all, an end user's, or those in a state."""
    wanted = connection_lists.Wanted(end_user=end_user.strip() or None, status=status or None)
    found, onward = await connection_lists.page(visit.ctx, wanted, cursor=cursor)
    clients = await oauth_clients.list_(visit.ctx)
    return await rendering.shell(
        visit,
        "connections/list.html",
        active="connections",
        connections=found,
        wanted=wanted,
        sendable={
            one.id for one in found if one.status == "reconnect_needed" and reconnect_links.may_send(visit.ctx, one)
        },
        onward=None if onward is None else urlencode({"end_user": end_user, "status": status, "cursor": onward}),
        has_clients=bool(clients),
        words=STATUS_WORDS,
        why=why,
        done=done,
    )


@router.get("/new")
async def new(visit: Maker, oauth_client_id: str = "") -> Response:
    """Steps 1 and 2 on one page, so that nothing typed is lost between them."""
    clients = await oauth_clients.list_(visit.ctx)
    chosen = oauth_client_id or (clients[0].id if len(clients) == 1 else "")
    values: dict[str, Any] = {"auth": f"client:{chosen}" if chosen else ""}
    if chosen:
        values["name"] = next((name_from(client.name) for client in clients if client.id == chosen), "")
    return await _new(visit, forms.Form(values))


@router.post("/new")
async def create(request: Request, visit: Here) -> Response:
    """Make it; a connection on an OAuth 2.0 client goes on to step 3."""
    sent = forms.typed(await request.form())

    async def do() -> str:
        made = await connections.create(visit.ctx, _raw(sent))
        onward = "/sign-in" if made.settings.auth.type == "oauth2" else "?done=created"
        return f"/connections/{made.id}{onward}"

    async def again(error: KeyturnError, status: int) -> Response:
        kept = {name: value for name, value in sent.items() if name not in {"auth.secret", "auth.headers"}}
        return await _new(visit, _failed(error, kept), status=status)

    return await forms.attempt(do, again)


@router.get("/{connection_id}")
async def show(visit: Here, connection_id: str, done: str = "") -> Response:
    """Health: what is true now, what happened, and who reads as whom."""
    connection = await connections.get(visit.ctx, connection_id)
    return await health_page(visit, connection, sentence=DONE.get(done))


@router.post("/{connection_id}/test")
async def test(request: Request, visit: Here, connection_id: str) -> Response:
    """Test it step by step and show the steps."""
    path = str((await request.form()).get("path", "")).strip()
    try:
        steps = await connection_tests.run(visit.ctx, connection_id, path=path or None)
    except forms.MENDABLE as error:
        found = await connections.get(visit.ctx, connection_id)
        return await health_page(visit, found, error=error.message, status=409)
    return await health_page(visit, await connections.get(visit.ctx, connection_id), steps=steps, path=path)


@router.get("/{connection_id}/tables")
async def its_tables(visit: Here, connection_id: str) -> Response:
    """The tables on it."""
    connection = await connections.get(visit.ctx, connection_id)
    found = await tables.list_(visit.ctx, connection_id)
    return await detail_page(visit, connection, "tables", tables=found)


@router.get("/{connection_id}/settings")
async def settings(visit: Here, connection_id: str, done: str = "") -> Response:
    """Its settings, pause, disconnect and delete."""
    connection = await connections.get(visit.ctx, connection_id)
    return await _settings(visit, connection, forms.Form(_values_of(connection)), sentence=DONE.get(done))


@router.post("/{connection_id}/settings")
async def update(request: Request, visit: Here, connection_id: str) -> Response:
    """Save them. Another scheme, host or port destroys the sign-in, which the page says beforehand."""
    connection = await connections.get(visit.ctx, connection_id)
    sent = forms.typed(await request.form())

    async def do() -> str:
        await connections.update(visit.ctx, connection_id, _patch(sent, connection))
        return f"/connections/{connection_id}/settings?done=saved"

    async def again(error: KeyturnError, status: int) -> Response:
        kept = {name: value for name, value in sent.items() if name not in {"auth.secret", "auth.headers"}}
        return await _settings(visit, connection, _failed(error, kept), status=status)

    return await forms.attempt(do, again)


@router.post("/{connection_id}/pause")
async def pause(request: Request, visit: Here, connection_id: str) -> Response:
    """Pause or resume it."""
    paused = (await request.form()).get("paused") == "yes"
    await connections.update(visit.ctx, connection_id, {"paused": paused})
    return RedirectResponse(f"/connections/{connection_id}?done={'paused' if paused else 'resumed'}", 303)


@router.post("/{connection_id}/disconnect")
async def disconnect(request: Request, visit: Here, connection_id: str) -> Response:
    """Destroy the sign-in, and say what became of it at the end system."""
    revoke = (await request.form()).get("revoke") == "yes"
    result = await connection_tests.disconnect(visit.ctx, connection_id, revoke=revoke)
    connection = await connections.get(visit.ctx, connection_id)
    return await health_page(visit, connection, sentence=f"Disconnected. {result.sentence}")


@router.post("/{connection_id}/delete")
async def delete(visit: Here, connection_id: str) -> Response:
    """Delete it with its tables."""
    await connections.delete(visit.ctx, connection_id)
    return RedirectResponse("/connections?done=deleted", 303)


def name_from(client_name: str) -> str:
    """A connection's name to begin with: the first word of the client's, as a table name needs it."""
    name = re.sub(r"[^a-z0-9_]", "_", slug_of(client_name))
    return name if name[:1].isalpha() else f"c_{name}"


async def health_page(visit: Visit, connection: Connection, *, status: int = 200, **more: Any) -> Response:
    """The Health tab, with what just happened. The address says which part of the timeline is shown."""
    asked, ctx = visit.request.query_params, visit.ctx
    show = asked.get("show", "")
    found, older = await events.of_connection(ctx, connection, show=show, limit=PAGE, cursor=asked.get("cursor"))
    now = ctx.clock()
    days = health.days(await events.turns(ctx, connection, since=now - health.DAYS * 86400), connection, now=now)
    given: dict[str, Any] = {"steps": None, "sentence": None, "error": None, **more}
    drawn = {"days": days, "key": health.key(days), "spans": health.spans(days), "outlook": forecast(connection)}
    timeline = {"events": found, "older": older, "show": show, "shows": SHOWS}
    return await detail_page(visit, connection, "health", status=status, **drawn, **timeline, **given)


async def detail_page(visit: Visit, connection: Connection, tab: str, *, status: int = 200, **more: Any) -> Response:
    """One of its tabs."""
    client = None
    if connection.oauth_client_id is not None:
        client = await oauth_clients.get(visit.ctx, connection.oauth_client_id)
    return await rendering.shell(
        visit,
        f"connections/{tab}.html",
        active="connections",
        status=status,
        connection=connection,
        client=client,
        tab=tab,
        words=STATUS_WORDS,
        access_labels=ACCESS_LABELS,
        other_ways=OTHER_WAYS,
        health_sentence=health.sentence(connection),
        missing=health.missing_scopes(connection),
        mine=connection.owner_id == visit.ctx.actor.account_id,
        reads_as=connection.reads_as(visit.ctx.actor.account_id),
        **more,
    )


async def _new(visit: Visit, form: forms.Form, *, status: int = 200) -> Response:
    clients = await oauth_clients.list_(visit.ctx)
    return await rendering.shell(
        visit,
        "connections/new.html",
        active="connections",
        status=status,
        form=form,
        labels=forms.labels(ConnectionSettings),
        clients=clients,
        names={client.id: name_from(client.name) for client in clients},
        access_labels=ACCESS_LABELS,
        other_ways=OTHER_WAYS,
    )


async def _settings(
    visit: Visit, connection: Connection, form: forms.Form, *, sentence: str | None = None, status: int = 200
) -> Response:
    labels = forms.labels(ConnectionSettings)
    return await detail_page(visit, connection, "settings", status=status, form=form, labels=labels, sentence=sentence)


def _failed(error: KeyturnError, kept: Mapping[str, Any]) -> forms.Form:
    """Problems of hand-issued credentials are drawn at the one field that holds them."""
    drawn = (*FIELDS, *(name for name in kept if name.startswith("variables.")))
    # A new connection's fields say whose variable it is, since every client's are on the page.
    client_id = str(kept.get("auth", "")).removeprefix("client:")
    for item in getattr(error, "problems", ()):
        if item.at.startswith("variables.") and item.at not in drawn:
            renamed = Problem(f"variables.{client_id}.{item.at.removeprefix('variables.')}", item.message)
            error = Invalid(problems=(renamed,))
    form = forms.failed(error, kept, (*drawn, "auth.oauth_client_id", "auth.password", "auth.token", "auth.value"))
    moved = {"auth.oauth_client_id": "auth", "auth.password": "auth.secret", "auth.token": "auth.secret"}
    moved["auth.value"] = "auth.secret"
    problems = {moved.get(name, name): message for name, message in form.problems.items()}
    return forms.Form(form.values, problems, form.sentence, form.message_code)


def _raw(sent: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {name: sent[name] for name in ("name", "base_url", "access") if sent.get(name)}
    found["service_account"] = sent.get("service_account") == "yes"
    found["headers"] = forms.pairs(sent.get("headers", ""), at="headers", separator=":")
    found["query"] = forms.pairs(sent.get("query", ""), at="query")
    if auth := _auth(sent):
        found["auth"] = auth
    chosen = f"variables.{sent.get('auth', '').removeprefix('client:')}."
    found["variables"] = {name.removeprefix(chosen): value for name, value in sent.items() if name.startswith(chosen)}
    return found


def _auth(sent: Mapping[str, str]) -> dict[str, Any] | None:
    chosen = sent.get("auth", "")
    if chosen.startswith("client:"):
        return {"type": "oauth2", "oauth_client_id": chosen.removeprefix("client:")}
    if chosen not in OTHER_WAYS:
        return None
    auth: dict[str, Any] = {"type": chosen}
    if chosen == "basic":
        auth["username"] = sent.get("auth.username", "")
    if chosen in {"header", "query"}:
        auth["name"] = sent.get("auth.name", "")
    if chosen == "headers":
        auth["headers"] = forms.pairs(sent.get("auth.headers", ""), at="auth.headers", separator=":") or None
    elif chosen in SECRET_FIELD and sent.get("auth.secret"):
        auth[SECRET_FIELD[chosen]] = sent["auth.secret"]
    return auth


def _patch(sent: Mapping[str, str], connection: Connection) -> dict[str, Any]:
    found: dict[str, Any] = {name: sent[name] for name in ("name", "base_url", "access") if name in sent}
    found["service_account"] = sent.get("service_account") == "yes"
    before = connection.settings
    headers = forms.pairs(sent.get("headers", ""), at="headers", separator=":")
    found["headers"] = forms.merged_pairs(headers, before.headers)
    found["query"] = forms.merged_pairs(forms.pairs(sent.get("query", ""), at="query"), before.query)
    asked = {name: sent[f"variables.{name}"] for name in before.variables if f"variables.{name}" in sent}
    found |= {"variables": asked} if asked else {}
    secret = SECRET_FIELD.get(before.auth.type)
    if isinstance(before.auth, HeadersAuth) and sent.get("auth.headers", "").strip():
        keys = forms.pairs(sent["auth.headers"], at="auth.headers", separator=":")
        found["auth"] = {"headers": keys}
    elif secret is not None and sent.get("auth.secret"):
        found["auth"] = {secret: sent["auth.secret"]}
    return found


def _values_of(connection: Connection) -> dict[str, Any]:
    settings = connection.settings
    auth = settings.auth
    return {
        "name": settings.name,
        "base_url": settings.base_url,
        "access": settings.access,
        "auth": f"client:{auth.oauth_client_id}" if isinstance(auth, OAuth2Auth) else auth.type,
        "headers": forms.lines_of(settings.headers, ": "),
        "query": forms.lines_of(settings.query),
        "service_account": "yes" if settings.service_account else "",
        **{f"variables.{name}": value for name, value in settings.variables.items()},
    }
