"""An OpenID Connect issuer's metadata and keys, fetched through the door out and kept for a few minutes.

Keys are asked for again when none of those we hold signed a token: issuers change them at any time.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from keyturn.errors import Invalid
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.id_tokens import keys_request, process_keys
from keyturn.oauth.server import AuthorizationServer
from keyturn.services.context import Context
from keyturn.services.discovery import metadata_of

KEPT_SECONDS = 300.0
_TIMEOUT_SECONDS = 10.0
_MAX_BYTES = 1 << 20
_MOST = 20
_FIX = "Check the issuer: it is the address that its metadata calls so."
Keys = tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class _Held:
    """What was fetched, and until when it is taken for true, in epoch seconds."""

    until: float
    server: AuthorizationServer
    keys: Keys | None = None

    def __repr__(self) -> str:
        return f"_Held({self.server.issuer})"


_held: dict[str, _Held] = {}
_Look = asyncio.Task[tuple[AuthorizationServer, str]]
_looking: dict[str, _Look] = {}


async def server_of(ctx: Context, issuer: str) -> AuthorizationServer:
    """The issuer's endpoints. Raises `Invalid` where it publishes nothing usable, `UpstreamError`.

    Anybody can make us look by opening the way there, so it is asked once for all who wait.
    """
    found = _held.get(issuer)
    if found is not None and ctx.clock() < found.until <= ctx.clock() + KEPT_SECONDS:
        return found.server
    looking = _looking.get(issuer)
    if looking is None or looking.get_loop() is not asyncio.get_running_loop():
        looking = asyncio.create_task(metadata_of(ctx, issuer, fix=_FIX))
        _looking[issuer] = looking
        looking.add_done_callback(lambda done: _looked(issuer, done))
    return _keep(ctx, (await asyncio.shield(looking))[0])


async def look(ctx: Context, issuer: str) -> AuthorizationServer:
    """The issuer's endpoints as they are now, also if it writes itself with another `/` at the end than was typed."""
    other = issuer.removesuffix("/") if issuer.endswith("/") else f"{issuer}/"
    try:
        found = await metadata_of(ctx, issuer, fix=_FIX)
    except Invalid as problem:
        try:
            found = await metadata_of(ctx, other)
        except Invalid:
            raise problem from None
    return _keep(ctx, found[0])


async def keys_of(ctx: Context, server: AuthorizationServer, *, again: bool = False) -> Keys:
    """The keys it signs with; `again` asks even if we hold some. Raises `Invalid` at `issuer`, `UpstreamError`."""
    issuer = server.issuer or ""
    found = _held.get(issuer)
    if not again and found is not None and found.keys is not None and ctx.clock() < found.until:
        return found.keys
    if server.jwks_url is None:
        raise Invalid("This issuer publishes no keys (jwks_uri), so nothing it says can be checked.", at="issuer")
    request = keys_request(server.jwks_url)
    response = await ctx.egress.send(request, timeout_seconds=_TIMEOUT_SECONDS, max_bytes=_MAX_BYTES)
    try:
        keys = process_keys(response)
    except OAuthError:
        raise Invalid(f"{server.jwks_url} gave no keys (JWK Set), so nothing can be checked.", at="issuer") from None
    _held[issuer] = _Held(ctx.clock() + KEPT_SECONDS, server, keys)
    return keys


def _looked(issuer: str, done: _Look) -> None:
    if _looking.get(issuer) is done:
        del _looking[issuer]
    if not done.cancelled():
        # Said to who still waits; nobody may be left.
        done.exception()


def _keep(ctx: Context, server: AuthorizationServer) -> AuthorizationServer:
    if len(_held) >= _MOST:
        _held.clear()
    _held[server.issuer or ""] = _Held(ctx.clock() + KEPT_SECONDS, server)
    return server
