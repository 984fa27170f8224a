"""`/api/v1/invitations`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from keyturn.model.members import Invitation, InvitationSettings
from keyturn.services import invitations
from keyturn.services.context import Context
from keyturn.web.api.answers import json_answer, json_body, listed, rfc3339
from keyturn.web.auth import api_context
from keyturn.web.openapi import described

router = APIRouter(prefix="/api/v1/invitations", tags=["Members"])
Ctx = Annotated[Context, Depends(api_context)]


def shown(invitation: Invitation) -> dict[str, Any]:
    """An invitation as JSON, without its link."""
    return {
        "id": invitation.id,
        "email": invitation.email,
        "role": invitation.role,
        "invited_by": invitation.invited_by,
        "created_at": rfc3339(invitation.created_at),
        "expires_at": rfc3339(invitation.expires_at),
    }


@router.post("", status_code=201, openapi_extra=described(InvitationSettings))
async def create(ctx: Ctx, request: Request) -> Response:
    """Invite somebody; the answer is the only time the link is shown."""
    invitation, url = await invitations.create(ctx, await json_body(request))
    return json_answer({**shown(invitation), "url": url}, 201)


@router.get("")
async def list_(ctx: Ctx, limit: int | None = None, cursor: str | None = None) -> Response:
    """The open invitations."""
    return listed([shown(item) for item in await invitations.list_(ctx)], limit=limit, cursor=cursor)


@router.delete("/{invitation_id}", status_code=204)
async def revoke(ctx: Ctx, invitation_id: str) -> Response:
    """Take one back."""
    await invitations.revoke(ctx, invitation_id)
    return Response(status_code=204)
