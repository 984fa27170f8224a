"""One refresh: take the lease and write the attempt down, send once under a total deadline, store what came.

Nothing is sent without a lease that outlasts the deadline, so it cannot pass on while an answer may still come; a
process that is stopped after that is caught by the fence (`answers`). An answer that was lost is asked for once more
at once with the same refresh token, inside the grace that most servers give (RFC 9700 §4.14).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import structlog

from keyturn import redaction
from keyturn.errors import Conflict, UpstreamError
from keyturn.model.connections import Connection
from keyturn.model.grants import Grant
from keyturn.model.oauth_clients import OAuthClient
from keyturn.model.refreshes import SHORT_GRACE, Deadlines, Lease, Purpose
from keyturn.oauth.errors import OAuthError, Verdict, classify
from keyturn.oauth.tokens import TokenSet
from keyturn.services import (
    answers,
    client_secrets,
    grants,
    oauth_clients,
    refresh_metrics,
    refresh_outcomes,
    refusals,
    renewals,
)
from keyturn.services.answers import Answer
from keyturn.services.context import NOBODY, Context
from keyturn.services.oauth_clients import Registration
from keyturn.services.refresh_outcomes import Refused
from keyturn.services.token_requests import Answered
from keyturn.storage import leases, token_hosts
from keyturn.storage import oauth_clients as client_rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

log = structlog.get_logger(__name__)

# The door out keeps the deadline itself and knows what was sent; this one holds whatever the door does.
_OUTSIDE_SECONDS = 0.5
_flights: dict[tuple[int, str, int], asyncio.Task[None]] = {}


class _ProbeTaken(Exception):
    """Another replica tries the token host already."""


def start(ctx: Context, connection: Connection, grant: Grant, purpose: Purpose) -> asyncio.Task[None]:
    """The one task of this process that renews that generation; it outlives callers who go away."""
    return _flight(ctx, grant, renew(ctx, connection, grant, purpose))


def start_under(ctx: Context, connection: Connection, grant: Grant, lease: Lease) -> asyncio.Task[None]:
    """The same with a lease that is ours already."""
    return _flight(ctx, grant, under(ctx, connection, grant, lease), lease)


async def drain(ctx: Context) -> None:
    """Wait for refreshes in flight, at most one deadline: an answer on its way is stored before the process ends."""
    if _flights:
        await asyncio.wait(list(_flights.values()), timeout=ctx.deployment.refresh.deadline_seconds + _OUTSIDE_SECONDS)


async def renew(ctx: Context, connection: Connection, grant: Grant, purpose: Purpose) -> None:
    """Renew `grant` if the lease is to be had; else somebody else is at it, or its time has not come."""
    try:
        lease = await ctx.database.run(take, ctx, connection, grant, purpose)
    except _ProbeTaken:
        return
    if lease is not None:
        await under(ctx, connection, grant, lease)


def take(
    tx: Tx, ctx: Context, connection: Connection, grant: Grant, purpose: Purpose, after: Lease | None = None
) -> Lease | None:
    """The lease to renew `grant`, with its attempt written down, unless its token host is being left alone."""
    client = None
    if connection.oauth_client_id is not None:
        client = client_rows.get(tx, ctx.workspace_id, connection.oauth_client_id)
    if client is None:
        return None
    host = token_hosts.get(tx, ctx.workspace_id, grant.token_origin)
    # Of a grant whose token may be spent the grace is running: it cannot wait for the host's sake.
    waits = purpose in {"due", "rejected"} and after is None and not grant.grace_may_run
    away = host is not None and host.is_open and waits
    if host is not None and away and host.closed_for_seconds > 0:
        return None
    deadlines = deadlines_of(ctx, client)
    lease = leases.take(
        tx,
        ctx.workspace_id,
        grant.id,
        generation=grant.generation,
        owner=ctx.deployment.owner,
        deadlines=deadlines,
        token_hash=ctx.keyring.keyed_hash(renewals.spent(ctx, grant) or ""),
        purpose=purpose,
        after=after,
    )
    if lease is None:
        return None
    if away and not token_hosts.take_probe(tx, ctx.workspace_id, grant.token_origin, deadlines.lease_seconds):
        raise _ProbeTaken
    _count_unknown(grant, lease, again=after is not None)
    return lease if not (host is not None and host.is_open) else lease.probing()


async def under(ctx: Context, connection: Connection, grant: Grant, lease: Lease) -> None:
    """Renew under a lease; the outcome is in the grant's row."""
    if lease.purpose != "asked":
        # Whoever happens to read does not become the one who renewed it.
        ctx = ctx.as_actor(NOBODY)
    client_id = connection.oauth_client_id or ""
    try:
        registration = await oauth_clients.registration(ctx, client_id, connection.settings.variables)
    except Conflict:
        client = await oauth_clients.get(ctx, client_id)
        verdict = Verdict("client_dead", "no_client_secret")
        await _settle(ctx, Refused(connection, client, grant, lease, verdict))
        return
    verdict = await _once(ctx, registration, connection, grant, lease)
    if verdict is not None and verdict.outcome == "unknown_outcome":
        again = await ctx.database.run(take, ctx, connection, grant, lease.purpose, lease)
        if again is None:
            return
        refresh_metrics.REFRESHES.labels(verdict.outcome, grant.token_origin).inc()
        lease = again
        verdict = await _once(ctx, registration, connection, grant, lease)
    if verdict is not None:
        why_dead = "revoked"
        if verdict.outcome == "grant_dead" and await refusals.lasted_seven_days(ctx, registration, grant):
            why_dead = "seven_days"
        await _settle(ctx, Refused(connection, registration.client, grant, lease, verdict, why_dead))


async def _once(
    ctx: Context, registration: Registration, connection: Connection, grant: Grant, lease: Lease
) -> Verdict | None:
    """One token request. None: its answer is stored; else what came instead."""
    if grant.token_origin != registration.token_origin:
        # The old refresh token was issued by another host and must never be sent to this one.
        return Verdict("grant_dead", refresh_outcomes.CLIENT_CHANGED)
    if not lease.covers_an_answer(time.monotonic()):
        return Verdict("not_sent", "lease_too_short")
    requested_at = ctx.clock()
    seconds = lease.deadlines.answer_seconds
    try:
        async with asyncio.timeout(seconds + _OUTSIDE_SECONDS):
            answered = await renewals.ask(ctx, registration, grant, timeout_seconds=seconds)
    except TimeoutError:
        return Verdict("unknown_outcome", "timeout")
    except (OAuthError, UpstreamError) as error:
        return classify(error, now=ctx.clock())
    refresh_metrics.REFRESHES.labels("ok", grant.token_origin).inc()
    await answers.store(ctx, _answer(ctx, registration, connection, grant, lease, answered, requested_at))
    await client_secrets.worked(ctx, registration, answered.way)
    return None


def _answer(
    ctx: Context,
    registration: Registration,
    connection: Connection,
    grant: Grant,
    lease: Lease,
    answered: Answered[TokenSet],
    requested_at: float,
) -> Answer:
    """The token set sealed for its row: as the next generation, or as the present one if it is the same token."""
    tokens, spent = answered.found, renewals.spent(ctx, grant)
    redaction.remember(tokens.access_token, tokens.refresh_token)
    same = tokens.access_token == grants.access_token(ctx, grant)
    values = grants.sealed_values(
        ctx,
        registration,
        tokens,
        grant_id=grant.id,
        generation=grant.generation if same else grant.generation + 1,
        requested_at=requested_at,
        before=grant,
        before_refresh_token=spent,
    )
    if same:
        values = grants.same_token_values(values, grant, requested_at)
    if tokens.scopes is not None:
        values["scopes_granted"] = list(tokens.scopes)
    return Answer(
        workspace_id=ctx.workspace_id,
        grant_id=grant.id,
        connection_id=connection.id,
        oauth_client_id=registration.client.id,
        attempt_id=lease.attempt_id,
        generation=grant.generation,
        epoch=lease.epoch,
        origin=grant.token_origin,
        rotated=tokens.refresh_token is not None and tokens.refresh_token != spent,
        clock_ahead_seconds=answered.clock_ahead_seconds,
        values=values,
    )


async def _settle(ctx: Context, refused: Refused) -> None:
    verdict, grant = refused.verdict, refused.grant
    refresh_metrics.REFRESHES.labels(verdict.outcome, grant.token_origin).inc()
    if verdict.outcome == "unknown_outcome":
        refresh_metrics.UNKNOWN_OUTCOMES.labels(grant.token_origin).inc()
    log.info("refresh_answer", grant=grant.id, attempt=refused.lease.attempt_id, outcome=verdict.outcome,
             code=verdict.code, purpose=refused.lease.purpose)  # fmt: skip
    await refresh_outcomes.settle(ctx, refused)


def _count_unknown(grant: Grant, lease: Lease, *, again: bool) -> None:
    """An attempt without an answer is found, ours or of a process that died, and its token is sent once more."""
    if not (lease.abandoned or again):
        return
    refresh_metrics.UNKNOWN_OUTCOMES.labels(grant.token_origin).inc()
    refresh_metrics.REPLAYS.labels(grant.token_origin).inc()
    if lease.abandoned:
        refresh_metrics.LEASE_STEALS.labels(grant.token_origin).inc()
        log.warning("lease_taken_over", grant=grant.id, attempt=lease.attempt_id, abandoned=lease.abandoned)


def deadlines_of(ctx: Context, client: OAuthClient) -> Deadlines:
    """How long this client's server may take, and how soon a crash has to be noticed."""
    usual = Deadlines(ctx.deployment.refresh.deadline_seconds, ctx.deployment.refresh.lease_seconds)
    return usual.shorter(SHORT_GRACE) if client.settings.advanced.refresh.short_grace else usual


def _flight(
    ctx: Context, grant: Grant, renewing: Coroutine[Any, Any, None], lease: Lease | None = None
) -> asyncio.Task[None]:
    key = (id(ctx.database), grant.id, grant.generation if lease is None else -lease.epoch)
    task = _flights.get(key)
    if task is not None:
        renewing.close()
        return task
    task = asyncio.create_task(renewing)
    _flights[key] = task
    task.add_done_callback(lambda done: _landed(key, done))
    return task


def _landed(key: tuple[int, str, int], task: asyncio.Task[None]) -> None:
    _flights.pop(key, None)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("refresh_broke_off", grant=key[1], error=type(error).__name__)
