"""Telling an authorization server that a sign-in is over (RFC 7009). It knows no connection and no grant."""

from __future__ import annotations

from keyturn.oauth.client_auth import ClientCredentials
from keyturn.oauth.revocation import process_revocation_response, revocation_request
from keyturn.services import token_requests
from keyturn.services.context import Context
from keyturn.services.oauth_clients import Registration
from keyturn.wire import Request

_TIMEOUT_SECONDS = 15.0


async def revoke(ctx: Context, registration: Registration, refresh_token: str | None, access_token: str | None) -> None:
    """Tell the authorization server to forget a sign-in: the refresh token, else the access token (RFC 7009 §2).

    Raises `OAuthError` and `UpstreamError`. Nothing happens without a revocation URL.
    """
    token, hint = (refresh_token, "refresh_token") if refresh_token else (access_token, "access_token")
    if registration.server.revocation_url is None or token is None:
        return

    def make(credentials: ClientCredentials) -> Request:
        return revocation_request(
            registration.server, credentials, token, hint, advanced=registration.client.settings.advanced
        )

    ways = registration.refresh_ways()
    process = process_revocation_response
    await token_requests.ask(ctx, registration, ways, make, process, timeout_seconds=_TIMEOUT_SECONDS)
