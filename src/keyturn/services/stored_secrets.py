"""What a client proves itself with, sealed: secrets that its end system gave, private keys that we made."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from keyturn import redaction
from keyturn.encryption import AssociatedData
from keyturn.model.client_secrets import ClientSecret, in_order
from keyturn.model.ids import new_id
from keyturn.model.oauth_clients import OAuthClientSettings
from keyturn.oauth import jose
from keyturn.services import events
from keyturn.services.context import Context
from keyturn.storage import client_secrets as rows
from keyturn.storage.client_secrets import SealedSecret

if TYPE_CHECKING:
    from keyturn.storage.database import Tx


@dataclass(frozen=True, slots=True)
class OpenedSecret:
    """A secret opened for use (never in `repr`); `id` is None while nothing is stored yet."""

    id: str | None
    value: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A private key that is not stored yet, as JWK text, and its public half."""

    text: str = field(repr=False)
    public: Mapping[str, Any]


def opened(ctx: Context, stored: list[SealedSecret], settings: OAuthClientSettings) -> tuple[OpenedSecret, ...]:
    """Open those that serve the client's way of authentication, in the order to try them."""
    token = settings.advanced.token
    sealed = {
        item.secret.id: item.sealed for item in stored if item.secret.serves(token.auth, token.assertion_algorithm)
    }
    ordered = in_order([item.secret for item in stored if item.secret.id in sealed], ctx.clock())
    secrets = tuple(OpenedSecret(item.id, ctx.keyring.open(sealed[item.id], ad=_ad(ctx, item.id))) for item in ordered)
    redaction.remember(*(secret.value for secret in secrets))
    return secrets


async def new_key(settings: OAuthClientSettings, keys: tuple[ClientSecret, ...] = ()) -> NewKey | None:
    """A new private key, if the settings want signatures that none of `keys` can make."""
    token = settings.advanced.token
    if token.auth != "private_key_jwt" or any(key.serves(token.auth, token.assertion_algorithm) for key in keys):
        return None
    # An RSA key takes a good part of a second.
    text = await asyncio.to_thread(jose.new_key, token.assertion_algorithm)
    return NewKey(text, jose.public_key(text, algorithm=token.assertion_algorithm))


def put_key(tx: Tx, ctx: Context, client_id: str, key: NewKey) -> None:
    """Seal and store a private key, tried before the client's others; its public half is published."""
    put(tx, ctx, client_id, key.text, public=key.public)
    events.record(tx, ctx, client_id, "key_made")


def put(
    tx: Tx,
    ctx: Context,
    client_id: str,
    secret: str,
    expires_on: str | None = None,
    public: Mapping[str, Any] | None = None,
) -> None:
    """Seal and store a secret that is tried before the client's others. It is bound to the row it stands in."""
    secret_id = new_id("cs")
    values = {
        "id": secret_id,
        "secret_sealed": ctx.keyring.seal(secret, ad=_ad(ctx, secret_id)),
        "saved_at": ctx.clock(),
        "saved_by": ctx.actor.account_id or None,
        "expires_on": expires_on,
        "public_key": public,
    }
    rows.insert_first(tx, ctx.workspace_id, client_id, values)


def _ad(ctx: Context, secret_id: str) -> AssociatedData:
    return AssociatedData(ctx.workspace_id, "oauth_clients", secret_id, "secret")
