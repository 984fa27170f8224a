"""Step 3 of a connection and every reconnect: begin a sign-in, wait for it, help with what the other window says."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from keyturn.errors import Conflict, Forbidden
from keyturn.model.connections import ACCESS_LABELS, Connection
from keyturn.model.oauth_clients import OAuthClient
from keyturn.oauth.urls import UrlProblem
from keyturn.services import account_switches, authorizations, connections, oauth_clients
from keyturn.web import forms, rendering
from keyturn.web.auth import Visit, visit

router = APIRouter(prefix="/connections/{connection_id}", include_in_schema=False)
Here = Annotated[Visit, Depends(visit)]


@router.get("/sign-in")
async def begin_page(visit: Here, connection_id: str) -> Response:
    """What will be asked for, and the button that opens the other window."""
    connection, client = await _both(visit, connection_id)
    return await _step(visit, connection, client)


@router.post("/authorizations")
async def begin(visit: Here, connection_id: str) -> Response:
    """Begin a sign-in. The link is in the address of the waiting page, where only this browser sees it."""
    connection, client = await _both(visit, connection_id)
    try:
        begun = await authorizations.begin(visit.ctx, connection_id)
    except (*forms.MENDABLE, Forbidden) as error:
        return await _step(visit, connection, client, error=error.message, status=409)
    if begun.status == "completed":
        return RedirectResponse(f"/connections/{connection_id}?done=connected", 303)
    if begun.error is not None:
        return await _step(visit, connection, client, error=begun.error["message"], status=409)
    link = (begun.start_url or "").rpartition("/")[2]
    return RedirectResponse(f"/connections/{connection_id}/authorizations/{begun.id}?link={quote(link)}", 303)


@router.get("/authorizations/{authorization_id}")
async def waiting(visit: Here, connection_id: str, authorization_id: str, link: str = "") -> Response:
    """Wait for the other window."""
    connection, client = await _both(visit, connection_id)
    attempt = await authorizations.get(visit.ctx, authorization_id)
    plain = "".join(c for c in link if c.isalnum() or c in "-_")[:200]
    return await rendering.shell(
        visit,
        "connections/waiting.html",
        active="connections",
        connection=connection,
        client=client,
        attempt=attempt,
        link=plain,
        start_url=f"{visit.ctx.deployment.public_url}/connect/{plain}" if plain else None,
        access_labels=ACCESS_LABELS,
        hosts=_hosts(connection, client),
    )


@router.get("/authorizations/{authorization_id}/state")
async def state(visit: Here, connection_id: str, authorization_id: str) -> Response:
    """How it stands, for the page that waits; a header leads it on when the sign-in has succeeded."""
    connection, client = await _both(visit, connection_id)
    attempt = await authorizations.get(visit.ctx, authorization_id)
    answer = rendering.fragment(
        "connections/waiting_state.html", visit, connection=connection, client=client, attempt=attempt, start_url=None
    )
    if attempt.status == "completed":
        answer.headers["Keyturn-Location"] = f"/connections/{connection_id}?done=connected"
    return answer


@router.post("/authorizations/{authorization_id}/account")
async def decide(request: Request, visit: Here, connection_id: str, authorization_id: str) -> Response:
    """Another account than before: whose data the connection reads."""
    switch = (await request.form()).get("switch") == "yes"
    await account_switches.decide(visit.ctx, authorization_id, switch=switch)
    return RedirectResponse(f"/connections/{connection_id}", 303)


@router.post("/pasted")
async def pasted(request: Request, visit: Here, connection_id: str) -> Response:
    """The address of a window that could not come back by itself: take its path and query here."""
    address = str((await request.form()).get("address", "")).strip()
    parts = urlsplit(address)
    if parts.path.rstrip("/").startswith("/oauth2/callback") and "state=" in parts.query:
        return RedirectResponse(f"{quote(parts.path)}?{quote(parts.query, safe='=&%+-._~')}", 303)
    connection, client = await _both(visit, connection_id)
    sentence = "This is not the address of our Redirect URI. Copy the whole address from the window’s address bar."
    return await _step(visit, connection, client, error=sentence, status=422)


async def _both(visit: Visit, connection_id: str) -> tuple[Connection, OAuthClient]:
    connection = await connections.get(visit.ctx, connection_id)
    if connection.oauth_client_id is None:
        raise Conflict(f"{connection.name} is on no OAuth 2.0 client, so there is nothing to sign in to.")
    return connection, await oauth_clients.get(visit.ctx, connection.oauth_client_id)


def _hosts(connection: Connection, client: OAuthClient) -> dict[str, str | None] | None:
    """The hosts that a sign-in leads to, seen before anybody leaves; None where a variable is missing."""
    try:
        filled = client.settings.filled(connection.settings.variables)
    except UrlProblem:
        return None
    return {
        "sign_in": urlsplit(filled.authorization_url).netloc if filled.authorization_url else None,
        "token": urlsplit(filled.token_url).netloc,
    }


async def _step(
    visit: Visit, connection: Connection, client: OAuthClient, *, error: str | None = None, status: int = 200
) -> Response:
    return await rendering.shell(
        visit,
        "connections/sign_in.html",
        active="connections",
        status=status,
        connection=connection,
        client=client,
        error=error,
        access_labels=ACCESS_LABELS,
        hosts=_hosts(connection, client),
    )
