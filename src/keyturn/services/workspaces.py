"""Workspaces: the unit of tenancy, several to a deployment, and who is in them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keyturn.errors import Conflict, Invalid, NotFound
from keyturn.model.accounts import Member, Workspace
from keyturn.model.ids import new_id
from keyturn.model.members import WorkspaceSettings
from keyturn.model.validation import merged, parse
from keyturn.services import audit
from keyturn.services.context import Context
from keyturn.storage import accounts as rows
from keyturn.storage import members as member_rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

_GONE = "There is no such workspace."


async def get(ctx: Context) -> Workspace:
    """The actor's workspace. Raises `NotFound`."""
    found = await ctx.database.read(rows.workspace, ctx.workspace_id)
    if found is None:
        raise NotFound(_GONE)
    return found


async def members(ctx: Context) -> list[Member]:
    """Everybody in the actor's workspace, by name."""
    return await ctx.database.read(rows.members_of, ctx.workspace_id)


async def list_(ctx: Context) -> list[tuple[Workspace, str]]:
    """The workspaces the actor is in, with their role there. A program sees the one its token is for."""
    found = await ctx.database.read(member_rows.memberships_anywhere, ctx.actor.account_id)
    if ctx.actor.kind == "api_token" and "workspace:admin" not in ctx.actor.permissions:
        return [item for item in found if item[0].id == ctx.workspace_id]
    return found


async def create(ctx: Context, raw: Mapping[str, Any]) -> Workspace:
    """Another workspace, of which the actor is the first Workspace Admin. Nothing is shared between workspaces."""
    ctx.require("workspace:admin")
    settings = parse(WorkspaceSettings, raw)
    made, now = Workspace(new_id("ws"), **settings.model_dump()), ctx.clock()

    def write(tx: Tx) -> None:
        me = rows.member(tx, ctx.workspace_id, ctx.actor.account_id)
        if me is None or me.kind == "service":
            raise Conflict("A workspace begins with a person who administers it, not with a service account.")
        rows.insert_workspace(tx, made, now)
        rows.insert_member(tx, made.id, ctx.actor.account_id, "admin", now)
        audit.record(tx, ctx, "workspace.created", made.id, name=made.name)
        audit.record_as(tx, made.id, audit.who_of(ctx), "workspace.created", made.id, at=now, name=made.name)

    await ctx.database.run(write)
    return made


async def update(ctx: Context, workspace_id: str, patch: Mapping[str, Any]) -> Workspace:
    """Rename the actor's workspace, want a second factor in it, or cap its endpoints. Raises `NotFound` for others."""
    ctx.require("workspace:admin")
    current = await _own(ctx, workspace_id)
    names = WorkspaceSettings.model_fields
    before = WorkspaceSettings.model_validate({name: getattr(current, name) for name in names})
    now = merged(WorkspaceSettings, before, patch)

    def write(tx: Tx) -> None:
        member_rows.update_workspace(tx, workspace_id, now.model_dump())
        if now.name != before.name:
            audit.record(tx, ctx, "workspace.renamed", workspace_id, before=before.name, now=now.name)
        if now.requires_second_factor != before.requires_second_factor:
            required = now.requires_second_factor
            audit.record(tx, ctx, "workspace.second_factor_required", workspace_id, required=required)
        if now.endpoints_per_connection != before.endpoints_per_connection:
            most = now.endpoints_per_connection
            audit.record(tx, ctx, "workspace.endpoints_limited", workspace_id, endpoints_per_connection=most)

    await ctx.database.run(write)
    return Workspace(workspace_id, **now.model_dump())


async def delete(ctx: Context, workspace_id: str, *, name: str) -> None:
    """Delete the actor's workspace with everything in it, imported files too; its audit log stays.

    `name` is typed again to say that it is meant. Revoke sign-ins first if end systems should forget them too.
    Raises `NotFound`, `Invalid`, and `Conflict` for the last workspace.
    """
    ctx.require("workspace:admin")
    current = await _own(ctx, workspace_id)
    if name != current.name:
        raise Invalid(f"Type {current.name} to delete it with everything in it.", at="name")

    def write(tx: Tx) -> None:
        if member_rows.count_workspaces_anywhere(tx) == 1:
            raise Conflict("This is the last workspace. Make another one first.")
        member_rows.delete_workspace(tx, workspace_id)
        audit.record(tx, ctx, "workspace.deleted", workspace_id, name=current.name)
        audit.record_as(tx, audit.DEPLOYMENT, audit.who_of(ctx), "workspace.deleted", workspace_id, at=ctx.clock())

    await ctx.database.run(write)
    await asyncio.to_thread(shutil.rmtree, ctx.deployment.files_dir(workspace_id), ignore_errors=True)


async def _own(ctx: Context, workspace_id: str) -> Workspace:
    if workspace_id != ctx.workspace_id:
        raise NotFound(_GONE)
    return await get(ctx)
