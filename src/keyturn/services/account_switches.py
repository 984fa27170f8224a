"""A reconnect as somebody else: the new sign-in is held until it is said whose data the connection shall read."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import structlog

from keyturn import redaction
from keyturn.errors import Conflict, KeyturnError, NotFound
from keyturn.model.connections import Connection
from keyturn.model.messages import say
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.tokens import TokenSet
from keyturn.services import authorizations, events, grants, oauth_clients, revocations
from keyturn.services.context import Context
from keyturn.services.oauth_clients import Registration
from keyturn.storage import authorizations as rows
from keyturn.storage import connections as connection_rows
from keyturn.storage import grants as grant_rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

log = structlog.get_logger(__name__)


def is_another(before: str | None, now: str | None) -> bool:
    """Whether a sign-in is known to be another person's; without a name on both sides nobody can tell."""
    return before is not None and now is not None and before.casefold() != now.casefold()


def holder_of(row: dict[str, Any], connection: Connection) -> str | None:
    """Whose grant an attempt is for: the member's own, or the connection's."""
    return connection.holder_for(row["account_id"])


async def hold(
    ctx: Context, row: dict[str, Any], tokens: TokenSet, *, before: str, now: str, requested_at: float
) -> Conflict:
    """Seal the token set beside the attempt; the error that asks for a decision (E-OTHERUSER)."""
    held = json.dumps({"tokens": asdict(tokens), "account": now, "requested_at": requested_at})
    sealed = ctx.keyring.seal(held, ad=authorizations.sealed_ad(row, "held_sealed"))
    await ctx.database.run(rows.hold, ctx.workspace_id, row["id"], sealed)
    return Conflict(say("E-OTHERUSER", before=before, now=now), message_code="E-OTHERUSER")


async def decide(ctx: Context, authorization_id: str, *, switch: bool) -> None:
    """Read as the new account from now on, or keep the old one and have the new sign-in forgotten at the end system.

    Raises `NotFound` when there is nothing to decide (any more).
    """
    attempt = await authorizations.get(ctx, authorization_id)
    row = await ctx.database.run(rows.take_held, ctx.workspace_id, attempt.id)
    if row is None or ctx.clock() >= row["expires_at"]:
        raise NotFound("There is nothing to decide here any more. Start the sign-in again.")
    await _decide(ctx, row, switch=switch)


async def decide_here(scene: Context, done: str, *, browser: str | None, switch: bool) -> None:
    """The same in the window that signed in, which is bound to the attempt by its cookie."""
    row = await scene.database.read(rows.by_done_anywhere, authorizations.hash_of(done))
    if row is None or browser is None or row["browser_hash"] != authorizations.hash_of(browser):
        raise NotFound("There is nothing to decide here any more. Start the sign-in again.")
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
    if registration.client.version != row["client_version"]:
        raise Conflict(f"{registration.client.name} was changed while you signed in. Start again.")
    if not switch:
        await _forget(ctx, row, registration, tokens)
        return

    def write(tx: Tx) -> None:
        store(tx, ctx, row, connection, registration, tokens, held["account"], held["requested_at"])
        rows.finish(tx, ctx.workspace_id, row["id"], "completed", {"account": held["account"]})

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
    events.record(tx, ctx, connection.id, "connected" if before is None else "reconnected", account=account)
    changes = "" if before is None else grants.scope_changes(before, tokens)
    if changes:
        events.record(tx, ctx, connection.id, "scopes_changed", changes=changes)


async def _forget(ctx: Context, row: dict[str, Any], registration: Registration, tokens: TokenSet) -> None:
    # The grant that is kept must not be the one that is revoked: some servers keep one grant for an app and a person,
    # but here the persons differ.
    try:
        await revocations.revoke(ctx, registration, tokens.refresh_token, tokens.access_token)
    except (KeyturnError, OAuthError) as error:
        log.info("revocation_failed", connection=row["connection_id"], error=type(error).__name__)
    problem = {"code": "conflict", "message": "The connection reads as before; the other sign-in was dropped."}
    await ctx.database.run(rows.finish, ctx.workspace_id, row["id"], "failed", {"error": problem})
