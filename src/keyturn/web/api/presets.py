"""`/api/v1/presets`: well-known end systems, and a client's fields filled from one."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from keyturn.model.presets import Preset, preset, presets
from keyturn.services.context import Context
from keyturn.web.api.answers import json_answer, listed
from keyturn.web.auth import api_context

router = APIRouter(prefix="/api/v1/presets", tags=["Presets"])
Ctx = Annotated[Context, Depends(api_context)]


def shown(item: Preset) -> dict[str, Any]:
    """A preset as JSON."""
    return {**item.model_dump(mode="json"), "hosts": list(item.hosts())}


@router.get("")
async def list_(ctx: Ctx, limit: int | None = None, cursor: str | None = None) -> Response:  # noqa: ARG001 - it guards
    """All presets by name."""
    return listed([shown(item) for item in presets().values()], limit=limit, cursor=cursor)


@router.get("/{preset_id}")
async def get(ctx: Ctx, preset_id: str, request: Request) -> Response:  # noqa: ARG001 - it guards
    """One preset; with its variables as query parameters also the fields of a client and the base URL."""
    item = preset(preset_id)
    values = {name: request.query_params[name] for name in item.variables if name in request.query_params}
    found = shown(item)
    if values or not item.variables:
        found |= {"settings": item.settings(values), "base_url": item.base_url(values)}
    return json_answer(found)
