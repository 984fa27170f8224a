"""How a grant is renewed: what is asked of its authorization server, and what that spends."""

from __future__ import annotations

from keyturn.model.grants import Grant
from keyturn.oauth.tokens import TokenSet
from keyturn.services import grants, token_requests
from keyturn.services.context import Context
from keyturn.services.oauth_clients import Registration
from keyturn.services.token_requests import Answered


def spent(ctx: Context, grant: Grant) -> str | None:
    """What a renewal may use up, opened: the refresh token. None where the client asks for itself."""
    return grants.refresh_token(ctx, grant)


async def ask(ctx: Context, registration: Registration, grant: Grant, *, timeout_seconds: float) -> Answered[TokenSet]:
    """Ask for the next token set. Raises `OAuthError`, `UpstreamError`, `UpstreamTimeout`."""
    return await token_requests.refresh(
        ctx, registration, spent(ctx, grant), dpop_key=grants.dpop_key(ctx, grant), timeout_seconds=timeout_seconds
    )
