"""Invitations: a link that makes somebody a member, once, within seven days."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keyturn import redaction
from keyturn.errors import Conflict, Forbidden, NotFound
from keyturn.model.accounts import Account, Member
from keyturn.model.audit import Who
from keyturn.model.ids import new_id
from keyturn.model.members import INVITATION_SECONDS, Invitation, InvitationSettings, Joining, OpenInvitation
from keyturn.model.validation import parse
from keyturn.services import accounts, audit
from keyturn.services.context import Context, asked_from
from keyturn.services.members import hash_of
from keyturn.storage import accounts as account_rows
from keyturn.storage import invitations as rows

if TYPE_CHECKING:
    from keyturn.storage.database import Database, Tx


async def create(ctx: Context, raw: Mapping[str, Any]) -> tuple[Invitation, str]:
    """Invite somebody: (the invitation, its address, shown once). An older one to the same address ends."""
    ctx.require("workspace:admin")
    settings = parse(InvitationSettings, raw)
    link, now, invitation_id = secrets.token_urlsafe(32), ctx.clock(), new_id("iv")
    redaction.remember(link)
    values = {
        "id": invitation_id,
        "email": settings.email,
        "role": settings.role,
        "link_hash": hash_of(link),
        "invited_by": ctx.actor.account_id,
        "created_at": now,
        "expires_at": now + INVITATION_SECONDS,
    }

    def write(tx: Tx) -> None:
        if settings.email in {member.email for member in account_rows.members_of(tx, ctx.workspace_id)}:
            raise Conflict(f"{settings.email} is a member already.", at="email")
        rows.insert(tx, ctx.workspace_id, values)
        audit.record(tx, ctx, "invitation.created", invitation_id, email=settings.email, role=settings.role)

    await ctx.database.run(write)
    made = Invitation(invitation_id, settings.email, settings.role, ctx.actor.name, now, now + INVITATION_SECONDS)
    return made, f"{ctx.deployment.public_url}/invitations/{link}"


async def list_(ctx: Context) -> list[Invitation]:
    """The open invitations, newest first."""
    ctx.require("workspace:admin")
    found = await ctx.database.read(rows.all_of, ctx.workspace_id, ctx.clock())
    return [
        Invitation(r["id"], r["email"], r["role"], r["invited_by_name"] or "", r["created_at"], r["expires_at"])
        for r in found
    ]


async def revoke(ctx: Context, invitation_id: str) -> None:
    """Take one back. Raises `NotFound`."""
    ctx.require("workspace:admin")

    def write(tx: Tx) -> None:
        if not rows.delete(tx, ctx.workspace_id, invitation_id):
            raise NotFound("There is no such invitation in this workspace.")
        audit.record(tx, ctx, "invitation.revoked", invitation_id)

    await ctx.database.run(write)


async def look(database: Database, link: str, *, now: float) -> OpenInvitation:
    """What stands behind a link. Raises `NotFound` when it was used, taken back or has ended."""

    def fetch(tx: Tx) -> OpenInvitation:
        row = rows.by_link_anywhere(tx, hash_of(link), now)
        workspace = None if row is None else account_rows.workspace(tx, row["workspace_id"])
        if row is None or workspace is None:
            raise _over()
        inviter = account_rows.member(tx, row["workspace_id"], row["invited_by"])
        has_account = account_rows.account_by_email_anywhere(tx, row["email"]) is not None
        name = inviter.name if inviter else "A Workspace Admin"
        return OpenInvitation(workspace.name, name, row["email"], row["role"], row["expires_at"], has_account)

    return await database.read(fetch)


async def accept_as_new(database: Database, link: str, raw: Mapping[str, Any], *, now: float) -> Member:
    """Make the account the invitation is for, and its membership. Raises `Invalid`, `Conflict`, `NotFound`.

    The address is the invited one: whoever holds the link chooses name and password only.
    """
    redaction.remember(str(raw.get("password", "")))
    joining = parse(Joining, raw)
    if (await look(database, link, now=now)).has_account:
        raise Conflict("You have an account here already. Sign in, then open the link again.")
    password_hash = await accounts.hashed(joining.password)

    def write(tx: Tx) -> Member:
        row = _taken(tx, link, now)
        if account_rows.account_by_email_anywhere(tx, row["email"]) is not None:
            raise Conflict("You have an account here already. Sign in, then open the link again.")
        account = Account(new_id("ac"), joining.name, row["email"], now)
        account_rows.insert_account(tx, account, password_hash)
        return join(tx, row, account, now)

    return await database.run(write)


async def accept(database: Database, link: str, email: str, *, now: float) -> Member:
    """Join with the account of `email`, which is signed in. Raises `Forbidden` when another one was invited."""

    def write(tx: Tx) -> Member:
        row = _taken(tx, link, now)
        found = account_rows.account_by_email_anywhere(tx, email)
        if found is None or row["email"] != email:
            raise Forbidden(f"This invitation is for {row['email']}, and you are signed in as {email}.")
        return join(tx, row, found[0], now)

    return await database.run(write)


def _taken(tx: Tx, link: str, now: float) -> dict[str, Any]:
    row = rows.take_anywhere(tx, hash_of(link), now)
    if row is None:
        raise _over()
    return row


def join(tx: Tx, row: dict[str, Any], account: Account, now: float) -> Member:
    """Make an account the member that an invitation, used up just now, is for."""
    workspace_id = row["workspace_id"]
    there = account_rows.member(tx, workspace_id, account.id)
    if there is not None:
        return there
    account_rows.insert_member(tx, workspace_id, account.id, row["role"], now)
    who = Who("person", account.id, account.name, address=asked_from.get())
    audit.record_as(tx, workspace_id, who, "account.joined", account.id, at=now, role=row["role"], by=row["id"])
    return Member(account.id, workspace_id, row["role"], account.name, account.email, joined_at=now)


def _over() -> NotFound:
    return NotFound("This invitation was used, taken back or has ended. Ask for a new one.")
