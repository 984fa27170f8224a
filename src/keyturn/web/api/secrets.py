"""`/api/v1/secrets`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from keyturn.model.secrets import Secret, SecretValue
from keyturn.services import secrets
from keyturn.services.context import Context
from keyturn.web.api.answers import json_answer, json_body, listed, rfc3339
from keyturn.web.auth import api_context
from keyturn.web.openapi import described

router = APIRouter(prefix="/api/v1/secrets", tags=["Secrets"])
Ctx = Annotated[Context, Depends(api_context)]


def shown(secret: Secret) -> dict[str, Any]:
    """A secret as JSON, without its value."""
    return {
        "id": secret.id,
        "name": secret.name,
        "allowed_hosts": list(secret.allowed_hosts),
        "saved_at": rfc3339(secret.saved_at),
        "saved_by": secret.saved_by,
    }


@router.get("")
async def list_(ctx: Ctx, limit: int | None = None, cursor: str | None = None) -> Response:
    """The workspace's secrets: names, hosts and dates, never a value."""
    return listed([shown(secret) for secret in await secrets.list_(ctx)], limit=limit, cursor=cursor)


@router.put("/{secret_name}", openapi_extra=described(SecretValue))
async def put(ctx: Ctx, secret_name: str, request: Request) -> Response:
    """Save one, or another value for it: `value` and `allowed_hosts`. The value is never answered."""
    return json_answer(shown(await secrets.put(ctx, secret_name, await json_body(request))))


@router.delete("/{secret_name}", status_code=204)
async def delete(ctx: Ctx, secret_name: str) -> Response:
    """Delete one that no table names any more."""
    await secrets.delete(ctx, secret_name)
    return Response(status_code=204)
