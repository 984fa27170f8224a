"""`/api/v1/destinations`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from keyturn.model.destinations import DestinationSettings, SavedDestination
from keyturn.services import destinations
from keyturn.services.context import Context
from keyturn.web.api.answers import json_answer, json_body, listed, rfc3339
from keyturn.web.auth import api_context
from keyturn.web.openapi import described

router = APIRouter(prefix="/api/v1/destinations", tags=["Destinations"])
Ctx = Annotated[Context, Depends(api_context)]


def shown(found: SavedDestination) -> dict[str, Any]:
    """A destination as JSON, without its password."""
    return {
        "id": found.id,
        **found.settings.model_dump(mode="json", by_alias=True, exclude_none=True),
        "has_password": found.has_password,
        "created_at": rfc3339(found.created_at),
        "updated_at": rfc3339(found.updated_at),
    }


@router.post("", status_code=201, openapi_extra=described(DestinationSettings))
async def create(ctx: Ctx, request: Request) -> Response:
    """Make a destination; `password` (a secret access key, a key file) is taken here too, and never shown."""
    return json_answer(shown(await destinations.create(ctx, await json_body(request))), 201)


@router.get("")
async def list_(ctx: Ctx, limit: int | None = None, cursor: str | None = None) -> Response:
    """The databases and buckets that imports may write to."""
    return listed([shown(found) for found in await destinations.list_(ctx)], limit=limit, cursor=cursor)


@router.get("/{destination_id}")
async def get(ctx: Ctx, destination_id: str) -> Response:
    """One destination."""
    return json_answer(shown(await destinations.get(ctx, destination_id)))


@router.patch("/{destination_id}", openapi_extra=described(DestinationSettings))
async def update(ctx: Ctx, destination_id: str, request: Request) -> Response:
    """Change it by JSON merge patch, `password` included; it is asked for again when the address changes."""
    return json_answer(shown(await destinations.update(ctx, destination_id, await json_body(request))))


@router.delete("/{destination_id}", status_code=204)
async def delete(ctx: Ctx, destination_id: str) -> Response:
    """Delete it; what was written stays."""
    await destinations.delete(ctx, destination_id)
    return Response(status_code=204)


@router.post("/{destination_id}/test")
async def test(ctx: Ctx, destination_id: str) -> Response:
    """Reach it and do what an import would: see whether tables may be made, or write and delete a small object."""
    version, sentence = await destinations.test(ctx, destination_id)
    return json_answer({"ok": True, "version": version, "sentence": sentence})
