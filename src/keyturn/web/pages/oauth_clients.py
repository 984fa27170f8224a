"""Workspace Admin › OAuth 2.0 clients: list, register, change, check, replace the secret, delete."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Mapping
from dataclasses import asdict
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from keyturn.errors import KeyturnError
from keyturn.model.client_secrets import in_words as day_in_words
from keyturn.model.client_secrets import reminder
from keyturn.model.lifetimes import in_words, parse_ms, units_warning
from keyturn.model.oauth_clients import AUTHENTICATION_TYPES, NewOAuthClient, OAuthClient, OAuthClientSettings
from keyturn.model.presets import presets, recognised, refresh_hint
from keyturn.services import (
    client_checks,
    client_keys,
    client_secrets,
    connection_lists,
    events,
    oauth_clients,
    reconnect_links,
    registrations,
)
from keyturn.services.client_checks import CheckResult
from keyturn.web import forms, rendering
from keyturn.web.auth import Visit, admin_visit, fresh_admin_visit
from keyturn.web.pages import client_form, client_sources

router = APIRouter(prefix="/admin/oauth-clients", include_in_schema=False)
Admin = Annotated[Visit, Depends(admin_visit)]
FreshAdmin = Annotated[Visit, Depends(fresh_admin_visit)]


@router.get("")
async def list_(visit: Admin, done: str = "") -> Response:
    """All of the workspace's clients."""
    found = await oauth_clients.list_(visit.ctx)
    return await rendering.shell(
        visit,
        "oauth_clients/list.html",
        active="oauth-clients",
        clients=found,
        types=AUTHENTICATION_TYPES,
        hosts={client.id: urlsplit(client.settings.token_url).netloc for client in found},
        done=done,
        day_in_words=day_in_words,
        reminders={
            client.id: reminder(client.used_secrets, client.name, visit.ctx.clock(), client.connections_total)
            for client in found
        },
    )


@router.get("/new")
async def new(visit: Admin) -> Response:
    """The register form."""
    return await _new(visit, forms.Form(client_form.values_of(None)))


@router.post("/new")
async def create(request: Request, visit: Admin) -> Response:
    """Register it; the page of the new client leads on to its first connection."""
    sent = forms.typed(await request.form())

    async def do() -> str:
        made = await oauth_clients.create(visit.ctx, client_form.raw(sent))
        return f"/admin/oauth-clients/{made.id}?done=created"

    async def again(error: KeyturnError, status: int) -> Response:
        return await _new(visit, forms.failed(error, client_form.kept(sent), client_form.FIELDS), status=status)

    return await forms.attempt(do, again)


@router.post("/fill")
async def fill(request: Request, visit: Admin) -> Response:
    """The form filled from a preset, an issuer's metadata or an OpenAPI document; what was typed in it is replaced."""
    sent = forms.typed(await request.form())
    try:
        source, settings = await client_sources.found(visit.ctx, sent)
    except forms.MENDABLE as error:
        problem = client_sources.problem_of(error)
        return await _new(visit, forms.Form(client_form.values_of(None)), picked=sent, problem=problem, status=422)
    return await _new(visit, forms.Form(client_form.filled(settings)), picked=sent, source=source)


@router.post("/registrations")
async def register(request: Request, visit: Admin) -> Response:
    """Let the server register us by itself; the form comes back with what is wrong."""
    sent = forms.typed(await request.form())
    raw = {name: value for name, value in sent.items() if value.strip()}

    async def do() -> str:
        made = await registrations.register(visit.ctx, raw)
        return f"/admin/oauth-clients/{made.id}?done=created"

    async def again(error: KeyturnError, status: int) -> Response:
        picked = {"address": sent.get("issuer", "")}
        source, settings = await client_sources.found(visit.ctx, picked)
        form = forms.Form({**client_form.filled(settings), "name": sent.get("name", "")})
        problem = client_sources.problem_of(error)
        return await _new(visit, form, picked=picked, source=source, problem=problem, status=status)

    return await forms.attempt(do, again)


@router.get("/recognised")
async def recognised_(visit: Admin, url: str = "") -> Response:  # noqa: ARG001 - the visit guards
    """The preset that a URL belongs to, offered while one types with what to know of it (E-NOREFRESH first of all)."""
    found = recognised(url)
    return JSONResponse({"id": found.id, "name": found.name, "notes": found.notes} if found else {})


@router.get("/refresh-hint")
async def refresh_hint_(visit: Admin, authorization_url: str = "", scopes: str = "", params: str = "") -> Response:  # noqa: ARG001
    """What is missing for a refresh token, said while one types instead of after the first sign-in (E-NOREFRESH)."""
    lines = (line.partition("=") for line in params.splitlines())
    found = refresh_hint(authorization_url, scopes, {name.strip(): value.strip() for name, _, value in lines})
    return JSONResponse(asdict(found) if found else {})


@router.post("/check")
async def check_draft(request: Request, visit: Admin) -> Response:
    """*Check client* before it exists; nothing is stored."""
    sent = forms.typed(await request.form())
    kept = client_form.kept(sent)
    try:
        result = await client_checks.check_draft(visit.ctx, client_form.raw(sent))
    except forms.MENDABLE as error:
        return await _new(visit, forms.failed(error, kept, client_form.FIELDS), status=422)
    return await _new(visit, forms.Form(kept), check=result)


@router.get("/redirect-uri")
async def redirect_uri(visit: Admin, name: str = "") -> Response:
    """The page's twin of the API route: what the form shows while the name is typed."""
    return JSONResponse({"redirect_uri": await oauth_clients.redirect_uri(visit.ctx, name)})


@router.get("/lifetime")
async def lifetime(visit: Admin, value: str = "", kind: str = "access") -> Response:  # noqa: ARG001 - the visit guards
    """A lifetime as it was typed, echoed in words."""
    return JSONResponse(lifetime_echo(value, refresh=kind == "refresh"))


@router.get("/{client_id}")
async def settings(visit: Admin, client_id: str, done: str = "") -> Response:
    """The client's settings."""
    client = await oauth_clients.get(visit.ctx, client_id)
    behind = await reconnect_links.count(visit.ctx, client) if done == "saved" else reconnect_links.NONE
    return await _detail(visit, client, "settings", done=done, behind=behind)


@router.post("/{client_id}")
async def update(request: Request, visit: FreshAdmin, client_id: str) -> Response:
    """Save the settings. A changed URL clears the secret unless it is given again."""
    client = await oauth_clients.get(visit.ctx, client_id)
    sent = forms.typed(await request.form())

    async def do() -> str:
        await oauth_clients.update(visit.ctx, client_id, client_form.patch(sent, client.settings))
        return f"/admin/oauth-clients/{client_id}?done=saved"

    async def again(error: KeyturnError, status: int) -> Response:
        form = forms.failed(error, client_form.kept(sent), client_form.FIELDS)
        return await _detail(visit, client, "settings", form=form, status=status)

    return await forms.attempt(do, again)


@router.post("/{client_id}/secrets")
async def replace_secret(request: Request, visit: FreshAdmin, client_id: str) -> Response:
    """Store a new secret."""
    client = await oauth_clients.get(visit.ctx, client_id)
    sent = forms.typed(await request.form())
    raw: dict[str, Any] = {"client_secret": sent["new_secret"]} if sent.get("new_secret") else {}
    raw |= {"keep_old": "keep_old" in sent, "expires_on": sent.get("expires_on", "")}

    async def do() -> str:
        await client_secrets.replace(visit.ctx, client_id, raw)
        return f"/admin/oauth-clients/{client_id}?done=secret"

    async def again(error: KeyturnError, status: int) -> Response:
        first = next((item.message for item in getattr(error, "problems", ())), error.message)
        form = forms.Form(client_form.values_of(client.settings), {"new_secret": first})
        return await _detail(visit, client, "settings", form=form, status=status)

    return await forms.attempt(do, again)


@router.post("/{client_id}/secrets/{secret_id}")
async def change_secret(request: Request, visit: FreshAdmin, client_id: str, secret_id: str) -> Response:
    """Set the day a stored secret expires on, let it be tried first, or take it away."""
    client = await oauth_clients.get(visit.ctx, client_id)
    sent = forms.typed(await request.form())

    async def do() -> str:
        if "remove" in sent:
            await client_secrets.remove(visit.ctx, client_id, secret_id)
        else:
            first = {"first": True} if "first" in sent else {}
            day = {"expires_on": sent.get("expires_on", "")}
            await client_secrets.change(visit.ctx, client_id, secret_id, {**day, **first})
        return f"/admin/oauth-clients/{client_id}?done=saved"

    async def again(error: KeyturnError, status: int) -> Response:
        first = next((item.message for item in getattr(error, "problems", ())), error.message)
        form = forms.Form(client_form.values_of(client.settings), {"new_secret": first})
        return await _detail(visit, client, "settings", form=form, status=status)

    return await forms.attempt(do, again)


@router.post("/{client_id}/keys")
async def add_key(visit: FreshAdmin, client_id: str) -> Response:
    """Make another key that signs."""
    return await _keys(visit, client_id, client_keys.add(visit.ctx, client_id))


@router.post("/{client_id}/keys/{key_id}")
async def remove_key(visit: FreshAdmin, client_id: str, key_id: str) -> Response:
    """Take a key away."""
    return await _keys(visit, client_id, client_keys.remove(visit.ctx, client_id, key_id))


@router.get("/{client_id}/connections")
async def users(visit: Admin, client_id: str, cursor: str | None = None) -> Response:
    """The connections on it."""
    client = await oauth_clients.get(visit.ctx, client_id)
    wanted = connection_lists.Wanted(oauth_client_id=client_id)
    found, more = await connection_lists.page(visit.ctx, wanted, cursor=cursor)
    behind = await reconnect_links.count(visit.ctx, client)
    return await _detail(visit, client, "connections", connections=found, more=more, behind=behind)


@router.get("/{client_id}/check")
async def check_page(visit: Admin, client_id: str) -> Response:
    """Where it can be checked."""
    return await _detail(visit, await oauth_clients.get(visit.ctx, client_id), "check")


@router.post("/{client_id}/check")
async def check(visit: Admin, client_id: str) -> Response:
    """Ask the Token URL with a made-up code."""
    client = await oauth_clients.get(visit.ctx, client_id)
    try:
        result = await client_checks.check(visit.ctx, client_id)
    except forms.MENDABLE as error:
        return await _detail(visit, client, "check", form=forms.failed(error, {}, ()), status=409)
    return await _detail(visit, client, "check", check=result)


@router.get("/{client_id}/history")
async def history(visit: Admin, client_id: str) -> Response:
    """What happened to it."""
    client = await oauth_clients.get(visit.ctx, client_id)
    return await _detail(visit, client, "history", events=await events.of_subject(visit.ctx, client_id))


@router.get("/{client_id}/delete")
async def delete_page(visit: Admin, client_id: str) -> Response:
    """What would stop, and the field to type its name into."""
    return await _delete(visit, await oauth_clients.get(visit.ctx, client_id), forms.Form())


@router.post("/{client_id}/delete")
async def delete(request: Request, visit: FreshAdmin, client_id: str) -> Response:
    """Delete it with its grants, once its name was typed."""
    client = await oauth_clients.get(visit.ctx, client_id)
    name = str((await request.form()).get("name", ""))
    if name.strip() != client.name:
        problem = forms.Form({"name": name}, {"name": f"Type {client.name} to delete it."})
        return await _delete(visit, client, problem, status=422)
    await registrations.delete(visit.ctx, client_id, force=True)
    return RedirectResponse("/admin/oauth-clients?done=deleted", 303)


def lifetime_echo(value: str, *, refresh: bool) -> dict[str, Any]:
    """The words under a lifetime, and the warning if it was most likely typed in seconds."""
    ms = parse_ms(value)
    if ms is None or (ms == 0 and not refresh):
        return {"ms": None, "words": "", "warning": None, "meant": None}
    words = "= does not expire, or unknown." if ms == 0 else f"= {in_words(ms)}."
    warning = units_warning(ms)
    return {"ms": ms, "words": words, "warning": warning, "meant": ms * 1000 if warning else None}


async def _keys(visit: Visit, client_id: str, change: Awaitable[OAuthClient]) -> Response:
    async def do() -> str:
        await change
        return f"/admin/oauth-clients/{client_id}?done=saved"

    async def again(error: KeyturnError, status: int) -> Response:
        client = await oauth_clients.get(visit.ctx, client_id)
        form = forms.Form(client_form.values_of(client.settings), sentence=error.message)
        return await _detail(visit, client, "settings", form=form, status=status)

    return await forms.attempt(do, again)


async def _new(
    visit: Visit,
    form: forms.Form,
    *,
    check: CheckResult | None = None,
    status: int = 200,
    picked: Mapping[str, str] | None = None,
    source: client_sources.Source | None = None,
    problem: str | None = None,
) -> Response:
    name = str(form.value("name"))
    return await rendering.shell(
        visit,
        "oauth_clients/new.html",
        active="oauth-clients",
        status=status,
        redirect_uri=await oauth_clients.redirect_uri(visit.ctx, name),
        check=check,
        presets=presets(),
        picked=picked or {},
        source=source,
        problem=problem,
        **_drawn(form),
    )


async def _detail(
    visit: Visit,
    client: OAuthClient,
    tab: str,
    *,
    form: forms.Form | None = None,
    done: str = "",
    check: CheckResult | None = None,
    status: int = 200,
    **more: Any,
) -> Response:
    given: dict[str, Any] = {"events": [], "connections": [], "behind": reconnect_links.NONE, **more}
    return await rendering.shell(
        visit,
        f"oauth_clients/{tab}.html",
        active="oauth-clients",
        status=status,
        client=client,
        tab=tab,
        done=done,
        check=check,
        redirect_uri=client.redirect_uri,
        public_keys=[json.dumps(dict(key.public_key or {}), indent=2) for key in client.keys],
        reminder=reminder(client.used_secrets, client.name, visit.ctx.clock(), client.connections_total),
        day_in_words=day_in_words,
        **_drawn(form or forms.Form(client_form.values_of(client.settings))),
        **given,
    )


def _drawn(form: forms.Form) -> Mapping[str, Any]:
    """What the form's template needs."""
    return {
        "form": form,
        "labels": {
            **forms.labels(OAuthClientSettings),
            **forms.labels(NewOAuthClient),
            **{name: field.label for name, field in client_form.SETTINGS.items()},
        },
        "types": AUTHENTICATION_TYPES,
        "settings": client_form.SETTINGS,
        "common": client_form.common(),
        "sections": client_form.sections(),
        "usual_names": client_form.usual_names,
        "access_echo": lifetime_echo(str(form.value("access_token_expires_in")), refresh=False),
        "refresh_echo": lifetime_echo(str(form.value("refresh_token_expires_in")), refresh=True),
        "style_in_words": client_checks.style_in_words,
    }


async def _delete(visit: Visit, client: OAuthClient, form: forms.Form, *, status: int = 200) -> Response:
    return await rendering.shell(
        visit,
        "oauth_clients/delete.html",
        active="oauth-clients",
        status=status,
        client=client,
        form=form,
        dependents=await oauth_clients.dependents(visit.ctx, client.id),
    )
