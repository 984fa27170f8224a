"""`/api/v1/connections/{id}/shares`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from keyturn.model.shares import Share, ShareSettings
from keyturn.services import shares
from keyturn.services.context import Context
from keyturn.web.api.answers import json_answer, json_body, listed, rfc3339
from keyturn.web.auth import api_context
from keyturn.web.openapi import described

router = APIRouter(prefix="/api/v1/connections/{connection_id}/shares", tags=["Connections"])
Ctx = Annotated[Context, Depends(api_context)]


def shown(share: Share) -> dict[str, Any]:
    """A share as JSON."""
    return {
        "member": {"id": share.account_id, "name": share.account_name},
        "rights": share.rights,
        "with_credentials": share.with_credentials,
        "shared_by": share.shared_by,
        "created_at": rfc3339(share.created_at),
        "updated_at": rfc3339(share.updated_at),
    }


@router.get("")
async def list_(ctx: Ctx, connection_id: str, limit: int | None = None, cursor: str | None = None) -> Response:
    """With whom a connection is shared; who may not change it sees their own share."""
    found = [shown(share) for share in await shares.list_(ctx, connection_id)]
    return listed([{"id": item["member"]["id"], **item} for item in found], limit=limit, cursor=cursor)


@router.put("/{account_id}", openapi_extra=described(ShareSettings))
async def put(ctx: Ctx, connection_id: str, account_id: str, request: Request) -> Response:
    """Share it with a member, or change what they may do."""
    return json_answer(shown(await shares.put(ctx, connection_id, account_id, await json_body(request))))


@router.delete("/{account_id}", status_code=204)
async def remove(ctx: Ctx, connection_id: str, account_id: str) -> Response:
    """Take it back, or leave it."""
    await shares.remove(ctx, connection_id, account_id)
    return Response(status_code=204)
