"""Test a connection step by step by the code that reads data; disconnect it and say what became of the sign-in."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog

from keyturn.errors import KeyturnError, UpstreamError
from keyturn.model.connections import Connection
from keyturn.model.grants import Grant
from keyturn.oauth.errors import OAuthError
from keyturn.services import access_tokens, calls, connections, events, grants, oauth_clients, revocations
from keyturn.services.context import Context
from keyturn.storage import grants as grant_rows
from keyturn.wire import Headers, Request, Response

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a test. `state` is ok, warn, fail or skipped; `code` the error's, if it failed."""

    name: str
    state: str
    sentence: str
    elapsed_ms: int
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Disconnected:
    """What became of the sign-in at the end system: revoked, unsupported, failed, or none when there was none."""

    outcome: str
    sentence: str


async def run(ctx: Context, connection_id: str, *, path: str | None = None) -> list[Step]:
    """Token, then a `GET` of `path` (or the base URL, where 404 is no failure), by the same code as an import."""
    ctx.require("connections:use")
    connection = await connections.get(ctx, connection_id)
    connections.require_use(ctx, connection)
    steps: list[Step] = []
    if connection.settings.auth.type == "oauth2":
        steps.append(await _token_step(ctx, connection))
    if not steps or steps[-1].state != "fail":
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
    connections.require_use(ctx, connection)
    holder = connections.grant_holder(ctx, connection)
    grant = await ctx.database.read(grant_rows.of_connection, ctx.workspace_id, connection.id, holder)
    if grant is None:
        return Disconnected("none", "It was not connected.")
    return await end_grant(ctx, connection, grant, revoke=revoke)


async def end_grant(ctx: Context, connection: Connection, grant: Grant, *, revoke: bool = True) -> Disconnected:
    """Destroy one grant here, and revoke it at the end system if asked and possible. Who may is asked before."""
    result = await _revoke(ctx, connection, grant) if revoke else Disconnected("none", "Disconnected here only.")

    def write(tx: Tx) -> None:
        grant_rows.delete(tx, ctx.workspace_id, grant.id)
        events.record(tx, ctx, connection.id, "disconnected", sentence=result.sentence)

    await ctx.database.run(write)
    return result


async def _token_step(ctx: Context, connection: Connection) -> Step:
    started = time.monotonic()
    try:
        await access_tokens.fresh(ctx, connection)
    except KeyturnError as error:
        return Step("token", "fail", error.message, _ms(started), error.message_code or error.code)
    current = await connections.get(ctx, connection.id)
    account = f" as {current.account}" if current.account else ""
    if current.has_refresh_token is False:
        return Step("token", "warn", f"The token works{account}, but there is no refresh token.", _ms(started))
    return Step("token", "ok", f"The token works{account} and is renewed by itself.", _ms(started))


async def _call_step(ctx: Context, connection: Connection, path: str | None) -> Step:
    started = time.monotonic()
    headers = Headers.of({"Accept": "application/json"})
    host = urlsplit(connection.settings.base_url).hostname
    try:
        request = Request("GET", calls.url_under(connection, path or "/"), headers)
        response = await calls.send(ctx, connection, request, timeout_seconds=30.0, max_bytes=8 << 20)
    except KeyturnError as error:
        return Step("call", "fail", error.message, _ms(started), error.message_code or error.code)
    state, sentence, code = _judged(response, host or "The API", path)
    return Step("call", state, sentence, _ms(started), code)


def _judged(response: Response, host: str, path: str | None) -> tuple[str, str, str | None]:
    if 200 <= response.status < 300:
        return "ok", f"GET {path or '/'} answered {response.status}.", None
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


async def _revoke(ctx: Context, connection: Connection, grant: Grant) -> Disconnected:
    system = connection.oauth_client_name or connection.name
    if connection.oauth_client_id is None:
        return Disconnected("none", "Disconnected.")
    try:
        registration = await oauth_clients.registration(ctx, connection.oauth_client_id)
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
