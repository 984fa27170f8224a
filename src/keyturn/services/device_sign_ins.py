"""Waiting for a person who signs in on another device: each attempt is polled as its server wishes (RFC 8628 §3.5).

When to ask next stands in the attempt's row, so a restart goes on where it was and replicas do not ask twice.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from keyturn.errors import Invalid, KeyturnError, UpstreamError
from keyturn.model.connections import Connection
from keyturn.model.messages import say
from keyturn.oauth.device import next_interval
from keyturn.oauth.errors import OAuthError, classify
from keyturn.services import authorizations, client_secrets, device_codes, oauth_clients, sign_ins
from keyturn.services.context import Context
from keyturn.services.oauth_clients import Registration
from keyturn.storage import authorizations as rows
from keyturn.storage import connections as connection_rows

log = structlog.get_logger(__name__)

_AT_ONCE = 20
_WAIT_MOST_SECONDS = 60.0


async def poll_due(scene: Context) -> int:
    """Poll every attempt whose time has come; answers how many there were."""
    due = await scene.database.read(rows.due_polls_anywhere, scene.clock(), _AT_ONCE)
    await asyncio.gather(*(_polled(scene, row) for row in due))
    return len(due)


async def _polled(scene: Context, row: dict[str, Any]) -> None:
    """One attempt, if no other replica is at it; whatever happens, it is asked again or has ended."""
    until = scene.clock() + row["poll_seconds"] + scene.deployment.refresh.deadline_seconds
    claimed = await scene.database.run(
        rows.set_poll, row["workspace_id"], row["id"], row["next_poll_at"], {"next_poll_at": until}
    )
    if not claimed:
        return
    try:
        ctx, _ = await authorizations.starter(scene, row)
        connection = await ctx.database.read(connection_rows.get, ctx.workspace_id, row["connection_id"])
        if connection is not None:
            await _poll(ctx, row, connection, until)
    except KeyturnError as error:
        log.info("device_poll_failed", authorization=row["id"], code=error.message_code or error.code)


async def _poll(ctx: Context, row: dict[str, Any], connection: Connection, until: float) -> None:
    registration: Registration | None = None
    try:
        registration = await oauth_clients.registration(ctx, row["oauth_client_id"], connection.settings.variables)
        if registration.client.version != row["client_version"]:
            raise Invalid(f"{registration.client.name} was changed while you signed in. Start again.")
        requested_at = ctx.clock()
        answered = await device_codes.poll(ctx, registration, row)
        await client_secrets.worked(ctx, registration, answered.way)
        await sign_ins.store(ctx, row, connection, registration, answered.found, requested_at)
    except (OAuthError, UpstreamError) as error:
        wait = _wait(error, row["poll_seconds"], now=ctx.clock())
        if wait is None:
            await sign_ins.fail(ctx, row, connection, registration, _in_words(error))
            return
        values = {"poll_seconds": wait, "next_poll_at": ctx.clock() + wait}
        await ctx.database.run(rows.set_poll, ctx.workspace_id, row["id"], until, values)
    except KeyturnError as error:
        await sign_ins.fail(ctx, row, connection, registration, error)


def _wait(error: OAuthError | UpstreamError, interval_seconds: float, *, now: float) -> float | None:
    """Seconds until the next poll: as the server says, twice as long after trouble (§3.5); None when it is over."""
    try:
        if isinstance(error, OAuthError):
            return next_interval(error, interval_seconds)
    except OAuthError:
        pass
    verdict = classify(error, now=now)
    if verdict.outcome not in {"transient", "not_sent", "unknown_outcome"}:
        return None
    return max(verdict.retry_after_seconds or 0.0, min(interval_seconds * 2, _WAIT_MOST_SECONDS))


def _in_words(error: OAuthError | UpstreamError) -> OAuthError | KeyturnError:
    if isinstance(error, OAuthError) and error.error == "access_denied":
        return Invalid(say("E-DENIED"), message_code="E-DENIED")
    if isinstance(error, OAuthError) and error.error == "expired_token":
        return Invalid(authorizations.CODE_EXPIRED)
    return error
