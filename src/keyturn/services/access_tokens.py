"""Access tokens that are always fresh: handed out freely, renewed ahead, and once across replicas when they must be.

The algorithm, in words. Before `refresh_after`: hand out. Until `hard_at`: hand out and renew in the background.
After it, or when the API rejected this generation: one task in this process per (grant, generation) renews
(`refreshes`), or waits while another replica does, woken when the row changes. Callers end by their deadline.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from keyturn.errors import ClientRefused, Conflict, ReconnectNeeded, Unavailable
from keyturn.model.connections import Connection
from keyturn.model.grants import Grant
from keyturn.model.messages import say
from keyturn.model.refreshes import Purpose
from keyturn.services import (
    audit,
    client_keys,
    connections,
    grants,
    oauth_clients,
    proofs,
    refresh_metrics,
    refresh_outcomes,
    refreshes,
    token_cache,
)
from keyturn.services.context import Context
from keyturn.storage import grants as grant_rows
from keyturn.storage import token_hosts

if TYPE_CHECKING:
    from keyturn.storage.database import Tx
    from keyturn.storage.token_hosts import TokenHost

# A wake-up comes sooner; this is for one that was lost.
_LOOK_SECONDS = 0.15
_waits: dict[tuple[int, str, int, str], asyncio.Task[Grant]] = {}


@dataclass(frozen=True, slots=True)
class AccessToken:
    """One usable access token and the generation it belongs to. Times are epoch seconds; None is unknown.

    `dpop_key` is the private key it is bound to: without a proof by it, the token is worth nothing (RFC 9449).
    """

    value: str = field(repr=False)
    token_type: str
    generation: int
    grant_id: str
    expires_at: float | None
    dpop_key: str | None = field(default=None, repr=False)
    obtained_at: float | None = None

    def __repr__(self) -> str:
        return f"AccessToken(generation={self.generation})"


async def fresh(ctx: Context, connection: Connection) -> AccessToken:
    """A token that is good now. Raises `ReconnectNeeded`, `ClientRefused`, `Unavailable` (with retry_after)."""
    holder = connections.grant_holder(ctx, connection)
    grant = _present(ctx, connection, await token_cache.grant_of(ctx, connection.id, holder))
    await _refuse_dead(ctx, connection, grant)
    window = grant.window(ctx.clock())
    if window == "over":
        return _open(ctx, await _renewed(ctx, connection, grant, "due"))
    if window == "ahead":
        await _renew_ahead(ctx, connection)
    return _open(ctx, grant)


async def after_rejection(ctx: Context, connection: Connection, rejected: AccessToken) -> AccessToken:
    """The API rejected that token: the newer one if there is one already, else one forced refresh of its generation.

    Answers the same generation if the server gives the same token again.
    """
    grant = await _grant(ctx, connection)
    await _refuse_dead(ctx, connection, grant)
    if grant.generation > rejected.generation or grant.state == "suspended":
        return _open(ctx, grant)
    if not grant.renews_itself:
        await _give_up(ctx, grant, "no_refresh_token")
        raise _reconnect(ctx, connection, grant, "no_refresh_token")
    return _open(ctx, await _renewed(ctx, connection, grant, "rejected"))


async def refresh(ctx: Context, connection_id: str) -> Connection:
    """Renew a connection's token set now, whatever its age."""
    ctx.require("connections:use")
    connection = await connections.get(ctx, connection_id)
    connections.require_use(ctx, connection)
    grant = await _grant(ctx, connection)
    await _refuse_dead(ctx, connection, grant)
    if not grant.renews_itself:
        raise Conflict(f"{_system(connection)} gave no refresh token, so there is nothing to renew. Reconnect instead.")
    await _renewed(ctx, connection, grant, "asked")
    return await connections.get(ctx, connection_id)


async def reveal(ctx: Context, connection_id: str) -> AccessToken:
    """The access token itself, for programs that may have it (`tokens:reveal`); never the refresh token."""
    ctx.require("tokens:reveal")
    connection = await connections.get(ctx, connection_id)
    connections.require_use(ctx, connection)
    token = await fresh(ctx, connection)

    def write(tx: Tx) -> None:
        audit.record(tx, ctx, "connection.token_revealed", connection.id, generation=token.generation)

    # Told before it is handed out: a token that left without an entry would be nobody's.
    await ctx.database.run(write)
    return token


async def _renew_ahead(ctx: Context, connection: Connection) -> None:
    """Renew in the background, if nobody does and it is not a matter of waiting."""
    grant, now = await _grant(ctx, connection), ctx.clock()
    idle = (grant.lease_until or 0.0) <= now and (grant.next_attempt_at or 0.0) <= now
    if idle and grant.state == "active" and grant.window(now) == "ahead":
        refreshes.start(ctx, connection, grant, "due")


async def _renewed(ctx: Context, connection: Connection, grant: Grant, purpose: Purpose) -> Grant:
    """The grant with the next token set, by our own refresh or another replica's. Ends by the caller's deadline."""
    began_at = time.monotonic()
    deadline = began_at + ctx.deployment.refresh.wait_seconds
    key = (id(ctx.database), grant.id, grant.generation, "asked" if purpose == "asked" else "due")
    try:
        while (remaining := deadline - time.monotonic()) > 0:
            task = _waits.get(key)
            if task is None:
                task = _waits[key] = asyncio.create_task(_wait(ctx, connection, grant, purpose))
                task.add_done_callback(lambda done: _ended(key, done))
            # Everybody in this process waits for the one task; it outlives callers who go away.
            await asyncio.wait({task}, timeout=remaining)
            if task.done() and (found := task.result()) is not grant:
                return found
        raise Unavailable("The token is being renewed and it takes long. Try again.", retry_after_seconds=5)
    finally:
        refresh_metrics.WAIT_SECONDS.observe(time.monotonic() - began_at)


def _ended(key: tuple[int, str, int, str], task: asyncio.Task[Grant]) -> None:
    _waits.pop(key, None)
    if not task.cancelled():
        # Marks it as seen where every caller went away before it ended.
        task.exception()


async def _wait(ctx: Context, connection: Connection, seen: Grant, purpose: Purpose) -> Grant:
    """Renew, or wait for who does. Answers `seen` itself when nothing came of it within a deadline."""
    deadline = time.monotonic() + ctx.deployment.refresh.wait_seconds
    with ctx.database.wakeups.watching(connection.id) as woken:
        await asyncio.wait({refreshes.start(ctx, connection, seen, purpose)})
        while True:
            current, host = await _looked(ctx, connection, seen)
            if current.generation > seen.generation or current.last_ok_at != seen.last_ok_at:
                return current
            await _refuse_dead(ctx, connection, current)
            held = current.lease_owner is not None and (current.lease_until or 0.0) > ctx.clock()
            if not held:
                await _refuse_waiting(ctx, connection, current, host)
            if time.monotonic() > deadline:
                return seen
            # Another replica holds the lease.
            await woken(_LOOK_SECONDS * random.uniform(0.7, 1.3))  # noqa: S311 - jitter
            if not held:
                await asyncio.wait({refreshes.start(ctx, connection, seen, purpose)})


async def _looked(ctx: Context, connection: Connection, seen: Grant) -> tuple[Grant, TokenHost | None]:
    holder = connections.grant_holder(ctx, connection)

    def fetch(tx: Tx) -> tuple[Grant | None, TokenHost | None]:
        grant = grant_rows.of_connection(tx, ctx.workspace_id, connection.id, holder)
        return grant, token_hosts.get(tx, ctx.workspace_id, seen.token_origin)

    grant, host = await ctx.database.read(fetch)
    return _present(ctx, connection, grant), host


async def _grant(ctx: Context, connection: Connection) -> Grant:
    holder = connections.grant_holder(ctx, connection)
    grant = await ctx.database.read(grant_rows.of_connection, ctx.workspace_id, connection.id, holder)
    return _present(ctx, connection, grant)


def _present(ctx: Context, connection: Connection, grant: Grant | None) -> Grant:
    if grant is None:
        raise ReconnectNeeded(
            f"{connection.name} is not connected yet. Sign in first.",
            connection=connection.name,
            reason=connection.status_detail or "not_connected",
            reconnect_url=_page(ctx, connection),
        )
    return grant


async def _give_up(ctx: Context, grant: Grant, reason: str) -> None:
    def write(tx: Tx) -> None:
        values = {"state": "reconnect_needed", "reason": reason, "changed_at": ctx.clock()}
        if grant_rows.update(tx, ctx.workspace_id, grant.id, grant.generation, values):
            refresh_outcomes.lost(tx, ctx, grant, reason, reason=reason)

    await ctx.database.run(write)


async def _refuse_dead(ctx: Context, connection: Connection, grant: Grant) -> None:
    """Raise for a grant that will give no good token before somebody does something."""
    now = ctx.clock()
    if grant.state in {"reconnect_needed", "revoked"}:
        raise _reconnect(ctx, connection, grant, grant.reason or "revoked")
    if grant.is_good(now):
        return
    if grant.state == "suspended":
        raise await _client_refused(ctx, connection, grant)
    if not grant.renews_itself:
        raise _reconnect(ctx, connection, grant, "no_refresh_token")
    if grant.refresh_expires_at is not None and now >= grant.refresh_expires_at:
        raise _reconnect(ctx, connection, grant, "refresh_token_expired")


async def _refuse_waiting(ctx: Context, connection: Connection, grant: Grant, host: TokenHost | None) -> None:
    """Our try failed and the next one is set: say when, instead of trying for every caller."""
    if grant.state == "suspended":
        # Also while its token is still good: a new one was wanted, and only a repaired client gets one.
        raise await _client_refused(ctx, connection, grant)
    wait = max((grant.next_attempt_at or 0.0) - ctx.clock(), host.closed_for_seconds if host is not None else 0.0)
    if wait <= 0:
        return
    if grant.last_error_class == "config":
        sentence = say("E-TOKEN", system=_system(connection), error=grant.last_error_code or "config")
        raise Unavailable(sentence, retry_after_seconds=wait, message_code="E-TOKEN")
    status = grant.last_error_code or (host.last_code if host is not None else None) or "no answer"
    raise Unavailable(
        say("E-UPSTREAM", system=_system(connection), status=status),
        retry_after_seconds=wait,
        message_code="E-UPSTREAM",
    )


async def _client_refused(ctx: Context, connection: Connection, grant: Grant) -> ClientRefused:
    """The trouble is the OAuth client's, and of which kind."""
    error, system = grant.last_error_code or "refused", _system(connection)
    if grant.reason == "client_misconfigured":
        return ClientRefused(say("E-TOKEN", system=system, error=error), message_code="E-TOKEN")
    if grant.reason == "signature_refused":
        return client_keys.refused(await oauth_clients.get(ctx, connection.oauth_client_id or ""), error)
    waits = "Its connections wait and resume by themselves."
    return ClientRefused(
        say("E-CLIENT", system=system, error=error, tried=waits), message_code="E-CLIENT", connection=connection.name
    )


def _reconnect(ctx: Context, connection: Connection, grant: Grant, reason: str) -> ReconnectNeeded:
    as_account = f" as {grant.account}" if grant.account else ""
    if reason == "no_refresh_token":
        message = (
            f"{_system(connection)} gave no refresh token, so this sign-in has ended. Ask for the scope "
            f"offline_access (or access_type=offline), then reconnect{as_account}."
        )
        code = "E-NOREFRESH"
    elif reason == "client_changed":
        message = f"The Token URL of {_system(connection)} moved to another host. Reconnect{as_account}."
        code = "E-GRANT"
    elif reason == proofs.REASON:
        message = (
            f"DPoP was turned on for {_system(connection)}, and this sign-in is from before. Reconnect{as_account}."
        )
        code = "E-GRANT"
    elif reason == "seven_days":
        code = "E-7DAYS"
        message = say(code)
    elif grant.grant_type == "client_credentials":
        message = (
            f"{_system(connection)} gives this client no token any more ({grant.last_error_code or reason}). Check in "
            "its console that the client is active and may have these scopes, then reconnect."
        )
        code = "E-GRANT"
    else:
        code = "E-GRANT"
        message = say(code, system=_system(connection), error=grant.last_error_code or reason, as_account=as_account)
    return ReconnectNeeded(
        message,
        message_code=code,
        connection=connection.name,
        account=grant.account,
        reason=reason,
        reconnect_url=_page(ctx, connection),
    )


def _open(ctx: Context, grant: Grant) -> AccessToken:
    value = grants.access_token(ctx, grant)
    return AccessToken(
        value,
        grant.token_type,
        grant.generation,
        grant.id,
        grant.access_expires_at,
        grants.dpop_key(ctx, grant),
        grant.last_ok_at,
    )


def _system(connection: Connection) -> str:
    return connection.oauth_client_name or connection.name


def _page(ctx: Context, connection: Connection) -> str:
    return f"{ctx.deployment.public_url}/connections/{connection.id}"
