"""Connecting where nobody signs in: the OAuth client asks for a token of its own (RFC 6749 §4.4), at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keyturn.model.connections import Connection
from keyturn.model.messages import say
from keyturn.oauth.errors import OAuthError
from keyturn.services import client_secrets, connections, events, grants, refusals, token_requests
from keyturn.services.context import Context
from keyturn.services.oauth_clients import Registration
from keyturn.storage import connections as connection_rows
from keyturn.storage import grants as grant_rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

_ITSELF = "the client itself"


async def connect(
    ctx: Context, connection: Connection, registration: Registration, scopes: Sequence[str]
) -> list[dict[str, str]]:
    """Ask for the first token and store it as the connection's grant; answers what it falls short of.

    Raises `ClientRefused`, `UpstreamError`, `UpstreamTimeout`; a grant that was there stays as it was.
    """
    requested_at = ctx.clock()
    try:
        answered = await token_requests.for_itself(
            ctx, registration, timeout_seconds=ctx.deployment.refresh.deadline_seconds
        )
    except OAuthError as error:
        raise await refusals.in_our_words(ctx, error, registration) from None
    await client_secrets.worked(ctx, registration, answered.way)
    tokens, holder = answered.found, connections.grant_holder(ctx, connection)

    def write(tx: Tx) -> None:
        before = grant_rows.of_connection(tx, ctx.workspace_id, connection.id, holder)
        grants.store_new(
            tx,
            ctx,
            registration,
            tokens,
            connection=connection,
            account_id=holder,
            requested_at=requested_at,
            scopes_requested=scopes,
            account=None,
        )
        connection_rows.update(tx, ctx.workspace_id, connection.id, {"detail": None})
        events.record(tx, ctx, connection.id, "connected" if before is None else "reconnected", account=_ITSELF)

    await ctx.database.run(write)
    missing = grants.scopes_missing(scopes, tokens.scopes)
    granted = " ".join(tokens.scopes or ()) or "none"
    short = say("E-SCOPE", missing=" ".join(missing), system=registration.client.name, granted=granted)
    return [{"message_code": "E-SCOPE", "message": short}] if missing else []
