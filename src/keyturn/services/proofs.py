"""Proofs that we hold the key of a token (RFC 9449): one for each request sent, with the server's newest nonce.

Nonces are remembered by origin, for as long as this process runs: a server that wants another one says so.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyturn.model.connections import why
from keyturn.oauth.dpop import nonce_of, wants_nonce, with_proof
from keyturn.services import events, notices
from keyturn.services.context import Context
from keyturn.storage import connections as connection_rows
from keyturn.storage import grants as grant_rows
from keyturn.wire import Headers, Request, Response, origin_of

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

REASON = "dpop_turned_on"
_NONCES_MOST = 10_000
_nonces: OrderedDict[str, str] = OrderedDict()


@dataclass(frozen=True, slots=True)
class Limits:
    """How far redirects are followed, and which headers are left behind then."""

    redirects: int = 0
    credential_headers: frozenset[str] = frozenset()


async def send(
    ctx: Context,
    make: Callable[[], Request],
    key: str | None,
    *,
    timeout_seconds: float,
    max_bytes: int,
    access_token: str | None = None,
    limits: Limits = Limits(),
) -> Response:
    """Send what `make` builds, proved by `key` if there is one; built and sent once more if only a nonce was lacking.

    `timeout_seconds` is for both together. Raises `UpstreamError` and `UpstreamTimeout`.
    """
    ends_at = time.monotonic() + timeout_seconds
    response = await _once(ctx, make(), key, access_token, timeout_seconds, max_bytes, limits)
    if key is not None and wants_nonce(response):
        left = max(0.0, ends_at - time.monotonic())
        response = await _once(ctx, make(), key, access_token, left, max_bytes, limits)
    return response


def proved(ctx: Context, request: Request, key: str | None, access_token: str | None = None) -> Request:
    """`request` with a fresh proof and the newest nonce of its origin; as it is without a key."""
    if key is None:
        return request
    nonce = _nonces.get(origin_of(request.url))
    return with_proof(request, key, issued_at=ctx.clock(), access_token=access_token, nonce=nonce)


def heard(url: str, response: Response) -> None:
    """Remember the nonce that an answer brings, also a good one (RFC 9449 §8.2)."""
    if (nonce := nonce_of(response)) is not None:
        origin = origin_of(url)
        _nonces.pop(origin, None)
        _nonces[origin] = nonce
        while len(_nonces) > _NONCES_MOST:
            _nonces.popitem(last=False)


def lacked(request: Request, status: int, headers: Headers) -> bool:
    """Whether an answer whose body is still to come refuses only for lack of the nonce that it brings."""
    response = Response(status, headers)
    heard(request.url, response)
    return wants_nonce(response)


def require(tx: Tx, ctx: Context, client_id: str) -> None:
    """DPoP was turned on for a client: sign-ins from before are bound to no key, so their people sign in once more."""
    for grant in grant_rows.bind_of_client(tx, ctx.workspace_id, _connections(tx, ctx, client_id), REASON, ctx.clock()):
        events.record(tx, ctx, grant.connection_id, "refresh_rejected", error="DPoP was turned on")
        who = f" as {grant.account}" if grant.account else ""
        notices.open(
            tx,
            ctx,
            "reconnect_needed",
            grant.connection_id,
            account_id=grant.account_id,
            why=why(REASON),
            as_account=who,
        )


def release(tx: Tx, ctx: Context, client_id: str) -> None:
    """DPoP was turned off again: who did not sign in meanwhile goes on as before."""
    for grant in grant_rows.unbind_of_client(tx, ctx.workspace_id, _connections(tx, ctx, client_id), REASON):
        notices.close(tx, ctx, "reconnect_needed", grant.connection_id, account_id=grant.account_id)


def _connections(tx: Tx, ctx: Context, client_id: str) -> list[str]:
    return [user.id for user in connection_rows.all_of(tx, ctx.workspace_id, oauth_client_id=client_id)]


async def _once(
    ctx: Context,
    request: Request,
    key: str | None,
    access_token: str | None,
    timeout_seconds: float,
    max_bytes: int,
    limits: Limits,
) -> Response:
    request = proved(ctx, request, key, access_token)
    response = await ctx.egress.send(
        request,
        timeout_seconds=timeout_seconds,
        max_bytes=max_bytes,
        follow_redirects=limits.redirects,
        credential_headers=limits.credential_headers,
    )
    if key is not None:
        heard(response.url, response)
    return response
