"""Workspaces: the unit of tenancy, and who is in it."""

from __future__ import annotations

from keyturn.errors import NotFound
from keyturn.model.accounts import Member, Workspace
from keyturn.services.context import Context
from keyturn.storage import accounts as rows


async def get(ctx: Context) -> Workspace:
    """The actor's workspace. Raises `NotFound`."""
    found = await ctx.database.read(rows.workspace, ctx.workspace_id)
    if found is None:
        raise NotFound("There is no such workspace.")
    return found


async def members(ctx: Context) -> list[Member]:
    """Everybody in the actor's workspace, by name."""
    return await ctx.database.read(rows.members_of, ctx.workspace_id)
