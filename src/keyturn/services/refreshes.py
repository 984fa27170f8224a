"""One refresh under a lease: send once, classify what came back, and write it only if the lease is still ours."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

import structlog

from keyturn import redaction
from keyturn.errors import ClientRefused, Unavailable, UpstreamError
from keyturn.model.connections import Connection
from keyturn.model.grants import Grant
from keyturn.model.messages import say
from keyturn.oauth.errors import OAuthError, Verdict, classify
from keyturn.oauth.tokens import TokenSet
from keyturn.services import client_secrets, events, grants, notices, refusals, token_requests
from keyturn.services.context import Context
from keyturn.services.oauth_clients import Registration
from keyturn.storage import leases

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

log = structlog.get_logger(__name__)

_SUSPENDED_SECONDS = 600.0
_BACKOFF_MOST_SECONDS = 600.0
_BACKOFF_MOST_WHILE_GOOD_SECONDS = 30.0
_CONFIG_SECONDS = 60.0


async def renew(
    ctx: Context, connection: Connection, registration: Registration, grant: Grant, *, epoch: int, taken_at: float
) -> None:
    """Renew `grant` under the lease of `epoch`, taken at `taken_at` (monotonic seconds); the outcome is in the row.

    A client that acts for itself has no refresh token and asks again as it did at first.

    A lost or garbled answer is tried once more at once with the same refresh token, inside the grace most
    servers give; never in a loop (RFC 9700 §4.14).
    """
    refresh_token = grants.refresh_token(ctx, grant)
    if not grant.renews_itself:
        return
    times = ctx.deployment.refresh
    verdict: Verdict | None = None
    for attempt in (1, 2):
        if times.lease_seconds - (time.monotonic() - taken_at) < times.deadline_seconds:
            # Not enough lease left for a whole answer: sending now could spend a token nobody may store.
            verdict = verdict or Verdict("not_sent")
            break
        requested_at = ctx.clock()
        try:
            answered = await token_requests.refresh(
                ctx,
                registration,
                refresh_token,
                dpop_key=grants.dpop_key(ctx, grant),
                timeout_seconds=times.deadline_seconds,
            )
        except (OAuthError, UpstreamError) as error:
            verdict = classify(error, now=ctx.clock())
            log.info("refresh_answer", grant=grant.id, outcome=verdict.outcome, attempt=attempt)
            if verdict.outcome == "unknown_outcome" and attempt == 1:
                continue
            break
        await _commit(ctx, connection, registration, grant, answered.found, refresh_token, epoch, requested_at)
        await client_secrets.worked(ctx, registration, answered.way)
        return
    await _commit_failure(ctx, connection, registration, grant, verdict or Verdict("not_sent"), epoch)


async def _commit(
    ctx: Context,
    connection: Connection,
    registration: Registration,
    grant: Grant,
    tokens: TokenSet,
    old_refresh_token: str | None,
    epoch: int,
    requested_at: float,
) -> None:
    redaction.remember(tokens.access_token, tokens.refresh_token)
    rotated = tokens.refresh_token is not None and tokens.refresh_token != old_refresh_token
    values = grants.sealed_values(
        ctx,
        registration,
        tokens,
        grant_id=grant.id,
        generation=grant.generation + 1,
        requested_at=requested_at,
        before=grant,
        before_refresh_token=old_refresh_token,
    )
    if tokens.scopes is not None:
        values["scopes_granted"] = list(tokens.scopes)

    def write(tx: Tx) -> bool:
        stored = leases.finish_refresh(
            tx, ctx.workspace_id, grant.id, epoch=epoch, generation=grant.generation, values=values
        )
        if stored:
            if old_refresh_token is None:
                events.record(tx, ctx, connection.id, "renewed")
            else:
                events.record(tx, ctx, connection.id, "refreshed", rotated="yes" if rotated else "no")
            notices.close(tx, ctx, "client_refused", registration.client.id)
        return stored

    if not await _persist(ctx, write):
        log.warning("refresh_fenced", grant=grant.id, generation=grant.generation, epoch=epoch)


async def _persist(ctx: Context, write: Any) -> bool:
    """Store an answer that cannot be asked for again, however long the database is away."""
    pause = 0.05
    while True:
        try:
            return await ctx.database.run(write)
        except Unavailable:
            log.warning("refresh_waits_for_database")
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)


async def _commit_failure(
    ctx: Context, connection: Connection, registration: Registration, grant: Grant, verdict: Verdict, epoch: int
) -> None:
    values = _failure_values(ctx, grant, verdict)
    if verdict.outcome == "grant_dead" and await refusals.lasted_seven_days(ctx, registration, grant):
        values["reason"] = "seven_days"

    def write(tx: Tx) -> bool:
        # The row is compared by generation: if somebody else's refresh won meanwhile, theirs stands.
        written = leases.finish_refresh(
            tx, ctx.workspace_id, grant.id, epoch=epoch, generation=grant.generation, values=values
        )
        if not written:
            return False
        if verdict.outcome == "grant_dead":
            record_rejection(tx, ctx, grant, verdict.code or "invalid_grant", reason=values["reason"])
        elif verdict.outcome == "client_dead":
            if grant.state != "suspended":
                events.record(tx, ctx, grant.connection_id, "client_refused", error=verdict.code or "invalid_client")
            if connection.oauth_client_id is not None:
                error = verdict.code or "invalid_client"
                notices.open(tx, ctx, "client_refused", connection.oauth_client_id, error=error)
        elif grant.last_error_class != verdict.outcome:
            events.record(tx, ctx, grant.connection_id, "refresh_failed", sentence=_words(connection, verdict))
        return True

    await _persist(ctx, write)


def _failure_values(ctx: Context, grant: Grant, verdict: Verdict) -> dict[str, Any]:
    now = ctx.clock()
    values: dict[str, Any] = {"last_error_class": verdict.outcome, "last_error_code": verdict.code, "changed_at": now}
    if verdict.outcome == "grant_dead":
        return values | {"state": "reconnect_needed", "reason": _why_dead(grant), "next_attempt_at": None}
    if verdict.outcome == "client_dead":
        return values | {
            "state": "suspended",
            "reason": "client_refused",
            "next_attempt_at": now + _SUSPENDED_SECONDS,
        }
    if verdict.outcome == "config":
        return values | {"next_attempt_at": now + _CONFIG_SECONDS}
    if verdict.retry_after_seconds is not None:
        return values | {"next_attempt_at": now + min(verdict.retry_after_seconds, 3600.0)}
    good = grant.access_expires_at is not None and grant.access_expires_at > now
    most = _BACKOFF_MOST_WHILE_GOOD_SECONDS if good else _BACKOFF_MOST_SECONDS
    # Full jitter (each replica and grant at its own moment), at least a second: two answers in one second collide.
    spread = random.uniform(0, min(most, 2.0 ** min(grant.attempts, 10)))  # noqa: S311 - jitter
    return values | {"next_attempt_at": now + 1.0 + spread}


def _why_dead(grant: Grant) -> str:
    return "rotation_lost" if grant.last_error_class == "unknown_outcome" else "revoked"


def record_rejection(tx: Tx, ctx: Context, grant: Grant, error: str, *, reason: str) -> None:
    """A grant needs a person: the timeline's entry, and the notice."""
    events.record(tx, ctx, grant.connection_id, "refresh_rejected", error=error)
    grants.open_notice(tx, ctx, grant, reason)


def client_refused(connection: Connection, error: str) -> ClientRefused:
    """The sentence for a client that the authorization server refuses."""
    return ClientRefused(
        say(
            "E-CLIENT",
            system=connection.oauth_client_name or connection.name,
            error=error,
            tried="Its connections wait and resume by themselves.",
        ),
        message_code="E-CLIENT",
        connection=connection.name,
    )


def _words(connection: Connection, verdict: Verdict) -> str:
    system = connection.oauth_client_name or "The authorization server"
    return {
        "not_sent": f"{system} could not be reached.",
        "transient": f"{system} is having trouble ({verdict.code or 'no answer'}).",
        "unknown_outcome": f"The answer of {system} was lost or garbled.",
        "config": f"{system} refused the token request ({verdict.code or 'no reason given'}).",
    }.get(verdict.outcome, f"{system} answered {verdict.code}.")
