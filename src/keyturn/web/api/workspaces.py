"""`/api/v1/workspaces`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from keyturn.model.accounts import Workspace
from keyturn.model.members import WorkspaceSettings
from keyturn.services import workspaces
from keyturn.services.context import Context
from keyturn.web.api.answers import json_answer, json_body, listed
from keyturn.web.auth import api_context
from keyturn.web.openapi import described

router = APIRouter(prefix="/api/v1/workspaces", tags=["Workspaces"])
Ctx = Annotated[Context, Depends(api_context)]


def shown(workspace: Workspace, role: str, *, current: bool) -> dict[str, Any]:
    """A workspace as JSON: the caller's role in it, and whether the API token is for it."""
    return {
        "id": workspace.id,
        "name": workspace.name,
        "requires_second_factor": workspace.requires_second_factor,
        "endpoints_per_connection": workspace.endpoints_per_connection,
        "role": role,
        "current": current,
    }


@router.get("")
async def list_(ctx: Ctx, limit: int | None = None, cursor: str | None = None) -> Response:
    """The workspaces the caller is in."""
    found = await workspaces.list_(ctx)
    items = [shown(item, role, current=item.id == ctx.workspace_id) for item, role in found]
    return listed(items, limit=limit, cursor=cursor)


@router.post("", status_code=201, openapi_extra=described(WorkspaceSettings))
async def create(ctx: Ctx, request: Request) -> Response:
    """Make another workspace; make an API token for it at `/tokens` with its id."""
    return json_answer(shown(await workspaces.create(ctx, await json_body(request)), "admin", current=False), 201)


@router.patch("/{workspace_id}", openapi_extra=described(WorkspaceSettings))
async def update(ctx: Ctx, workspace_id: str, request: Request) -> Response:
    """Rename the API token's workspace, want a second factor of all who sign in by password, or cap its endpoints.

    `endpoints_per_connection` is how many tables a connection may have; null: any number.
    """
    changed = await workspaces.update(ctx, workspace_id, await json_body(request))
    return json_answer(shown(changed, ctx.actor.role, current=True))


@router.delete("/{workspace_id}", status_code=204)
async def delete(ctx: Ctx, workspace_id: str, name: str = "") -> Response:
    """Delete the API token's workspace with everything in it; its name is given again to say so."""
    await workspaces.delete(ctx, workspace_id, name=name)
    return Response(status_code=204)
