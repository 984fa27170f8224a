"""Access tokens that are always fresh: handed out freely, renewed ahead, and once across replicas when they must be.

The algorithm, in words. Before `refresh_after`: hand out. Until `hard_at`: hand out and renew in the background.
After it, or when the API rejected this generation: one task in this process per (grant, generation) takes the
lease row on the database's clock, commits, sends one token request under a total deadline shorter than the lease,
and writes the answer only if epoch and generation are still its own. Everybody else waits for the new generation.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from keyturn.errors import Conflict, ReconnectNeeded, Unavailable
from keyturn.model.connections import Connection
from keyturn.model.grants import Grant
from keyturn.model.messages import say
from keyturn.services import audit, connections, grants, oauth_clients, proofs, refreshes
from keyturn.services.context import Context
from keyturn.storage import grants as grant_rows
from keyturn.storage import leases

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

log = structlog.get_logger(__name__)

_POLL_SECONDS = (0.025, 0.25)
_flights: dict[tuple[int, str, int], asyncio.Task[None]] = {}


@dataclass(frozen=True, slots=True)
class AccessToken:
    """One usable access token and the generation it belongs to. `expires_at` is epoch seconds or None.

    `dpop_key` is the private key it is bound to: without a proof by it, the token is worth nothing (RFC 9449).
    """

    value: str
    token_type: str
    generation: int
    grant_id: str
    expires_at: float | None
    dpop_key: str | None = None

    def __repr__(self) -> str:
        return f"AccessToken(generation={self.generation})"


async def fresh(ctx: Context, connection: Connection) -> AccessToken:
    """A token that is good now. Raises `ReconnectNeeded`, `ClientRefused`, `Unavailable` (with retry_after)."""
    grant = await _grant(ctx, connection)
    _refuse_dead(ctx, connection, grant)
    now = ctx.clock()
    if not grant.renews_itself:
        if grant.access_expires_at is not None and now >= grant.access_expires_at:
            raise _reconnect(ctx, connection, grant, "no_refresh_token")
        return _open(ctx, grant)
    if grant.refresh_after is None or now < grant.refresh_after:
        return _open(ctx, grant)
    if grant.hard_at is not None and now < grant.hard_at:
        _start(ctx, connection, grant, force=False)
        return _open(ctx, grant)
    return _open(ctx, await _renewed(ctx, connection, grant))


async def after_rejection(ctx: Context, connection: Connection, rejected: AccessToken) -> AccessToken:
    """The API rejected that token: the newer one if there is one already, else one forced refresh of its generation."""
    grant = await _grant(ctx, connection)
    _refuse_dead(ctx, connection, grant)
    if grant.generation > rejected.generation:
        return _open(ctx, grant)
    if not grant.renews_itself:
        await _give_up(ctx, grant, "no_refresh_token")
        raise _reconnect(ctx, connection, grant, "no_refresh_token")
    return _open(ctx, await _renewed(ctx, connection, grant, force=True))


async def refresh(ctx: Context, connection_id: str) -> Connection:
    """Renew a connection's token set now, whatever its age."""
    ctx.require("connections:use")
    connection = await connections.get(ctx, connection_id)
    connections.require_use(ctx, connection)
    grant = await _grant(ctx, connection)
    _refuse_dead(ctx, connection, grant)
    if not grant.renews_itself:
        raise Conflict(f"{_system(connection)} gave no refresh token, so there is nothing to renew. Reconnect instead.")
    await _renewed(ctx, connection, grant, force=True)
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


async def drain() -> None:
    """Wait for refreshes in flight: an answer on its way must be stored before the process ends."""
    while _flights:
        await asyncio.wait(list(_flights.values()))


def _start(ctx: Context, connection: Connection, grant: Grant, *, force: bool) -> asyncio.Task[None]:
    """The one task of this process for that generation; it outlives callers who go away."""
    key = (id(ctx.database), grant.id, grant.generation)
    task = _flights.get(key)
    if task is None:
        task = asyncio.create_task(_refresh(ctx, connection, grant, force=force))
        _flights[key] = task
        task.add_done_callback(lambda done: _landed(key, done))
    return task


def _landed(key: tuple[int, str, int], task: asyncio.Task[None]) -> None:
    _flights.pop(key, None)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.info("refresh_failed", grant=key[1], generation=key[2], error=type(error).__name__)


async def _renewed(ctx: Context, connection: Connection, grant: Grant, *, force: bool = False) -> Grant:
    """The next generation of `grant`, by our own refresh or another replica's. Ends by `RefreshTimes.wait_seconds`."""
    deadline = time.monotonic() + ctx.deployment.refresh.wait_seconds
    pause = _POLL_SECONDS[0]
    while True:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise Unavailable("The token is being renewed and it takes long. Try again.", retry_after_seconds=5)
        task = _start(ctx, connection, grant, force=force)
        try:
            await asyncio.wait_for(asyncio.shield(task), remaining)
        except TimeoutError:
            continue
        current = await _grant(ctx, connection)
        if current.generation > grant.generation:
            return current
        _refuse_dead(ctx, connection, current)
        _refuse_waiting(ctx, current)
        # Another replica holds the lease: look again soon, a little later each time.
        await asyncio.sleep(min(pause * random.uniform(0.7, 1.3), max(0.0, remaining)))  # noqa: S311 - jitter
        pause = min(pause * 1.6, _POLL_SECONDS[1])


async def _refresh(ctx: Context, connection: Connection, seen: Grant, *, force: bool) -> None:
    """Take the lease if it is to be had and renew; no lease means that somebody else is at it."""
    if connection.oauth_client_id is None:
        return
    registration = await oauth_clients.registration(ctx, connection.oauth_client_id, connection.settings.variables)
    if seen.token_origin != registration.token_origin:
        # F14: the old refresh token was issued by another host and must never be sent to this one.
        await _give_up(ctx, seen, "client_changed")
        return
    epoch = await ctx.database.run(
        leases.take_for_refresh,
        ctx.workspace_id,
        seen.id,
        generation=seen.generation,
        owner=ctx.deployment.owner,
        seconds=ctx.deployment.refresh.lease_seconds,
        force=force,
    )
    if epoch is None:
        return
    taken_at = time.monotonic()
    await refreshes.renew(ctx, connection, registration, seen, epoch=epoch, taken_at=taken_at)


async def _grant(ctx: Context, connection: Connection) -> Grant:
    holder = connections.grant_holder(ctx, connection)
    grant = await ctx.database.read(grant_rows.of_connection, ctx.workspace_id, connection.id, holder)
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
            refreshes.record_rejection(tx, ctx, grant, reason, reason=reason)

    await ctx.database.run(write)


def _refuse_dead(ctx: Context, connection: Connection, grant: Grant) -> None:
    if grant.state in {"reconnect_needed", "revoked"}:
        raise _reconnect(ctx, connection, grant, grant.reason or "revoked")
    if grant.state == "suspended" and (grant.next_attempt_at or 0) > ctx.clock():
        raise refreshes.client_refused(connection, grant.last_error_code or "invalid_client")
    ended = grant.refresh_expires_at is not None and ctx.clock() >= grant.refresh_expires_at
    if ended and grant.access_expires_at is not None and ctx.clock() >= grant.access_expires_at:
        raise _reconnect(ctx, connection, grant, "refresh_token_expired")


def _refuse_waiting(ctx: Context, grant: Grant) -> None:
    """Our try failed and the next one is set: say when, instead of trying for every caller."""
    wait = (grant.next_attempt_at or 0.0) - ctx.clock()
    if grant.lease_owner is None and wait > 0:
        raise Unavailable(
            say("E-UPSTREAM", system="The authorization server", status=grant.last_error_code or "no answer"),
            retry_after_seconds=wait,
            message_code="E-UPSTREAM",
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
    key = grants.dpop_key(ctx, grant)
    return AccessToken(value, grant.token_type, grant.generation, grant.id, grant.access_expires_at, key)


def _system(connection: Connection) -> str:
    return connection.oauth_client_name or connection.name


def _page(ctx: Context, connection: Connection) -> str:
    return f"{ctx.deployment.public_url}/connections/{connection.id}"
