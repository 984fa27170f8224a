"""`/api/v1/tokens` and `/api/v1/me`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from keyturn.model.accounts import ApiToken, ApiTokenSettings
from keyturn.model.notices import Preferences
from keyturn.services import api_tokens, preferences, workspaces
from keyturn.services.context import Context
from keyturn.web.api.answers import json_answer, json_body, listed, rfc3339
from keyturn.web.auth import api_context
from keyturn.web.openapi import described

router = APIRouter(prefix="/api/v1", tags=["API tokens"])
Ctx = Annotated[Context, Depends(api_context)]


def shown(token: ApiToken) -> dict[str, Any]:
    """An API token as JSON, without itself."""
    return {
        "id": token.id,
        "name": token.name,
        "permissions": list(token.permissions),
        "created_at": rfc3339(token.created_at),
        "expires_at": rfc3339(token.expires_at),
        "last_used_at": rfc3339(token.last_used_at),
    }


@router.get("/me")
async def me(ctx: Ctx) -> Response:
    """Who the caller is and what they may do."""
    workspace = await workspaces.get(ctx)
    return json_answer(
        {
            "account": {"id": ctx.actor.account_id, "name": ctx.actor.name, "email": ctx.actor.email},
            "workspace": {"id": workspace.id, "name": workspace.name},
            "role": ctx.actor.role,
            "notify": (await preferences.get(ctx)).notify,
            "permissions": sorted(ctx.actor.permissions),
            "public_url": ctx.deployment.public_url,
            "version": ctx.deployment.version,
        }
    )


@router.patch("/me", openapi_extra=described(Preferences))
async def update_me(ctx: Ctx, request: Request) -> Response:
    """Change what the caller prefers: `notify` says which notices come by email."""
    found = await preferences.update(ctx, await json_body(request))
    return json_answer(found.model_dump(mode="json"))


@router.post("/tokens", status_code=201, openapi_extra=described(ApiTokenSettings))
async def create(ctx: Ctx, request: Request) -> Response:
    """Make an API token; the answer is the only time it is shown."""
    token, value = await api_tokens.create(ctx, await json_body(request))
    return json_answer({**shown(token), "token": value}, 201)


@router.get("/tokens")
async def list_(ctx: Ctx, limit: int | None = None, cursor: str | None = None) -> Response:
    """The caller's API tokens; a Workspace Admin sees everybody's."""
    return listed([shown(token) for token in await api_tokens.list_(ctx)], limit=limit, cursor=cursor)


@router.delete("/tokens/{token_id}", status_code=204)
async def revoke(ctx: Ctx, token_id: str) -> Response:
    """Revoke one."""
    await api_tokens.revoke(ctx, token_id)
    return Response(status_code=204)
