"""The private keys with which a client signs (RFC 7523): another one, one less, and what is published of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keyturn.errors import ClientRefused, Conflict, NotFound
from keyturn.model.client_secrets import MOST_SECRETS
from keyturn.model.messages import say
from keyturn.model.oauth_clients import OAuthClient
from keyturn.services import events, oauth_clients, stored_secrets
from keyturn.services.context import Context
from keyturn.storage import client_secrets as rows
from keyturn.storage import oauth_clients as client_rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx


async def add(ctx: Context, client_id: str) -> OAuthClient:
    """Make another key: it is tried first, and published beside the others, which go on working until removed.

    Raises `NotFound`, and `Conflict` for a client that does not sign, or that has too many keys.
    """
    ctx.require("clients:write")
    client = await oauth_clients.get(ctx, client_id)
    if len(client.keys) >= MOST_SECRETS:
        raise Conflict(f"{client.name} has {MOST_SECRETS} keys. Remove one that is no longer used first.")
    key = await stored_secrets.new_key(client.settings)
    if key is None:
        raise Conflict(f"{client.name} does not sign. Set its client authentication to private_key_jwt first.")
    await ctx.database.run(stored_secrets.put_key, ctx, client_id, key)
    return await oauth_clients.get(ctx, client_id)


async def remove(ctx: Context, client_id: str, key_id: str) -> OAuthClient:
    """Take a key away. Raises `NotFound`, and `Conflict` for the only one that signs as the settings say."""
    ctx.require("clients:write")
    client = await oauth_clients.get(ctx, client_id)
    token = client.settings.advanced.token

    def write(tx: Tx) -> None:
        if not rows.delete(tx, ctx.workspace_id, client_id, key_id, key=True):
            raise NotFound("This client has no such key.")
        left = rows.all_of_client(tx, ctx.workspace_id, client_id, keys=True)
        serving = any(item.secret.serves(token.auth, token.assertion_algorithm) for item in left)
        if token.auth == "private_key_jwt" and not serving:
            raise Conflict("This is the only key that this client signs with. Make another one first.")
        events.record(tx, ctx, client_id, "key_removed")

    await ctx.database.run(write)
    return await oauth_clients.get(ctx, client_id)


def refused(client: OAuthClient, error: str) -> ClientRefused:
    """The sentence for a signature that the end system refuses."""
    sentence = say("E-SIGNATURE", system=client.name, error=error, jwks_uri=client.jwks_uri)
    return ClientRefused(sentence, message_code="E-SIGNATURE")


async def published(scene: Context, slug: str) -> dict[str, Any]:
    """The JWK Set of the client at that slug (RFC 7517 §5): public halves alone. Raises `NotFound` without any."""

    def fetch(tx: Tx) -> list[Any]:
        found = client_rows.by_slug_anywhere(tx, slug)
        if found is None:
            return []
        return [item.secret.public_key for item in rows.all_of_client(tx, *found, keys=True)]

    keys = await scene.database.read(fetch)
    if not keys:
        raise NotFound("There are no keys here.")
    return {"keys": keys}
