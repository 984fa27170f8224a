"""A client's secrets: add or replace one, order them, take one away, and remember which works. Workspace Admins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import structlog

from keyturn import redaction
from keyturn.errors import Conflict, Invalid, NotFound, Unavailable
from keyturn.model.client_secrets import MOST_SECRETS, NewSecret, SecretSettings
from keyturn.model.oauth_clients import OAuthClient
from keyturn.model.validation import parse
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.jose import TOO_SHORT_TO_SIGN, can_sign
from keyturn.services import events, oauth_clients, stored_secrets
from keyturn.services.context import Context
from keyturn.services.oauth_clients import Registration, Way
from keyturn.storage import client_secrets as rows
from keyturn.storage import oauth_clients as client_rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

log = structlog.get_logger(__name__)

# How often a secret's last success is written down while it goes on working.
_NOTE_SECONDS = 3600.0


async def replace(ctx: Context, client_id: str, raw: Mapping[str, Any]) -> OAuthClient:
    """Store a new secret, tried first; suspended connections resume by themselves. With `keep_old` the others stay.

    Raises `Invalid`, `NotFound`, `Conflict` when there are too many.
    """
    ctx.require("clients:write")
    new = parse(NewSecret, raw)
    redaction.remember(new.client_secret)
    client = await oauth_clients.get(ctx, client_id)
    if client.settings.advanced.token.auth == "client_secret_jwt" and not can_sign(new.client_secret):
        raise Invalid(TOO_SHORT_TO_SIGN, at="client_secret")
    if new.keep_old and len(client.secrets) >= MOST_SECRETS:
        raise Conflict(f"{client.name} has {MOST_SECRETS} secrets. Remove one that is no longer used first.")

    def write(tx: Tx) -> None:
        if not new.keep_old:
            rows.delete_of_client(tx, ctx.workspace_id, client_id)
        stored_secrets.put(tx, ctx, client_id, new.client_secret, new.expires_on)
        values: dict[str, Any] = {"updated_at": ctx.clock()}
        # A kept secret goes on working in the style that is known; a new one alone is asked anew.
        client_rows.update(tx, ctx.workspace_id, client_id, values if new.keep_old else values | {"token_auth": None})
        oauth_clients.resume(tx, ctx, client_id)

    await ctx.database.run(write)
    return await oauth_clients.get(ctx, client_id)


async def change(ctx: Context, client_id: str, secret_id: str, raw: Mapping[str, Any]) -> OAuthClient:
    """Set the day it expires on, or let it be tried first; what is not named stays. Raises `Invalid`, `NotFound`."""
    ctx.require("clients:write")
    settings = parse(SecretSettings, raw)

    def write(tx: Tx) -> None:
        values = {"expires_on": settings.expires_on} if "expires_on" in raw else {}
        # A changed order is a decision of people: the secret is tried again, refused before or not.
        values |= {"last_refused_at": None} if settings.first else {}
        if not rows.exists(tx, ctx.workspace_id, client_id, secret_id):
            raise NotFound("This client has no such secret.")
        if values:
            rows.update(tx, ctx.workspace_id, client_id, secret_id, values)
        if settings.first:
            rows.make_first(tx, ctx.workspace_id, client_id, secret_id)
        events.record(tx, ctx, client_id, "settings_changed", fields="secrets")

    await ctx.database.run(write)
    return await oauth_clients.get(ctx, client_id)


async def remove(ctx: Context, client_id: str, secret_id: str) -> OAuthClient:
    """Take one secret away. Raises `NotFound`, and `Conflict` for the only one: replace that."""
    ctx.require("clients:write")

    def write(tx: Tx) -> None:
        if not rows.delete(tx, ctx.workspace_id, client_id, secret_id):
            raise NotFound("This client has no such secret.")
        if not rows.all_of_client(tx, ctx.workspace_id, client_id, keys=False):
            raise Conflict("This is the only secret of this client. Replace it instead.")
        events.record(tx, ctx, client_id, "secret_removed")

    await ctx.database.run(write)
    return await oauth_clients.get(ctx, client_id)


def is_refusal(error: OAuthError) -> bool:
    """Whether the client was refused, so that another secret or style may be tried; nothing was used up then."""
    return error.error == "invalid_client" or error.status == 401


async def refused(ctx: Context, registration: Registration, way: Way) -> None:
    """Note that the end system refused a secret that has others beside it: those are tried first from now on."""
    if way.secret_id is not None and len(registration.secrets) > 1:
        values = {"last_refused_at": ctx.clock()}
        await _noted(ctx, rows.update, ctx.workspace_id, registration.client.id, way.secret_id, values)


async def worked(ctx: Context, registration: Registration, way: Way) -> None:
    """Remember the style and the secret that worked; the style is used alone from now on."""
    client, now = registration.client, ctx.clock()
    known = next((secret for secret in (*client.secrets, *client.keys) if secret.id == way.secret_id), None)
    told = known is None or (not known.refused and (known.last_ok_at or 0.0) > now - _NOTE_SECONDS)
    if told and client.token_auth == way.credentials.method:
        return

    def write(tx: Tx) -> None:
        client_rows.update(tx, ctx.workspace_id, client.id, {"token_auth": way.credentials.method})
        if way.secret_id is not None:
            rows.update(tx, ctx.workspace_id, client.id, way.secret_id, {"last_ok_at": now})

    await _noted(ctx, write)


async def _noted(ctx: Context, write: Any, *arguments: Any) -> None:
    """Write a remark that may be lost: what it remarks on must not fail with it."""
    try:
        await ctx.database.run(write, *arguments)
    except Unavailable:
        log.warning("client_secret_not_noted")
