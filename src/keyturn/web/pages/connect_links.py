"""The Links tab of a connection: a link for somebody else to sign in by, how each stands, and accepting accounts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import RedirectResponse, Response

from keyturn.errors import Forbidden, NotFound
from keyturn.model.connect_links import STATUS_WORDS, ConnectLink
from keyturn.services import connect_links, connections
from keyturn.web import forms
from keyturn.web.auth import Visit, visit, visit_for
from keyturn.web.pages.connections import detail_page

router = APIRouter(prefix="/connections/{connection_id}/links", include_in_schema=False)
Here = Annotated[Visit, Depends(visit)]
Lister = Annotated[Visit, Depends(visit_for("connect_links.list"))]
DONE = {"accepted": "Accepted. It is read with that account from now on.", "revoked": "Taken back."}


@router.get("")
async def list_(visit: Lister, connection_id: str, done: str = "", cursor: str | None = None) -> Response:
    """The connection's links of the last 90 days."""
    return await _page(visit, connection_id, sentence=DONE.get(done), cursor=cursor)


@router.post("")
async def create(visit: Here, connection_id: str) -> Response:
    """Make one; this answer is the only time its address is shown, so it is no redirect."""
    try:
        link, url = await connect_links.create(visit.ctx, {"connection_id": connection_id})
    except (*forms.MENDABLE, Forbidden) as error:
        return await _page(visit, connection_id, error=error.message, status=409)
    return await _page(visit, connection_id, made=link, url=url, status=201)


@router.post("/{connect_link_id}/accept")
async def accept(visit: Here, connection_id: str, connect_link_id: str) -> Response:
    """Read with the account that somebody signed in as."""
    return await _decide(visit, connection_id, connect_link_id, "accepted")


@router.post("/{connect_link_id}/revoke")
async def revoke(visit: Here, connection_id: str, connect_link_id: str) -> Response:
    """Take it back, or drop the sign-in that waits."""
    return await _decide(visit, connection_id, connect_link_id, "revoked")


async def _decide(visit: Visit, connection_id: str, link_id: str, done: str) -> Response:
    verb = connect_links.accept if done == "accepted" else connect_links.revoke
    try:
        await verb(visit.ctx, link_id)
    except (*forms.MENDABLE, Forbidden, NotFound) as error:
        return await _page(visit, connection_id, error=error.message, status=409)
    return RedirectResponse(f"/connections/{connection_id}/links?done={done}", 303)


async def _page(
    visit: Visit,
    connection_id: str,
    *,
    made: ConnectLink | None = None,
    url: str | None = None,
    sentence: str | None = None,
    error: str | None = None,
    cursor: str | None = None,
    status: int = 200,
) -> Response:
    connection = await connections.get(visit.ctx, connection_id)
    found, older = await connect_links.list_(visit.ctx, limit=50, cursor=cursor, connection_id=connection_id)
    return await detail_page(
        visit,
        connection,
        "links",
        status=status,
        made=made,
        url=url,
        sentence=sentence,
        error=error,
        links=found,
        older=older,
        link_words=STATUS_WORDS,
        may_make=visit.ctx.may("connect_links.create"),
    )
