"""`/api/v1/organisation`: who people sign in with, one for the deployment."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from keyturn.model.organisations import NewOrganisation, Organisation
from keyturn.services import organisations
from keyturn.services.context import Context
from keyturn.web.api.answers import json_answer, json_body, rfc3339
from keyturn.web.auth import api_context
from keyturn.web.openapi import described

router = APIRouter(prefix="/api/v1/organisation", tags=["Settings"])
Ctx = Annotated[Context, Depends(api_context)]


def shown(ctx: Context, found: Organisation) -> dict[str, Any]:
    """The organisation as JSON, without its secret; `redirect_uri` is what is registered at the issuer."""
    return {
        "id": found.id,
        **found.settings.model_dump(mode="json"),
        "set_by_operator": found.set_by_operator,
        "redirect_uri": organisations.redirect_uri(ctx.deployment.public_url),
        "created_at": rfc3339(found.created_at),
        "updated_at": rfc3339(found.updated_at),
    }


@router.get("")
async def get(ctx: Ctx) -> Response:
    """Who people sign in with; 404 where there is nobody."""
    return json_answer(shown(ctx, await organisations.get(ctx)))


@router.put("", openapi_extra=described(NewOrganisation))
async def put(ctx: Ctx, request: Request) -> Response:
    """Set it up or change it. Without `client_secret` the old one stays, while issuer and Client ID are the same."""
    return json_answer(shown(ctx, await organisations.put(ctx, await json_body(request))))


@router.delete("", status_code=204)
async def remove(ctx: Ctx) -> Response:
    """Nobody signs in by it any more."""
    await organisations.remove(ctx)
    return Response(status_code=204)
