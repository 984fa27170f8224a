"""API tokens: how programs speak to us. Shown once, kept as a hash, never worth more than their owner's role."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keyturn import redaction
from keyturn.errors import Forbidden, Invalid, NotFound, Unauthenticated
from keyturn.model.accounts import ApiToken, ApiTokenSettings, Member
from keyturn.model.ids import new_id
from keyturn.model.permissions import grantable_to
from keyturn.model.validation import parse
from keyturn.services import audit
from keyturn.services.context import Actor, Context
from keyturn.storage import accounts as rows

if TYPE_CHECKING:
    from keyturn.storage.database import Database, Tx

_USED_EVERY_SECONDS = 300.0


async def create(ctx: Context, raw: Mapping[str, Any]) -> tuple[ApiToken, str]:
    """A new API token and its value. Raises `Forbidden` for permissions the actor may not give."""
    settings = parse(ApiTokenSettings, raw)
    owner = await _owner(ctx, settings)
    allowed = grantable_to(owner.role)
    if ctx.actor.kind == "api_token":
        ctx.require("workspace:admin")
        allowed &= ctx.actor.permissions
    too_much = [permission for permission in settings.permissions if permission not in allowed]
    if too_much:
        raise Forbidden(f"You cannot give {', '.join(too_much)}: a token never exceeds its owner.")
    value = "kt_" + secrets.token_urlsafe(32)
    redaction.remember(value)
    now = ctx.clock()
    expires_at = None if settings.expires_in_days is None else now + settings.expires_in_days * 86400.0
    token = ApiToken(
        new_id("at"),
        owner.account_id,
        owner.workspace_id,
        settings.name,
        settings.permissions,
        now,
        expires_at,
        None,
    )

    def write(tx: Tx) -> None:
        rows.insert_api_token(tx, token, _hash(value))
        told = {"name": token.name, "permissions": list(token.permissions), "owner": owner.name}
        audit.record_as(tx, token.workspace_id, audit.who_of(ctx), "api_token.created", token.id, at=now, **told)

    await ctx.database.run(write)
    return token, value


async def list_(ctx: Context) -> list[ApiToken]:
    """The actor's API tokens; a Workspace Admin's list has everybody's."""
    owner = None if ctx.actor.is_admin else ctx.actor.account_id
    return await ctx.database.read(rows.api_tokens_of, ctx.workspace_id, owner)


async def revoke(ctx: Context, token_id: str) -> None:
    """Revoke one of those `list_` shows; a program without `workspace:admin` none but its own. Raises `NotFound`."""
    if ctx.actor.kind == "api_token" and ctx.actor.via != token_id:
        ctx.require("workspace:admin")
    if token_id not in {token.id for token in await list_(ctx)}:
        raise NotFound("There is no such API token.")

    def write(tx: Tx) -> None:
        if rows.delete_api_token(tx, ctx.workspace_id, token_id):
            audit.record(tx, ctx, "api_token.revoked", token_id)

    await ctx.database.run(write)


async def actor_of(database: Database, value: str, *, now: float) -> tuple[Actor, str]:
    """Who a token speaks for, and in which workspace. Raises `Unauthenticated`."""
    token = await database.read(rows.api_token_anywhere, _hash(value)) if value.startswith("kt_") else None
    if token is None:
        raise Unauthenticated("This API token is not known. Make one under API tokens in the profile menu.")
    redaction.remember(value)
    if token.expires_at is not None and now >= token.expires_at:
        raise Unauthenticated("This API token has expired. Make a new one under API tokens in the profile menu.")
    member = await database.read(rows.member, token.workspace_id, token.account_id)
    if member is None:
        raise Unauthenticated("The owner of this API token has left the workspace.")
    if now - (token.last_used_at or 0.0) >= _USED_EVERY_SECONDS:
        await database.run(rows.touch_api_token, token.id, now)
    permissions = frozenset(token.permissions) & grantable_to(member.role)
    actor = Actor(
        member.account_id, member.name, member.email, member.role, permissions, kind="api_token", via=token.id
    )
    return actor, token.workspace_id


async def _owner(ctx: Context, settings: ApiTokenSettings) -> Member:
    """Whose token it will be: the actor's, here or in another workspace of theirs, or a service account's."""
    workspace_id = settings.workspace_id or ctx.workspace_id
    account_id = settings.account_id or ctx.actor.account_id
    if account_id != ctx.actor.account_id:
        ctx.require("workspace:admin")
        if workspace_id != ctx.workspace_id:
            raise Invalid("There is no such member in this workspace.", at="account_id")
    found = await ctx.database.read(rows.member, workspace_id, account_id)
    if found is None and workspace_id != ctx.workspace_id:
        raise Invalid("You are in no workspace of that id.", at="workspace_id")
    if found is None or (found.kind == "person" and account_id != ctx.actor.account_id):
        raise Invalid("Make tokens for yourself or for a service account of this workspace.", at="account_id")
    return found


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
