"""Requests in which a client proves itself at an authorization server: each of its ways in turn, under one deadline.

Every token request goes through here, whatever its grant type. What becomes of the answer is the caller's affair.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Generic, TypeVar

from keyturn.errors import Conflict
from keyturn.oauth import dpop
from keyturn.oauth.authorization import Value
from keyturn.oauth.client_auth import ClientCredentials
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.grants import authorization_code_request, client_credentials_request, refresh_token_request
from keyturn.oauth.pushed import (
    PushedRequest,
    process_pushed_authorization_response,
    pushed_authorization_request,
)
from keyturn.oauth.tokens import TokenSet, process_token_response
from keyturn.services import client_secrets, proofs
from keyturn.services.context import Context
from keyturn.services.oauth_clients import Registration, Way
from keyturn.wire import Request, Response

MAX_BYTES = 1 << 20
Found = TypeVar("Found")
Make = Callable[[ClientCredentials], Request]
Process = Callable[[Response], Found]


@dataclass(frozen=True, slots=True)
class Answered(Generic[Found]):
    """What a server answered, and the way of authenticating that it took.

    Once the answer is stored, say so by `client_secrets.worked(ctx, registration, answered.way)`.
    `clock_ahead_seconds`: by how much the server's clock is ahead of ours; None if it did not tell.
    """

    found: Found
    way: Way
    clock_ahead_seconds: float | None = None


async def exchange_code(
    ctx: Context,
    registration: Registration,
    *,
    code: str,
    redirect_uri: str,
    verifier: str | None,
    dpop_key: str | None,
    timeout_seconds: float,
) -> Answered[TokenSet]:
    """A code for tokens (RFC 6749 §4.1.3). With `detect`, styles are tried in turn: a refused one uses no code up.

    `dpop_key`: the private key to bind the tokens to, the one whose thumbprint was in the authorization request.
    """
    make = partial(
        authorization_code_request,
        registration.server,
        code=code,
        redirect_uri=redirect_uri,
        code_verifier=verifier,
        advanced=registration.client.settings.advanced,
    )
    ways = registration.ways()
    return await tokens(ctx, registration, ways, make, dpop_key=dpop_key, timeout_seconds=timeout_seconds)


async def refresh(
    ctx: Context,
    registration: Registration,
    refresh_token: str | None,
    *,
    dpop_key: str | None,
    timeout_seconds: float,
) -> Answered[TokenSet]:
    """A refresh token for tokens (RFC 6749 §6). Styles are never probed; another secret is tried if one is refused.

    None: the grant is the client's own, which asks for itself again.
    """
    if refresh_token is None:
        return await for_itself(ctx, registration, dpop_key=dpop_key, timeout_seconds=timeout_seconds)
    make = partial(
        refresh_token_request,
        registration.server,
        refresh_token=refresh_token,
        scopes=registration.client.settings.scopes.split(),
        advanced=registration.client.settings.advanced,
    )
    ways = registration.refresh_ways()
    return await tokens(ctx, registration, ways, make, dpop_key=dpop_key, timeout_seconds=timeout_seconds)


async def push(
    ctx: Context, registration: Registration, parameters: Mapping[str, Value], *, timeout_seconds: float
) -> Answered[PushedRequest]:
    """An authorization request to the server itself (RFC 9126), of which the browser then carries the reference."""
    make = partial(_pushed, registration, parameters)
    process = process_pushed_authorization_response
    return await ask(ctx, registration, registration.ways(), make, process, timeout_seconds=timeout_seconds)


def new_dpop_key(registration: Registration) -> str | None:
    """The private key for a sign-in, where its tokens shall be bound to one."""
    return dpop.new_dpop_key() if registration.client.settings.advanced.token.dpop else None


def _pushed(registration: Registration, parameters: Mapping[str, Value], credentials: ClientCredentials) -> Request:
    advanced = registration.client.settings.advanced
    return pushed_authorization_request(registration.server, credentials, parameters, advanced=advanced)


async def for_itself(
    ctx: Context, registration: Registration, *, dpop_key: str | None = None, timeout_seconds: float
) -> Answered[TokenSet]:
    """Tokens for the client itself (RFC 6749 §4.4). Asking uses nothing up, so it may be repeated, in every style.

    A refresh token that comes along is dropped (§4.4.3): asking again is all that is needed.
    """
    make = partial(
        client_credentials_request,
        registration.server,
        scopes=registration.client.settings.scopes.split(),
        advanced=registration.client.settings.advanced,
    )
    key = dpop_key or new_dpop_key(registration)
    answered = await tokens(ctx, registration, registration.ways(), make, dpop_key=key, timeout_seconds=timeout_seconds)
    return Answered(replace(answered.found, refresh_token=None), answered.way)


async def tokens(
    ctx: Context,
    registration: Registration,
    ways: Sequence[Way],
    make: Make,
    *,
    dpop_key: str | None,
    timeout_seconds: float,
) -> Answered[TokenSet]:
    """A token request of any grant type: `make` builds it for the credentials of each way."""

    def process(response: Response) -> TokenSet:
        advanced = registration.client.settings.advanced
        return process_token_response(response, advanced, now=ctx.clock(), dpop_key=dpop_key)

    return await ask(ctx, registration, ways, make, process, dpop_key=dpop_key, timeout_seconds=timeout_seconds)


async def ask(
    ctx: Context,
    registration: Registration,
    ways: Sequence[Way],
    make: Make,
    process: Process[Found],
    *,
    dpop_key: str | None = None,
    timeout_seconds: float,
) -> Answered[Found]:
    """Send what `make` builds, in each of `ways` until one is not refused; `process` reads the answer.

    `timeout_seconds` is for all of it together. Raises `OAuthError`, `UpstreamError`, `UpstreamTimeout`.
    """
    ends_at = time.monotonic() + timeout_seconds
    for number, way in enumerate(ways, 1):
        response = await proofs.send(
            ctx,
            partial(_fresh, ctx, make, way),
            dpop_key,
            timeout_seconds=max(0.0, ends_at - time.monotonic()),
            max_bytes=MAX_BYTES,
        )
        try:
            return Answered(process(response), way, _clock_ahead(response, ctx.clock()))
        except OAuthError as error:
            if not client_secrets.is_refusal(error) or number == len(ways):
                raise
        await client_secrets.refused(ctx, registration, way)
    raise Conflict(f"There is no way of client authentication to try for {registration.client.name}.")


def _fresh(ctx: Context, make: Make, way: Way) -> Request:
    """Built anew each time it is sent: an assertion is for that moment, and used once (RFC 7523 §3)."""
    return make(replace(way.credentials, issued_at=ctx.clock()))


def _clock_ahead(response: Response, now: float) -> float | None:
    """By the Date header (RFC 9110 §6.6.1), taken to be written in the middle of the exchange."""
    try:
        said = parsedate_to_datetime(response.headers.get("date") or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return said - (now - response.elapsed_seconds / 2)
