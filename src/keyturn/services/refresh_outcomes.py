"""What becomes of a grant when its refresh did not succeed: one action for each class of outcome.

not_sent, transient, unknown_outcome: come again, and let the token host's breaker see it. grant_dead: believe it, or
ask once more. client_dead, config: the trouble is the OAuth client's.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from keyturn.errors import Unavailable
from keyturn.model.connections import Connection
from keyturn.model.grants import Grant
from keyturn.model.oauth_clients import OAuthClient
from keyturn.model.refreshes import (
    GRACE_ATTEMPTS,
    Lease,
    Past,
    confirm_seconds,
    pause_in_grace_seconds,
    pause_seconds,
)
from keyturn.oauth.errors import Verdict
from keyturn.services import answers, events, grants, incidents, orphans, refresh_metrics
from keyturn.services.context import Context
from keyturn.storage import grants as grant_rows
from keyturn.storage import leases, refresh_attempts, token_hosts

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

log = structlog.get_logger(__name__)

_AWAY = frozenset({"not_sent", "transient", "unknown_outcome"})
# A server that is busy is there.
_BUSY_CODES = frozenset({"slow_down", "http_429"})
# Our own code: the Token URL moved, so nothing was asked, and nothing will be.
CLIENT_CHANGED = "client_changed"
_PERSIST_SECONDS = (0.05, 1.0)
_RETRY_AFTER_IN_GRACE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Refused:
    """An attempt that gave no token set: under which lease, of which client, and what the verdict is.

    `why_dead` is the reason if the grant turns out dead and nothing else explains it.
    """

    connection: Connection
    client: OAuthClient
    grant: Grant
    lease: Lease
    verdict: Verdict
    why_dead: str = "revoked"


async def settle(ctx: Context, refused: Refused) -> None:
    """Write down what becomes of the grant, however long the database is away."""
    pause = _PERSIST_SECONDS[0]
    while True:
        try:
            await ctx.database.run(write, ctx, refused)
        except Unavailable:
            log.warning("refusal_waits_for_database", grant=refused.grant.id)
        else:
            return
        await asyncio.sleep(pause)
        pause = min(pause * 2, _PERSIST_SECONDS[1])


def write(tx: Tx, ctx: Context, refused: Refused) -> None:
    """As one transaction. If another refresh won meanwhile, its result stands."""
    verdict, lease = refused.verdict, refused.lease
    stage = "unknown" if verdict.outcome == "unknown_outcome" else "failed"
    grant = grant_rows.lock(tx, ctx.workspace_id, refused.grant.id)
    if grant is None:
        return
    past = Past.of(refresh_attempts.of_generation(tx, ctx.workspace_id, grant.id, refused.grant.generation))
    refresh_attempts.finish(tx, ctx.workspace_id, lease.attempt_id, stage, outcome=verdict.outcome, code=verdict.code)
    host_is_away = _host(tx, ctx, grant, verdict)
    if grant.lease_epoch != lease.epoch or grant.generation != refused.grant.generation:
        log.info("refresh_overtaken", grant=grant.id, outcome=verdict.outcome, attempt=lease.attempt_id)
        return
    values = _ACTIONS[verdict.outcome](tx, ctx, refused, grant, past)
    if values is None:
        return
    if host_is_away and "unknown_outcome" not in {verdict.outcome, values.get("last_error_class")}:
        # The outage is the host's: it is not counted against the grant.
        values["attempts"] = refused.grant.attempts
    values = {"last_error_class": verdict.outcome, "last_error_code": verdict.code, "changed_at": ctx.clock(), **values}
    epoch, generation = lease.epoch, grant.generation
    leases.finish(tx, ctx.workspace_id, grant.id, epoch=epoch, generation=generation, values=values)


def lost(tx: Tx, ctx: Context, grant: Grant, code: str, *, reason: str, attempt: str | None = None) -> None:
    """A grant needs a person: the timeline's entry with the attempt as evidence, and the notice."""
    events.record(tx, ctx, grant.connection_id, "refresh_rejected", error=code, reason=reason, attempt=attempt)
    grants.open_notice(tx, ctx, grant, reason)
    if reason == "rotation_lost":
        refresh_metrics.ROTATIONS_LOST.labels(grant.token_origin).inc()


def _host(tx: Tx, ctx: Context, grant: Grant, verdict: Verdict) -> bool:
    """Let the token host's breaker see the outcome; answers whether the host is away as a whole."""
    origin = grant.token_origin
    if verdict.outcome not in _AWAY or verdict.code in _BUSY_CODES:
        # E-BLOCKED and the like never reached it.
        if verdict.outcome in {"grant_dead", "client_dead"} and verdict.code != CLIENT_CHANGED:
            answers.host_answered(tx, ctx, origin)
        return False
    host = token_hosts.failed(tx, ctx.workspace_id, origin, verdict.code)
    if host.is_open:
        until = ctx.clock() + host.closed_for_seconds
        held = grant_rows.hold_of_host(tx, ctx.workspace_id, origin, verdict.code, until, ctx.clock())
        log.warning("token_host_away", origin=origin, failures=host.failures, code=verdict.code, held=held)
    return host.is_open


def _later(tx: Tx, ctx: Context, refused: Refused, grant: Grant, past: Past) -> dict[str, Any]:
    """Time repairs it."""
    now, verdict = ctx.clock(), refused.verdict
    good = grant.access_expires_at is not None and grant.access_expires_at > now
    pause = pause_seconds(grant.attempts, still_good=good, retry_after_seconds=verdict.retry_after_seconds)
    first_loss = verdict.outcome == "unknown_outcome" and not past.unknown
    in_grace = (first_loss or past.in_grace(now)) and grant.attempts < GRACE_ATTEMPTS
    if in_grace:
        pause = min(verdict.retry_after_seconds or pause_in_grace_seconds(), _RETRY_AFTER_IN_GRACE_SECONDS)
    if grant.last_error_class != verdict.outcome:
        when = f"{datetime.fromtimestamp(now + pause, UTC):%H:%M:%S} UTC"
        sentence = _words(refused.connection, verdict)
        events.record(tx, ctx, grant.connection_id, "refresh_failed", sentence=sentence, again=when,
                      outcome=verdict.outcome, attempt=refused.lease.attempt_id)  # fmt: skip
    return {"next_attempt_at": now + pause, **({"last_error_class": "unknown_outcome"} if in_grace else {})}


def _grant_dead(tx: Tx, ctx: Context, refused: Refused, grant: Grant, past: Past) -> dict[str, Any] | None:
    """The refresh token is refused: an orphan takes its place; in doubt it is tried once more; else a person is needed.

    Doubt is when an earlier answer is unknown, or the host is only just coming back. What a crash left behind
    was tried again at once; there is nothing to wait for then.
    """
    lease, code = refused.lease, refused.verdict.code or "invalid_grant"
    if code == CLIENT_CHANGED:
        lost(tx, ctx, grant, code, reason=code)
        return {"state": "reconnect_needed", "reason": code, "next_attempt_at": None}
    incidents.accepted(tx, ctx, refused.client.id)
    if orphans.promote(tx, ctx, grant):
        return None
    in_doubt = (past.unknown or lease.probes_host) and not past.refused and not lease.abandoned
    if in_doubt:
        log.warning("grant_refused_once", grant=grant.id, attempt=lease.attempt_id, code=code)
        return {"state": "active", "reason": None, "next_attempt_at": ctx.clock() + confirm_seconds()}
    cut_off = past.unknown or lease.abandoned or _came_late(tx, ctx, grant)
    reason = "rotation_lost" if cut_off else refused.why_dead
    log.warning("grant_lost", grant=grant.id, attempt=lease.attempt_id, code=code, reason=reason)
    lost(tx, ctx, grant, code, reason=reason, attempt=lease.attempt_id)
    return {"state": "reconnect_needed", "reason": reason, "next_attempt_at": None}


def _came_late(tx: Tx, ctx: Context, grant: Grant) -> bool:
    """Whether the token is a late answer that took the place of a refused one: what was sent between ended them both.

    A server that sees a spent token again takes back all that came of it (RFC 9700 §4.14.2).
    """
    return Past.of(refresh_attempts.of_generation(tx, ctx.workspace_id, grant.id, grant.generation - 1)).late


def _client_dead(tx: Tx, ctx: Context, refused: Refused, grant: Grant, past: Past) -> dict[str, Any]:  # noqa: ARG001
    """The client is refused with every secret it has: nothing of the grant is lost."""
    incidents.refused(tx, ctx, refused.client, refused.verdict.code or "invalid_client")
    return {"attempts": 0, "next_attempt_at": None}


def _config(tx: Tx, ctx: Context, refused: Refused, grant: Grant, past: Past) -> dict[str, Any]:
    """The request is wrong in itself: the client's trouble once three connections meet it."""
    code = refused.verdict.code or "invalid_request"
    if incidents.misconfigured(tx, ctx, refused.client, refused.connection.id, code, last_ok_at=grant.last_ok_at):
        return {"attempts": 0, "next_attempt_at": None}
    return _later(tx, ctx, refused, grant, past)


_ACTIONS = {
    "not_sent": _later,
    "transient": _later,
    "unknown_outcome": _later,
    "grant_dead": _grant_dead,
    "client_dead": _client_dead,
    "config": _config,
}


def _words(connection: Connection, verdict: Verdict) -> str:
    system = connection.oauth_client_name or "The authorization server"
    return {
        "not_sent": f"{system} could not be reached.",
        "transient": f"{system} is having trouble ({verdict.code or 'no answer'}).",
        "unknown_outcome": f"The answer of {system} was lost or garbled.",
        "config": f"{system} refused the token request ({verdict.code or 'no reason given'}).",
    }[verdict.outcome]
