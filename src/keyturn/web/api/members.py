"""`/api/v1/members` and `/api/v1/service-accounts`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from keyturn.model.accounts import Member
from keyturn.model.members import Removal, RoleChange, ServiceAccountSettings
from keyturn.services import departures, members, second_factors
from keyturn.services.context import Context
from keyturn.web.api.answers import json_answer, json_body, listed, rfc3339
from keyturn.web.auth import api_context
from keyturn.web.openapi import described

router = APIRouter(prefix="/api/v1", tags=["Members"])
Ctx = Annotated[Context, Depends(api_context)]


def shown(member: Member) -> dict[str, Any]:
    """A member as JSON."""
    return {
        "id": member.account_id,
        "name": member.name,
        "email": None if member.kind == "service" else member.email,
        "role": member.role,
        "kind": member.kind,
        "joined_at": rfc3339(member.joined_at),
    }


@router.get("/members")
async def list_(ctx: Ctx, limit: int | None = None, cursor: str | None = None) -> Response:
    """Everybody in the workspace, service accounts too."""
    return listed([shown(member) for member in await members.list_(ctx)], limit=limit, cursor=cursor)


@router.patch("/members/{account_id}", openapi_extra=described(RoleChange))
async def change_role(ctx: Ctx, account_id: str, request: Request) -> Response:
    """Give a member another role."""
    return json_answer(shown(await members.change_role(ctx, account_id, await json_body(request))))


@router.get("/members/{account_id}/dependents")
async def dependents(ctx: Ctx, account_id: str, limit: int | None = None, cursor: str | None = None) -> Response:
    """The connections that depend on a member: as their owner, or by a sign-in of their own."""
    found = await departures.dependents(ctx, account_id)
    return listed([asdict(item) for item in found], limit=limit, cursor=cursor)


@router.post("/members/{account_id}/removal", openapi_extra=described(Removal))
async def remove(ctx: Ctx, account_id: str, request: Request) -> Response:
    """Remove a member, saying what becomes of each connection: transfer, pause, or disconnect."""
    told = await departures.remove(ctx, account_id, await json_body(request))
    return json_answer({"connections": [asdict(item) for item in told]})


@router.post("/members/{account_id}/password-link", status_code=201)
async def reset_password(ctx: Ctx, account_id: str) -> Response:
    """A link to a new password, to hand over; it works once, for an hour."""
    url, expires_at = await members.reset_password(ctx, account_id)
    return json_answer({"url": url, "expires_at": rfc3339(expires_at)}, 201)


@router.delete("/members/{account_id}/second-factor", status_code=204)
async def reset_second_factor(ctx: Ctx, account_id: str) -> Response:
    """Take away the second factor of somebody who lost it; they sign in anew by password."""
    await second_factors.reset(ctx, account_id)
    return Response(status_code=204)


@router.post("/service-accounts", status_code=201, openapi_extra=described(ServiceAccountSettings))
async def create_service_account(ctx: Ctx, request: Request) -> Response:
    """Make an account for programs; its API tokens are made at `/tokens` with its id."""
    return json_answer(shown(await members.create_service_account(ctx, await json_body(request))), 201)
