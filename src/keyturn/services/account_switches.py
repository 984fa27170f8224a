"""A sign-in that is held until it is said whose data the connection shall read: a reconnect as somebody else, and
what came through a connect link that holds.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import structlog

from keyturn import redaction
from keyturn.errors import Conflict, Forbidden, KeyturnError, NotFound
from keyturn.model.connections import Connection
from keyturn.model.messages import say
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.tokens import TokenSet
from keyturn.services import authorizations, events, grants, link_outcomes, oauth_clients, revocations
from keyturn.services.context import Context
from keyturn.services.oauth_clients import Registration
from keyturn.storage import authorizations as rows
from keyturn.storage import connections as connection_rows
from keyturn.storage import grants as grant_rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

log = structlog.get_logger(__name__)
_NOTHING = "There is nothing to decide here any more. Start the sign-in again."


def is_another(before: str | None, now: str | None) -> bool:
    """Whether a sign-in is known to be another person's; without a name on both sides nobody can tell."""
    return before is not None and now is not None and before.casefold() != now.casefold()


def holder_of(row: dict[str, Any], connection: Connection) -> str | None:
    """Whose grant an attempt is for: the member's own, or the connection's."""
    return connection.holder_for(row["account_id"])


async def hold(
    ctx: Context, row: dict[str, Any], tokens: TokenSet, *, before: str | None, now: str | None, requested_at: float
) -> Conflict:
    """Seal the token set beside the attempt; the error that asks for a decision (E-OTHERUSER)."""
    held = json.dumps({"tokens": asdict(tokens), "account": now, "requested_at": requested_at})
    sealed = ctx.keyring.seal(held, ad=authorizations.sealed_ad(row, "held_sealed"))
    error = Conflict("Nothing is read with this sign-in until its account is accepted.")
    if is_another(before, now):
        error = Conflict(say("E-OTHERUSER", before=before, now=now), message_code="E-OTHERUSER")

    def write(tx: Tx) -> None:
        until = None
        if row["connect_link_id"] is not None:
            until = link_outcomes.held(tx, ctx, row, now)
            rows.finish(tx, ctx.workspace_id, row["id"], "failed", {"error": authorizations.problem_of(error)})
        rows.hold(tx, ctx.workspace_id, row["id"], sealed, expires_at=until)

    await ctx.database.run(write)
    return error


async def decide(ctx: Context, authorization_id: str, *, switch: bool) -> None:
    """Read as the new account from now on, or keep the old one and have the new sign-in forgotten at the end system.

    Raises `NotFound` when there is nothing to decide (any more).
    """
    attempt = await authorizations.get(ctx, authorization_id)
    await decide_held(ctx, attempt.id, switch=switch)


async def decide_held(ctx: Context, authorization_id: str, *, switch: bool) -> None:
    """The same for a caller who has checked that the actor may. Raises `NotFound`."""
    row = await ctx.database.run(rows.take_held, ctx.workspace_id, authorization_id)
    if row is None or (switch and ctx.clock() >= row["expires_at"]):
        raise NotFound(_NOTHING)
    await _decide(ctx, row, switch=switch)


async def decide_here(scene: Context, done: str, *, browser: str | None, switch: bool) -> None:
    """The same in the window that signed in, which is bound to the attempt by its cookie.

    Not where a connect link led here: whoever opened it does not decide whose data the connection reads.
    """
    row = await scene.database.read(rows.by_done_anywhere, authorizations.hash_of(done))
    if row is None or browser is None or row["browser_hash"] != authorizations.hash_of(browser):
        raise NotFound(_NOTHING)
    if row["connect_link_id"] is not None:
        raise Forbidden("Whoever sent you the link decides this.")
    ctx, _ = await authorizations.starter(scene, row)
    await decide(ctx, row["id"], switch=switch)


async def _decide(ctx: Context, row: dict[str, Any], *, switch: bool) -> None:
    held = json.loads(ctx.keyring.open(row["held_sealed"], ad=authorizations.sealed_ad(row, "held_sealed")))
    scopes = held["tokens"]["scopes"]
    tokens = replace(TokenSet(**held["tokens"]), scopes=None if scopes is None else tuple(scopes))
    redaction.remember(tokens.access_token, tokens.refresh_token, tokens.id_token, tokens.dpop_key)
    connection = await ctx.database.read(connection_rows.get, ctx.workspace_id, row["connection_id"])
    if connection is None:
        raise NotFound("This connection is gone.")
    registration = await oauth_clients.registration(ctx, row["oauth_client_id"], connection.settings.variables)
    if not switch:
        await _forget(ctx, row, connection, registration, tokens, held["account"])
        return
    if registration.client.version != row["client_version"]:
        error = Conflict(f"{registration.client.name} was changed while you signed in. Start again.")
        await ctx.database.run(link_outcomes.failed, ctx, row, authorizations.problem_of(error))
        raise error

    def write(tx: Tx) -> None:
        store(tx, ctx, row, connection, registration, tokens, held["account"], held["requested_at"])
        rows.finish(tx, ctx.workspace_id, row["id"], "completed", {"account": held["account"]})
        link_outcomes.completed(tx, ctx, row, held["account"])

    await ctx.database.run(write)


def store(
    tx: Tx,
    ctx: Context,
    row: dict[str, Any],
    connection: Connection,
    registration: Registration,
    tokens: TokenSet,
    account: str | None,
    requested_at: float,
) -> None:
    """A sign-in's token set in place of the connection's grant, and what the timeline says of it."""
    holder = holder_of(row, connection)
    before = grant_rows.of_connection(tx, ctx.workspace_id, connection.id, holder)
    grants.store_new(
        tx,
        ctx,
        registration,
        tokens,
        connection=connection,
        account_id=holder,
        requested_at=requested_at,
        scopes_requested=row["scopes"],
        account=account,
    )
    connection_rows.update(tx, ctx.workspace_id, connection.id, {"detail": None})
    told = {"account": account, "connect_link": row["connect_link_id"]}
    events.record(tx, ctx, connection.id, "connected" if before is None else "reconnected", **told)
    changes = "" if before is None else grants.scope_changes(before, tokens)
    if changes:
        events.record(tx, ctx, connection.id, "scopes_changed", changes=changes)


async def drop(
    ctx: Context,
    row: dict[str, Any],
    connection: Connection,
    registration: Registration,
    tokens: TokenSet,
    account: str | None,
) -> None:
    """Have a sign-in that is not taken forgotten at the end system too, if that can be asked for."""
    held_by = (ctx.workspace_id, connection.id, holder_of(row, connection))
    grant = await ctx.database.read(grant_rows.of_connection, *held_by)
    # The grant that is kept must not be the one that is revoked: some servers keep one grant for an app and a person,
    # so it is only done where nothing is kept, or where the persons differ.
    if grant is not None and not is_another(grant.account, account):
        return
    try:
        await revocations.revoke(ctx, registration, tokens.refresh_token, tokens.access_token)
    except (KeyturnError, OAuthError) as error:
        log.info("revocation_failed", connection=row["connection_id"], error=type(error).__name__)


async def _forget(
    ctx: Context,
    row: dict[str, Any],
    connection: Connection,
    registration: Registration,
    tokens: TokenSet,
    account: str | None,
) -> None:
    await drop(ctx, row, connection, registration, tokens, account)
    problem = {"code": "conflict", "message": "The connection reads as before; the other sign-in was dropped."}

    def write(tx: Tx) -> None:
        rows.finish(tx, ctx.workspace_id, row["id"], "failed", {"error": problem})
        if row["connect_link_id"] is not None:
            events.record(tx, ctx, connection.id, "link_refused", account=account)
        refused = {"code": "conflict", "message": "The account was not accepted; the sign-in was dropped."}
        link_outcomes.failed(tx, ctx, row, refused)

    await ctx.database.run(write)
