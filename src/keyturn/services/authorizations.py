"""Signing in at the end system: begin, look, proceed, complete. One row per attempt, used once.

Begin makes a link. Opened in the browser of the member who began it, it leads on at once; any other browser is
first shown who asks and must press Continue, which binds the attempt to that browser and starts its ten minutes.
The callback takes nothing from its own query but `state`, `code`, `iss` and errors; the rest is in the row.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from keyturn import redaction
from keyturn.encryption import AssociatedData
from keyturn.errors import Conflict, Forbidden, Invalid, KeyturnError, NotFound
from keyturn.model.connections import Connection
from keyturn.model.ids import new_id
from keyturn.model.messages import say
from keyturn.oauth.authorization import (
    authorization_parameters,
    authorization_url,
    challenge,
    new_nonce,
    new_state,
    new_verifier,
)
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.jose import thumbprint
from keyturn.oauth.pushed import pushed_parameters
from keyturn.services import (
    client_grants,
    client_secrets,
    connections,
    device_codes,
    events,
    oauth_clients,
    refusals,
    token_requests,
)
from keyturn.services.context import Context
from keyturn.services.device_codes import DeviceCode
from keyturn.services.oauth_clients import Registration
from keyturn.storage import accounts as account_rows
from keyturn.storage import authorizations as rows
from keyturn.storage import connections as connection_rows

if TYPE_CHECKING:
    from keyturn.model.accounts import Member
    from keyturn.storage.database import Tx

OPEN_SECONDS = 600.0
STATE_SECONDS = 600.0
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


@dataclass(frozen=True, slots=True)
class Invitation:
    """What any other browser sees before it leads on: who asks, for which system, what will be read and by whom.

    `api_host` is None where the sign-in tells it; it is then one of the client's API hosts.
    """

    asked_by: str
    system: str
    sign_in_host: str
    token_host: str
    api_host: str | None
    scopes: tuple[str, ...]
    readers: str
    connection_name: str
    connection_id: str
    mine: bool
    expires_at: float


async def begin(ctx: Context, connection_id: str) -> Authorization:
    """Start a sign-in; a client that acts for itself asks for its token at once, so the answer is the end of it.
    With the Device Code Grant the answer has a code to enter on any device, and the server is asked by itself.

    Raises `Invalid` where an unlisted host needs a Workspace Admin, `Conflict` without a client.
    """
    ctx.require_verb("connections.begin")
    connection = await connections.get(ctx, connection_id)
    await _check_may_begin(ctx, connection)
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
        "expires_at": now + OPEN_SECONDS,
    }
    if registration.client.settings.acts_for_itself:
        return await _ask_at_once(ctx, connection, registration, values)
    if registration.client.settings.grant_type == "device_code":
        return await _ask_for_code(ctx, registration, values)
    await ctx.database.run(rows.insert, ctx.workspace_id, values)
    start_url = f"{ctx.deployment.public_url}/connect/{link}"
    return Authorization(values["id"], connection.id, "pending", values["expires_at"], start_url)


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


async def look(scene: Context, link: str, account_id: str | None) -> Invitation:
    """What stands behind a link. Raises `NotFound` when it is unknown, used or over."""
    row = await _open_row(scene, link)
    ctx, member, connection = await _beginning(scene, row)
    registration = await oauth_clients.registration(ctx, row["oauth_client_id"], connection.settings.variables)
    return Invitation(
        asked_by=member.name,
        system=registration.client.name,
        sign_in_host=urlsplit(registration.server.authorization_url).netloc,
        token_host=urlsplit(registration.server.token_url).netloc,
        api_host=urlsplit(connection.settings.base_url).netloc or None,
        scopes=tuple(row["scopes"]),
        readers=connection.readers(member.account_id, member.name),
        connection_name=connection.name,
        connection_id=connection.id,
        mine=account_id == row["account_id"],
        expires_at=row["expires_at"],
    )


async def proceed(scene: Context, link: str, *, browser: str, account_id: str | None) -> str:
    """Bind the attempt to `browser` (its cookie's value) and answer the end system's address to go to."""
    row = await _open_row(scene, link)
    ctx, member, connection = await _beginning(scene, row)
    registration = await oauth_clients.registration(ctx, row["oauth_client_id"], connection.settings.variables)
    listed = connections.host_listed(connection, registration.client)
    if not listed and account_id != row["account_id"] and member.role != "admin":
        raise Forbidden(
            f"Sign in to Keyturn as {member.name} first: the host of {connection.name} is not among the allowed "
            f"hosts of {registration.client.name}, so no one else may sign in for it."
        )
    own = _own_values(registration, row)
    url = await _address(ctx, registration, row, own)
    values: dict[str, Any] = {
        "state_hash": hash_of(own.state),
        "browser_hash": hash_of(browser),
        "redirect_uri": registration.client.redirect_uri,
        "client_version": registration.client.version,
        "expires_at": scene.clock() + STATE_SECONDS,
    }
    for column, value in (("verifier", own.verifier), ("nonce", own.nonce), ("dpop_key", own.dpop_key)):
        name = f"{column}_sealed"
        values[name] = None if value is None else scene.keyring.seal(value, ad=sealed_ad(row, name))
    if not await scene.database.run(rows.bind, row["workspace_id"], row["id"], values):
        raise _over()
    return url


@dataclass(frozen=True, slots=True)
class _OwnValues:
    """What one attempt alone has; never in `repr`. `nonce` is for the ID token, `dpop_key` what tokens are bound to."""

    state: str = field(repr=False)
    verifier: str = field(repr=False)
    nonce: str | None = field(repr=False)
    dpop_key: str | None = field(repr=False)


def _own_values(registration: Registration, row: dict[str, Any]) -> _OwnValues:
    wants_nonce = registration.client.settings.advanced.authorize.nonce or "openid" in row["scopes"]
    key = token_requests.new_dpop_key(registration)
    own = _OwnValues(new_state(), new_verifier(), new_nonce() if wants_nonce else None, key)
    redaction.remember(own.state, own.verifier, own.nonce, own.dpop_key)
    return own


async def _address(ctx: Context, registration: Registration, row: dict[str, Any], own: _OwnValues) -> str:
    """Where the browser goes. Where requests are pushed, the server has this one before the browser leaves.

    Raises what the person who pressed Continue can be told; they may press it again.
    """
    advanced = registration.client.settings.advanced
    try:
        parameters = authorization_parameters(
            registration.server,
            client_id=registration.client.settings.client_id,
            redirect_uri=registration.client.redirect_uri,
            scopes=row["scopes"],
            state=own.state,
            code_challenge=challenge(own.verifier) if advanced.authorize.pkce == "S256" else None,
            nonce=own.nonce,
            dpop_thumbprint=own.dpop_key and thumbprint(own.dpop_key),
            advanced=advanced,
        )
        if registration.server.pushed_authorization_url is not None:
            seconds = ctx.deployment.refresh.deadline_seconds
            pushed = await token_requests.push(ctx, registration, parameters, timeout_seconds=seconds)
            await client_secrets.worked(ctx, registration, pushed.way)
            redaction.remember(pushed.found.request_uri)
            parameters = pushed_parameters(registration.client.settings.client_id, pushed.found, advanced=advanced)
        return authorization_url(registration.server, parameters, advanced=advanced)
    except OAuthError as error:
        if error.where == "pushed_authorization":
            raise await refusals.in_our_words(ctx, error, registration) from None
        raise _cannot_lead_on(registration, error) from None


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
        raise _over()
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


def _cannot_lead_on(registration: Registration, error: OAuthError) -> Invalid:
    """Why there is no address to go to, for the person who pressed Continue; a Workspace Admin repairs it."""
    at = "advanced.authorize.pkce" if error.error.startswith("pkce") else "authorization_url"
    reason = error.description or error.error
    return Invalid(f"{reason} A Workspace Admin changes it at {registration.client.name}.", at=at)


async def _open_row(scene: Context, link: str) -> dict[str, Any]:
    row = await scene.database.read(rows.by_link_anywhere, hash_of(link))
    if row is None or row["status"] != "pending" or scene.clock() >= row["expires_at"]:
        raise _over()
    return row


async def _beginning(scene: Context, row: dict[str, Any]) -> tuple[Context, Member, Connection]:
    ctx, member = await starter(scene, row)

    def fetch(tx: Tx) -> Connection | None:
        return connection_rows.get(tx, row["workspace_id"], row["connection_id"])

    connection = await scene.database.read(fetch)
    if connection is None or connection.oauth_client_id != row["oauth_client_id"]:
        raise _over()
    return ctx, member, connection


def _over() -> NotFound:
    return NotFound("This link was used or has ended. Ask for a new one.", message_code="E-STATE")
