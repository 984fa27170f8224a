"""Members: who is in a workspace and as what, service accounts for programs, and links to a new password."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from keyturn import redaction
from keyturn.errors import Conflict, Forbidden, NotFound
from keyturn.model.accounts import Member
from keyturn.model.audit import Who
from keyturn.model.ids import new_id
from keyturn.model.members import RESET_SECONDS, NewPassword, RoleChange, ServiceAccountSettings
from keyturn.model.permissions import ROLE_LABELS, permissions_of
from keyturn.model.validation import parse
from keyturn.services import accounts, audit
from keyturn.services.context import Actor, Context, asked_from
from keyturn.storage import accounts as account_rows
from keyturn.storage import invitations as link_rows
from keyturn.storage import members as rows
from keyturn.storage import organisations as organisation_rows

if TYPE_CHECKING:
    from keyturn.storage.database import Database, Tx

_GONE = "There is no such member in this workspace."
LAST_ADMIN = "Add another admin first."


async def list_(ctx: Context) -> list[Member]:
    """Everybody in the workspace, by name, service accounts too."""
    return await ctx.database.read(account_rows.members_of, ctx.workspace_id)


async def get(ctx: Context, account_id: str) -> Member:
    """One member. Raises `NotFound`."""
    found = await ctx.database.read(account_rows.member, ctx.workspace_id, account_id)
    if found is None:
        raise NotFound(_GONE)
    return found


async def acting_as(scene: Context, workspace_id: str, account_id: str, name: str) -> Context:
    """What runs by itself for a member, with the role they have now; who has left may do nothing any more."""
    member = await scene.database.read(account_rows.member, workspace_id, account_id)
    role = member.role if member else "none"
    allowed = permissions_of(role) if member else frozenset[str]()
    email = member.email if member else ""
    actor = Actor(account_id, member.name if member else name, email, role, allowed, kind="system")
    return replace(scene, actor=actor, workspace_id=workspace_id)


async def change_role(ctx: Context, account_id: str, raw: Mapping[str, Any]) -> Member:
    """Another role, from the next request on. Raises `Conflict` when nobody would administer the workspace."""
    ctx.require("workspace:admin")
    role = parse(RoleChange, raw).role
    member = await get(ctx, account_id)

    def write(tx: Tx) -> None:
        admins = rows.lock_admins(tx, ctx.workspace_id)
        if role != "admin" and admins == {account_id}:
            raise Conflict(LAST_ADMIN)
        if not rows.set_role(tx, ctx.workspace_id, account_id, role):
            raise NotFound(_GONE)
        # Who loses or gains rights signs in anew (ASVS 7.2.4).
        account_rows.delete_sessions_of(tx, account_id)
        audit.record(tx, ctx, "account.role_changed", account_id, name=member.name, before=member.role, now=role)

    await ctx.database.run(write)
    return await get(ctx, account_id)


async def create_service_account(ctx: Context, raw: Mapping[str, Any]) -> Member:
    """An account for programs: make API tokens for it, so that nothing ends when a person leaves."""
    ctx.require("workspace:admin")
    settings = parse(ServiceAccountSettings, raw)
    account_id, now = new_id("ac"), ctx.clock()

    def write(tx: Tx) -> None:
        if any(m.kind == "service" and m.name == settings.name for m in account_rows.members_of(tx, ctx.workspace_id)):
            raise Conflict(f"{settings.name} is taken.", at="name")
        rows.insert_service_account(tx, account_id, settings.name, now)
        account_rows.insert_member(tx, ctx.workspace_id, account_id, settings.role, now)
        audit.record(tx, ctx, "account.service_account_created", account_id, name=settings.name, role=settings.role)

    await ctx.database.run(write)
    return await get(ctx, account_id)


async def reset_password(ctx: Context, account_id: str) -> tuple[str, float]:
    """A link to a new password, for an admin to hand over: (address, when it ends in epoch seconds).

    Raises `Forbidden` where the person is in a workspace the actor does not administer: its password opens that too.
    """
    ctx.require("workspace:admin")
    member = await recoverable(ctx, account_id)
    link, now = secrets.token_urlsafe(32), ctx.clock()
    redaction.remember(link)
    values = {
        "link_hash": hash_of(link),
        "account_id": account_id,
        "workspace_id": ctx.workspace_id,
        "made_by": ctx.actor.account_id,
        "created_at": now,
        "expires_at": now + RESET_SECONDS,
    }

    def write(tx: Tx) -> None:
        link_rows.insert_reset(tx, values)
        audit.record(tx, ctx, "account.password_link_made", account_id, name=member.name)

    await ctx.database.run(write)
    return f"{ctx.deployment.public_url}/new-password/{link}", now + RESET_SECONDS


async def recoverable(ctx: Context, account_id: str) -> Member:
    """The member, if the actor administers every workspace that their sign-in opens. Raises `Forbidden`, `Conflict`."""
    member = await get(ctx, account_id)
    if member.kind == "service":
        raise Conflict(f"{member.name} is a service account, which nobody signs in to. Make it an API token instead.")
    theirs = await ctx.database.read(rows.memberships_anywhere, account_id)
    ours = {w.id for w, role in await ctx.database.read(rows.memberships_anywhere, ctx.actor.account_id)
            if role == "admin"}  # fmt: skip
    if any(workspace.id not in ours for workspace, _ in theirs):
        raise Forbidden(
            f"{member.name} is in another workspace too, so a {ROLE_LABELS['admin']} of all of them has to do this."
        )
    return member


async def look_at_reset(database: Database, link: str, *, now: float) -> str:
    """The e-mail address a link to a new password is for. Raises `NotFound` when it was used or has ended."""
    row = await database.read(link_rows.reset_anywhere, hash_of(link), now)
    member = None if row is None else await database.read(account_rows.member, row["workspace_id"], row["account_id"])
    if member is None:
        raise _over()
    return member.email


async def use_reset(database: Database, link: str, raw: Mapping[str, Any], *, now: float) -> None:
    """Store the new password; every browser of theirs is signed out. Raises `Invalid`, `NotFound`."""
    redaction.remember(str(raw.get("password", "")))
    new = parse(NewPassword, raw)
    await look_at_reset(database, link, now=now)
    password_hash = await accounts.hashed(new.password)

    def write(tx: Tx) -> None:
        row = link_rows.take_reset_anywhere(tx, hash_of(link), now)
        if row is None:
            raise _over()
        account_rows.set_password_hash(tx, row["account_id"], password_hash)
        account_rows.delete_sessions_of(tx, row["account_id"])
        # Whoever the organisation took them for is asked anew: by its verified address, at the next sign-in.
        organisation_rows.forget_identities_of(tx, row["account_id"])
        member = account_rows.member(tx, row["workspace_id"], row["account_id"])
        who = Who("person", row["account_id"], member.name if member else "", address=asked_from.get())
        audit.record_as(tx, row["workspace_id"], who, "account.password_reset", row["account_id"], at=now)

    await database.run(write)


def hash_of(link: str) -> str:
    """How links are stored: SHA-256 of an unguessable value."""
    return hashlib.sha256(link.encode()).hexdigest()


def _over() -> NotFound:
    return NotFound("This link was used or has ended. Ask a Workspace Admin for a new one.")
