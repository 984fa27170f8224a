"""Dynamic registration (RFC 7591): a server registers our client by itself, and forgets it when we delete it (7592).

What the server answers is true, whatever was asked for: its way of authentication, its scopes, its secret's end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import structlog

from keyturn import redaction
from keyturn.encryption import AssociatedData
from keyturn.errors import Invalid, KeyturnError, Problem, UpstreamError
from keyturn.model.oauth_clients import NewOAuthClient, OAuthClient
from keyturn.model.registrations import NewRegistration
from keyturn.model.validation import parse
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.registration import (
    RegisteredClient,
    process_registration_response,
    registration_request,
    unregistration_request,
)
from keyturn.oauth.server import AuthorizationServer
from keyturn.services import discovery, oauth_clients
from keyturn.services.context import Context
from keyturn.storage import oauth_clients as rows
from keyturn.wire import origin_of

log = structlog.get_logger(__name__)

_TIMEOUT_SECONDS = 15.0
_MAX_BYTES = 1 << 20
# How a server writes our ways of client authentication, the best first.
_METHODS = {"client_secret_basic": "basic", "client_secret_post": "post", "none": "none"}


async def register(ctx: Context, raw: Mapping[str, Any]) -> OAuthClient:
    """Let the issuer's server register a client for us, and keep it as any other. Nothing is kept if it refuses.

    Raises `Invalid` (also for a server that registers nobody), `Conflict` (name), `UpstreamError`.
    """
    ctx.require("clients:write")
    wanted = parse(NewRegistration, raw)
    redaction.remember(wanted.initial_access_token)
    server, place = await discovery.metadata_of(ctx, str(raw["issuer"]).strip(), url=wanted.issuer)
    if server.registration_url is None:
        raise Invalid(
            f"{urlsplit(place).hostname} registers no clients by itself: its metadata names no registration_endpoint. "
            "Create an app in its developer console instead.",
            at="issuer",
        )
    draft = discovery.draft_of(server, place).settings
    scopes = draft["scopes"] if wanted.scopes is None else wanted.scopes
    redirect_uri = await oauth_clients.redirect_uri(ctx, wanted.name)
    fields = {**draft, "name": wanted.name, "scopes": scopes, "redirect_uri": redirect_uri}
    # What is wrong with our side is said before the other side has made anything.
    await oauth_clients.check_new(ctx, parse(NewOAuthClient, {**fields, "client_id": "-", "client_secret": "-"}))
    registered = await _registered(ctx, server, wanted, scopes, redirect_uri)
    try:
        client = await oauth_clients.create(ctx, _as_told(fields, registered))
    except KeyturnError:
        await _unregister(ctx, _management(registered, server))
        raise
    if management := _management(registered, server):
        sealed = ctx.keyring.seal(json.dumps(management), ad=_ad(ctx, client.id))
        await ctx.database.run(rows.update, ctx.workspace_id, client.id, {"registration_sealed": sealed})
    return client


async def delete(ctx: Context, client_id: str, *, force: bool = False) -> None:
    """Delete a client as `oauth_clients.delete` does; a server that registered it by itself is told, if it can be."""
    sealed = await ctx.database.read(rows.sealed_registration, ctx.workspace_id, client_id)
    await oauth_clients.delete(ctx, client_id, force=force)
    if sealed is not None:
        await _unregister(ctx, json.loads(ctx.keyring.open(sealed, ad=_ad(ctx, client_id))))


async def _registered(
    ctx: Context, server: AuthorizationServer, wanted: NewRegistration, scopes: str, redirect_uri: str
) -> RegisteredClient:
    offered = server.token_endpoint_auth_methods or ("client_secret_basic",)
    method = next((name for name in _METHODS if name in offered), None)
    if method is None:
        raise Invalid("This server takes no Client Secret and no public client. Register by hand.", at="issuer")
    request = registration_request(
        server,
        client_name=wanted.name,
        redirect_uris=(redirect_uri,),
        scopes=scopes.split(),
        token_endpoint_auth_method=method,
        initial_access_token=wanted.initial_access_token,
    )
    response = await ctx.egress.send(request, timeout_seconds=_TIMEOUT_SECONDS, max_bytes=_MAX_BYTES)
    try:
        found = process_registration_response(response, redirect_uris=(redirect_uri,))
    except OAuthError as error:
        raise _refused(error, urlsplit(request.url).hostname or "The server") from None
    redaction.remember(found.client_secret, found.registration_access_token)
    if found.token_endpoint_auth_method not in _METHODS or "authorization_code" not in found.grant_types:
        await _unregister(ctx, _management(found, server))
        raise Invalid(
            f"The server registered us for {found.token_endpoint_auth_method} and {', '.join(found.grant_types)}, "
            "which would not let anybody sign in. Ask its admin.",
            at="issuer",
        )
    return found


def _as_told(fields: Mapping[str, Any], found: RegisteredClient) -> dict[str, Any]:
    """A new client's fields with what the server made of them (§3.2.1)."""
    auth = {"auth": _METHODS[found.token_endpoint_auth_method]}
    advanced = {**fields["advanced"], "token": {**fields["advanced"].get("token", {}), **auth}}
    told = {**fields, "client_id": found.client_id, "advanced": advanced}
    if found.scopes is not None:
        told["scopes"] = " ".join(found.scopes)
    if found.client_secret is not None and auth["auth"] != "none":
        told["client_secret"] = found.client_secret
    if found.client_secret_expires_at is not None:
        told["secret_expires_on"] = f"{datetime.fromtimestamp(found.client_secret_expires_at, UTC):%Y-%m-%d}"
    return told


def _refused(error: OAuthError, host: str) -> KeyturnError:
    if error.status in {401, 403}:
        return Invalid(
            f"{host} registers only whoever brings an initial access token that it accepts ({error.error}). "
            "Ask its admin for one.",
            at="initial_access_token",
        )
    if (error.status or 0) >= 500:
        return UpstreamError(f"{host} is having trouble ({error.status}) and registered nothing. Try again later.")
    reason = redaction.text(error, limit=200)
    return Invalid(problems=(Problem("issuer", f"{host} did not register us ({reason})."),))


def _management(found: RegisteredClient, server: AuthorizationServer) -> dict[str, str]:
    """Where and with what the registration is managed (RFC 7592 §3); its token goes to the server's origin alone."""
    address, token = found.registration_client_uri, found.registration_access_token
    if not address or not token or origin_of(address) != origin_of(server.registration_url or ""):
        return {}
    return {"address": address, "token": token}


async def _unregister(ctx: Context, management: Mapping[str, str]) -> None:
    """Tell the server that this client is gone (RFC 7592 §2.3); it may be away, and ours is deleted all the same."""
    if not management:
        return
    redaction.remember(management["token"])
    request = unregistration_request(management["address"], management["token"])
    try:
        answer = await ctx.egress.send(request, timeout_seconds=_TIMEOUT_SECONDS, max_bytes=_MAX_BYTES)
        log.info("client_unregistered", status=answer.status)
    except UpstreamError as error:
        log.info("client_not_unregistered", error=error.message_code or error.code)


def _ad(ctx: Context, client_id: str) -> AssociatedData:
    return AssociatedData(ctx.workspace_id, "oauth_clients", client_id, "registration_sealed")
