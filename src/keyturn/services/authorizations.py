"""Signing in at the end system: an attempt begins here and is asked about. One row per attempt, used once.

Begin makes a link; `confirmations` is what it opens, `sign_ins` the way back.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from keyturn import redaction
from keyturn.encryption import AssociatedData
from keyturn.errors import Conflict, Forbidden, Invalid, KeyturnError, LimitReached, NotFound
from keyturn.model.connections import Connection
from keyturn.model.ids import new_id
from keyturn.model.messages import say
from keyturn.services import (
    client_grants,
    connections,
    device_codes,
    events,
    oauth_clients,
)
from keyturn.services.context import Context
from keyturn.services.device_codes import DeviceCode
from keyturn.services.oauth_clients import Registration
from keyturn.storage import accounts as account_rows
from keyturn.storage import authorizations as rows

if TYPE_CHECKING:
    from keyturn.model.accounts import Member
    from keyturn.storage.database import Tx

# So many sign-ins may one person begin in so long.
PACE_MOST, PACE_SECONDS = 120, 60.0
OPEN_SECONDS = 600.0
CODE_EXPIRED = "The code was not entered in time. Nothing is wrong; start again and enter the new one."


@dataclass(frozen=True, slots=True)
class Authorization:
    """One attempt as its starter sees it. `start_url` is known at the beginning only; times are epoch seconds.

    `notes`: what a sign-in that succeeded falls short of. `undecided`: it was another account than before, and
    somebody has to say which one it shall be. `device`: what is entered where, while a code is waited for.
    """

    id: str
    connection_id: str
    status: str
    expires_at: float
    start_url: str | None = None
    error: dict[str, Any] | None = None
    notes: tuple[dict[str, str], ...] = ()
    undecided: bool = False
    device: DeviceCode | None = None

    def __repr__(self) -> str:
        return f"Authorization({self.id}, {self.status})"


async def begin(ctx: Context, connection_id: str) -> Authorization:
    """Start a sign-in; a client that acts for itself asks for its token at once, so the answer is the end of it.
    With the Device Code Grant the answer has a code to enter on any device, and the server is asked by itself.

    Raises `Invalid` where an unlisted host needs a Workspace Admin, `Conflict` without a client, `LimitReached`.
    """
    ctx.require_verb("connections.begin")
    connection = await connections.get(ctx, connection_id)
    registration, values, start_url = await draft(ctx, connection, OPEN_SECONDS)
    if registration.client.settings.acts_for_itself:
        return await _ask_at_once(ctx, connection, registration, values)
    if registration.client.settings.grant_type == "device_code":
        return await _ask_for_code(ctx, registration, values)
    await ctx.database.run(rows.insert, ctx.workspace_id, values)
    return Authorization(values["id"], connection.id, "pending", values["expires_at"], start_url)


async def draft(ctx: Context, connection: Connection, open_seconds: float) -> tuple[Registration, dict[str, Any], str]:
    """The columns of an attempt that is not stored yet, and the address that will open it (128 random bits and more).

    Raises as `begin` does.
    """
    await _check_may_begin(ctx, connection)
    await check_pace(ctx)
    if connection.settings.auth.type != "oauth2" or connection.oauth_client_id is None:
        raise Conflict(f"{connection.name} is not on an OAuth 2.0 client, so there is nothing to sign in to.")
    registration = await oauth_clients.registration(ctx, connection.oauth_client_id, connection.settings.variables)
    link = secrets.token_urlsafe(32)
    redaction.remember(link)
    now = ctx.clock()
    values = {
        "id": new_id("au"),
        "connection_id": connection.id,
        "oauth_client_id": registration.client.id,
        "client_version": registration.client.version,
        "account_id": ctx.actor.account_id,
        "link_hash": hash_of(link),
        "scopes": registration.client.settings.scopes.split(),
        "status": "pending",
        "created_at": now,
        "expires_at": now + open_seconds,
    }
    return registration, values, f"{ctx.deployment.public_url}/connect/{link}"


async def check_pace(ctx: Context) -> None:
    """Whoever begins sign-ins by the hundred is no person, and fills other servers' logs (ASVS 2.4.1).

    Raises `LimitReached`.
    """
    since = ctx.clock() - PACE_SECONDS
    if await ctx.database.read(rows.count_begun_anywhere, ctx.actor.account_id, since) >= PACE_MOST:
        raise LimitReached("You began too many sign-ins in a minute. Wait a minute.", retry_after_seconds=PACE_SECONDS)


async def get(ctx: Context, authorization_id: str) -> Authorization:
    """How an attempt stands: pending, completed, failed or expired. Raises `NotFound`."""
    row = await ctx.database.read(rows.get, ctx.workspace_id, authorization_id)
    if row is None or (row["account_id"] != ctx.actor.account_id and not ctx.actor.is_admin):
        raise NotFound("There is no such sign-in in this workspace.")
    status = row["status"]
    if status in {"pending", "exchanging"}:
        status = "expired" if ctx.clock() >= row["expires_at"] else "pending"
    outcome = row["outcome"] or {}
    by_code = row["device_sealed"] is not None
    late = {"code": "conflict", "message_code": None, "message": CODE_EXPIRED} if by_code else expired_problem()
    error = None if status in {"pending", "completed"} else outcome.get("error") or late
    return Authorization(
        row["id"],
        row["connection_id"],
        status,
        row["expires_at"],
        error=error,
        notes=tuple(outcome.get("notes") or ()),
        undecided=row["held_sealed"] is not None and ctx.clock() < row["expires_at"],
        device=device_codes.shown(ctx, row) if by_code and status == "pending" else None,
    )


def problem_of(error: KeyturnError, technical: str | None = None) -> dict[str, Any]:
    """A failure as an attempt keeps it: the sentence, and the end system's own words cleaned."""
    return {
        "code": error.code,
        "message_code": error.message_code,
        "message": redaction.text(error.message, limit=500),
        "technical": technical,
    }


async def starter(scene: Context, row: dict[str, Any]) -> tuple[Context, Member]:
    """The context of the member who began an attempt, with the role they have now. Raises `NotFound` if they left."""
    member = await scene.database.read(account_rows.member, row["workspace_id"], row["account_id"])
    if member is None:
        raise over()
    actor = replace(scene.actor, account_id=member.account_id, name=member.name, email=member.email, role=member.role)
    return replace(scene, actor=actor, workspace_id=row["workspace_id"]), member


def hash_of(value: str) -> str:
    """How links, states and browsers are stored: SHA-256 of an unguessable value."""
    return hashlib.sha256(value.encode()).hexdigest()


def sealed_ad(row: dict[str, Any], column: str) -> AssociatedData:
    """Associated data of what an attempt seals."""
    return AssociatedData(row["workspace_id"], "authorizations", row["id"], column)


def expired_problem() -> dict[str, str]:
    """The problem of an attempt that took too long."""
    return {"code": "conflict", "message_code": "E-STATE", "message": say("E-STATE")}


async def _ask_at_once(
    ctx: Context, connection: Connection, registration: Registration, values: dict[str, Any]
) -> Authorization:
    """Nobody signs in: the first token request is the whole attempt. What was signed in stays so when it fails."""
    failed: KeyturnError | None = None
    outcome: dict[str, Any] = {}
    try:
        outcome["notes"] = await client_grants.connect(ctx, connection, registration, values["scopes"])
    except KeyturnError as error:
        failed, outcome["error"] = error, problem_of(error)

    def write(tx: Tx) -> None:
        status = "completed" if failed is None else "failed"
        rows.insert(tx, ctx.workspace_id, values | {"status": status, "outcome": outcome})
        if failed is not None:
            events.record(tx, ctx, connection.id, "sign_in_failed", sentence=failed.message)

    await ctx.database.run(write)
    return await get(ctx, values["id"])


async def _ask_for_code(ctx: Context, registration: Registration, values: dict[str, Any]) -> Authorization:
    """A code for any device (RFC 8628). Everything about it stands in the row, so that a restart goes on."""
    found = await device_codes.ask(ctx, registration, values["scopes"])
    now = ctx.clock()
    more = {
        "device_sealed": device_codes.sealed(ctx, found, values),
        "poll_seconds": found.interval_seconds,
        "next_poll_at": now + found.interval_seconds,
        "expires_at": now + min(found.expires_in_seconds, device_codes.MOST_SECONDS),
    }
    await ctx.database.run(rows.insert, ctx.workspace_id, values | more)
    return await get(ctx, values["id"])


async def _check_may_begin(ctx: Context, connection: Connection) -> None:
    connections.require_may_sign_in(ctx, connection)
    if connection.oauth_client_id is None:
        return
    client = await oauth_clients.get(ctx, connection.oauth_client_id)
    owner = connection.owner_id == ctx.actor.account_id
    if client.settings.acts_for_itself and not owner and connection.reading(ctx.actor.account_id) == "own":
        raise Forbidden(f"{client.name} reads with rights of its own, which {connection.owner_name} did not share.")
    if ctx.actor.is_admin:
        return
    mine = connection.settings.access == "only_me" and owner
    # What a client gets for itself, or anybody by a code, is not the member's own to send to a host of their choice.
    if connections.host_listed(connection, client) or (mine and not client.settings.held_to_hosts):
        return
    host = urlsplit(connection.settings.base_url).hostname
    raise Invalid(
        f"{host} is not among the allowed hosts of {client.name}. A Workspace Admin can add it.", at="base_url"
    )


def over() -> NotFound:
    """What is said of a link that is unknown, used or over."""
    return NotFound("This link was used or has ended. Ask for a new one.", message_code="E-STATE")
