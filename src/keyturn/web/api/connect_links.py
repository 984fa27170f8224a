"""`/api/v1/connect-links`."""

from __future__ import annotations

import math
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from keyturn.model.connect_links import (
    OUTCOME_WORDS,
    ConnectLink,
    ConnectLinkSettings,
    Reconnect,
    ReconnectLinksSettings,
)
from keyturn.services import connect_links, reconnect_links
from keyturn.services.context import Context, check_limit
from keyturn.web.api.answers import json_answer, json_body, rfc3339
from keyturn.web.auth import api_context
from keyturn.web.openapi import described

router = APIRouter(prefix="/api/v1/connect-links", tags=["Connect links"])
Ctx = Annotated[Context, Depends(api_context)]


def shown(link: ConnectLink) -> dict[str, Any]:
    """A link as JSON, without what opens it."""
    return {
        "id": link.id,
        "status": link.status,
        "connection": {"id": link.connection_id, "name": link.connection_name},
        "connection_id": link.connection_id,
        "oauth_client_id": link.oauth_client_id,
        "end_user": link.end_user,
        "return_url": link.return_url,
        "hold": link.hold,
        "account": link.account,
        "error": link.error,
        "made_by": {"id": link.account_id, "name": link.made_by},
        "created_at": rfc3339(link.created_at),
        "expires_at": rfc3339(link.expires_at),
        "opened_at": rfc3339(link.opened_at),
        "ended_at": rfc3339(link.ended_at),
    }


@router.post("", status_code=201, openapi_extra=described(ConnectLinkSettings))
async def create(ctx: Ctx, request: Request) -> Response:
    """Make a link; `url` is in this answer alone. An end user's first link makes their connection."""
    link, url = await connect_links.create(ctx, await json_body(request))
    return json_answer({**shown(link), "url": url}, 201)


def told(found: Reconnect) -> dict[str, Any]:
    """What became of one connection, as JSON."""
    return {
        "connection": {"id": found.connection_id, "name": found.connection_name},
        "outcome": found.outcome,
        "reason": found.reason,
        "message": found.sentence,
        "sent_to": found.sent_to,
        "connect_link_id": found.connect_link_id,
        "url": found.url,
        "expires_at": rfc3339(found.expires_at),
        "retry_after": None if found.retry_after_seconds is None else math.ceil(found.retry_after_seconds),
    }


@router.post("/reconnect", openapi_extra=described(ReconnectLinksSettings))
async def reconnect(ctx: Ctx, request: Request) -> Response:
    """Mail each owner a link to sign in again by, or tell those that cannot be mailed; what became of each one.

    `outcome`: sent, copied (`url` is in this answer alone), skipped, not_made (ask again after `retry_after` seconds).
    """
    found = await reconnect_links.send_reconnect_links(ctx, await json_body(request))
    counts = {outcome: sum(one.outcome == outcome for one in found) for outcome in OUTCOME_WORDS}
    return json_answer({"data": [told(one) for one in found], "counts": counts})


@router.get("")
async def list_(
    ctx: Ctx,
    connection_id: str | None = None,
    oauth_client_id: str | None = None,
    end_user: str | None = None,
    status: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Response:
    """Links of the last 90 days, newest first: one's own, those for one's connections; all for Workspace Admins."""
    found, following = await connect_links.list_(
        ctx,
        limit=check_limit(limit),
        cursor=cursor,
        status=status,
        connection_id=connection_id,
        oauth_client_id=oauth_client_id,
        end_user=end_user,
    )
    return json_answer({"data": [shown(link) for link in found], "next_cursor": following})


@router.get("/{connect_link_id}")
async def get(ctx: Ctx, connect_link_id: str) -> Response:
    """How a link stands."""
    return json_answer(shown(await connect_links.get(ctx, connect_link_id)))


@router.post("/{connect_link_id}/accept")
async def accept(ctx: Ctx, connect_link_id: str) -> Response:
    """Read with the account that somebody signed in as through a link that holds."""
    return json_answer(shown(await connect_links.accept(ctx, connect_link_id)))


@router.delete("/{connect_link_id}", status_code=204)
async def revoke(ctx: Ctx, connect_link_id: str) -> Response:
    """Take it back; a sign-in that waits to be accepted is dropped. One that was used stays as it is."""
    await connect_links.revoke(ctx, connect_link_id)
    return Response(status_code=204)
