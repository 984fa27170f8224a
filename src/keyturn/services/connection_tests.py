"""Test a connection step by step by the code that reads data; disconnect it and say what became of the sign-in."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog

from keyturn import redaction
from keyturn.errors import Forbidden, KeyturnError, UpstreamError
from keyturn.model.connections import Connection
from keyturn.model.grants import Grant
from keyturn.oauth.errors import OAuthError
from keyturn.rest.detect import records_in
from keyturn.rest.rows import parse_body
from keyturn.services import (
    access_tokens,
    calls,
    client_checks,
    connections,
    events,
    exchanges,
    grants,
    oauth_clients,
    revocations,
)
from keyturn.services.context import Context
from keyturn.storage import grants as grant_rows
from keyturn.wire import Headers, Request, Response

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a test. `name` is host, connection, clock, client, token or call; `state` ok, warn, fail, skipped.

    `code` is the error's, if it failed; `exchange` the request and its answer without secrets. What one request
    taught has that request's time.
    """

    name: str
    state: str
    sentence: str
    elapsed_ms: int
    code: str | None = None
    exchange: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Disconnected:
    """What became of the sign-in at the end system: revoked, unsupported, failed, or none when there was none."""

    outcome: str
    sentence: str


async def run(ctx: Context, connection_id: str, *, path: str | None = None) -> list[Step]:
    """Six steps: host, secure connection, clock and client at the Token URL, the token, then a `GET` as an import does.

    The Token URL is asked with a made-up code, never with a live refresh token. Without `path` the Base URL is asked,
    where 404 is no failure.
    """
    ctx.require("connections:use")
    connection = await connections.get(ctx, connection_id)
    connections.require_use(ctx, connection)
    steps = [*await _client_steps(ctx, connection), await _token_step(ctx, connection)]
    if steps[-1].state == "fail":
        steps.append(Step("call", "skipped", "Not asked: there is no token.", 0))
    else:
        steps.append(await _call_step(ctx, connection, path))
    bad = next((step for step in steps if step.state == "fail"), None)
    sentence = bad.sentence if bad else "Everything works."

    def write(tx: Tx) -> None:
        events.record(tx, ctx, connection.id, "tested", sentence=sentence)

    await ctx.database.run(write)
    return steps


async def disconnect(ctx: Context, connection_id: str, *, revoke: bool = True) -> Disconnected:
    """Destroy the grant here, and revoke it at the end system if asked and possible (RFC 7009)."""
    ctx.require("connections:write")
    connection = await connections.get(ctx, connection_id)
    _require_disconnect(ctx, connection)
    holder = connections.grant_holder(ctx, connection)
    grant = await ctx.database.read(grant_rows.of_connection, ctx.workspace_id, connection.id, holder)
    if grant is None:
        return Disconnected("none", "It was not connected.")
    return await end_grant(ctx, connection, grant, revoke=revoke)


def _require_disconnect(ctx: Context, connection: Connection) -> None:
    """An own sign-in is its member's to end; the connection's, of whoever may change what everyone reads."""
    reading = connection.reading(ctx.actor.account_id)
    if reading == "none":
        connections.require_use(ctx, connection)
    if reading == "connection" and connection.settings.access == "own_account":
        raise Forbidden(f"It is the sign-in of {connection.owner_name}. Only they can end it.")
    if reading == "connection":
        connections.require_tables(ctx, connection)


async def end_grant(ctx: Context, connection: Connection, grant: Grant, *, revoke: bool = True) -> Disconnected:
    """Destroy one grant here, and revoke it at the end system if asked and possible. Who may is asked before."""
    result = await _revoke(ctx, connection, grant) if revoke else Disconnected("none", "Disconnected here only.")

    def write(tx: Tx) -> None:
        grant_rows.delete(tx, ctx.workspace_id, grant.id)
        events.record(tx, ctx, connection.id, "disconnected", sentence=result.sentence)

    await ctx.database.run(write)
    return result


async def _client_steps(ctx: Context, connection: Connection) -> list[Step]:
    """Host, secure connection, clock and client, as the Token URL shows them."""
    if connection.oauth_client_id is None:
        why = "Not asked: no OAuth 2.0 client is used."
        return [Step(name, "skipped", why, 0) for name in ("host", "connection", "clock", "client")]
    try:
        registration = await oauth_clients.registration(ctx, connection.oauth_client_id)
    except KeyturnError as error:
        skipped = [Step(name, "skipped", "Not asked.", 0) for name in ("host", "connection", "clock")]
        return [*skipped, Step("client", "fail", error.message, 0, error.message_code or error.code)]
    found = await client_checks.look(ctx, registration)
    steps = []
    for step in found.steps:
        if step.name == "metadata":
            continue
        code = "E-CLOCK" if step.name == "clock" and step.state == "warn" else None
        if step.state == "fail":
            code = found.message_code or ("E-CLIENT" if step.name == "client" else None)
        exchange = found.exchange if step.name == "client" else None
        elapsed_ms = 0 if step.state == "skipped" else found.elapsed_ms
        steps.append(Step(step.name, step.state, step.sentence, elapsed_ms, code, exchange))
    return steps


async def _token_step(ctx: Context, connection: Connection) -> Step:
    if connection.settings.auth.type != "oauth2":
        return Step("token", "skipped", "Not asked: the credentials were given by hand.", 0)
    started = time.monotonic()
    try:
        token = await access_tokens.fresh(ctx, connection)
    except KeyturnError as error:
        return Step("token", "fail", error.message, _ms(started), error.message_code or error.code)
    current = await connections.get(ctx, connection.id)
    account = f" as {current.account}" if current.account else ""
    ends = "" if token.expires_at is None else f" until {datetime.fromtimestamp(token.expires_at, UTC):%d %b %H:%M} UTC"
    if current.has_refresh_token is False:
        return Step("token", "warn", f"The token works{account}{ends}, and there is no refresh token.", _ms(started))
    return Step("token", "ok", f"The token works{account}{ends} and is renewed by itself.", _ms(started))


async def _call_step(ctx: Context, connection: Connection, path: str | None) -> Step:
    started = time.monotonic()
    headers = Headers.of({"Accept": "application/json"})
    host = urlsplit(connection.settings.base_url).hostname
    response: Response | None = None
    try:
        request = Request("GET", calls.url_under(connection, path or "/"), headers)
        response = await calls.send(ctx, connection, request, timeout_seconds=30.0, max_bytes=8 << 20)
    except KeyturnError as error:
        return Step("call", "fail", error.message, _ms(started), error.message_code or error.code)
    elapsed_ms = _ms(started)
    state, sentence, code = _judged(response, host or "The API", path)
    exchange = exchanges.shown(_as_sent(connection, request), response, elapsed_ms=elapsed_ms)
    return Step("call", state, sentence, elapsed_ms, code, exchange)


def _as_sent(connection: Connection, request: Request) -> Request:
    """The request with a place for its credential, which is never at hand here."""
    auth = connection.settings.auth
    if auth.type in {"oauth2", "basic", "bearer"}:
        return request.with_header("Authorization", redaction.MASK)
    if auth.type == "header":
        return request.with_header(auth.name, redaction.MASK)
    return request


def _judged(response: Response, host: str, path: str | None) -> tuple[str, str, str | None]:
    if 200 <= response.status < 300:
        return _records(response, path or "/")
    if response.status == 401:
        return "fail", f"{host} rejected the token (401) although it was just renewed.", "E-FORBIDDEN"
    if response.status == 403:
        return "warn", f"{host} answered 403: this account may not read {path or '/'}.", "E-FORBIDDEN"
    if response.status == 404 and path is None:
        return "ok", f"{host} answers; there is nothing at the Base URL itself (404), which is no failure.", None
    if response.status == 404:
        return "fail", f"404 at {path}. Check the path; the connection itself works.", "E-NOTFOUND"
    if response.status >= 500:
        return "fail", f"{host} is having trouble ({response.status}).", "E-UPSTREAM"
    return "warn", f"{host} answered {response.status}.", None


def _records(response: Response, path: str) -> tuple[str, str, str | None]:
    try:
        count = records_in(parse_body(response))
    except UpstreamError as error:
        return "warn", f"GET {path} answered {response.status}. {error.message}", error.message_code
    held = "" if count is None else f" with {count:,} record{'' if count == 1 else 's'}"
    return "ok", f"GET {path} answered {response.status}{held}.", None


async def _revoke(ctx: Context, connection: Connection, grant: Grant) -> Disconnected:
    system = connection.oauth_client_name or connection.name
    if connection.oauth_client_id is None:
        return Disconnected("none", "Disconnected.")
    try:
        registration = await oauth_clients.registration(ctx, connection.oauth_client_id, connection.settings.variables)
        if registration.server.revocation_url is None:
            return Disconnected("unsupported", f"{system} has no revocation URL; remove us in its settings.")
        if grant.token_origin != registration.token_origin:
            return Disconnected("failed", f"The Token URL of {system} moved, so the old sign-in is not sent there.")
        refresh_token = grants.refresh_token(ctx, grant)
        access_token = None if refresh_token else grants.access_token(ctx, grant)
        await revocations.revoke(ctx, registration, refresh_token, access_token)
    except (KeyturnError, OAuthError, UpstreamError) as error:
        log.info("revocation_failed", connection=connection.id, error=type(error).__name__)
        return Disconnected("failed", f"{system} did not answer; the token may still work until it expires.")
    return Disconnected("revoked", "Revoked there.")


def _ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
