"""Token revocation (RFC 7009): the request, and whether the token is gone. Deleting must not depend on it."""

from __future__ import annotations

from typing import Literal

from keyturn.oauth.bodies import object_of
from keyturn.oauth.client_auth import ClientCredentials
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.grants import authenticated_request
from keyturn.oauth.quirks import STANDARD, Advanced
from keyturn.oauth.server import AuthorizationServer
from keyturn.oauth.tokens import error_of
from keyturn.wire import Request, Response

TokenTypeHint = Literal["refresh_token", "access_token"]
# RFC 7009 §2.2 has unknown tokens answered with 200; large servers say these instead. Gone is gone.
_GONE_CODES = frozenset({"invalid_token", "invalid_grant"})


def revocation_request(
    server: AuthorizationServer,
    credentials: ClientCredentials,
    token: str,
    token_type_hint: str | None = None,
    *,
    advanced: Advanced = STANDARD,
) -> Request:
    """Ask to revoke `token` (RFC 7009 §2.1); `token_type_hint` is `refresh_token` or `access_token`.

    Raises `ValueError` if the server has no revocation URL.
    """
    if server.revocation_url is None:
        raise ValueError("The server has no revocation URL.")
    form = {"token": token, "token_type_hint": token_type_hint}
    return authenticated_request(server.revocation_url, form, credentials, advanced)


def process_revocation_response(response: Response) -> None:
    """Return if the token is gone (RFC 7009 §2.2), an unknown one too; else raise `OAuthError` (§2.2.1).

    503 has the code `temporarily_unavailable`, the error's `retry_after` says when to come back.
    """
    if 200 <= response.status < 300:
        return
    error = error_of(response, object_of(response, form_fields=("error",)), where="revocation")
    if error is not None and error.error in _GONE_CODES and response.status == 400:
        return
    if response.status == 503:
        raise OAuthError(
            "temporarily_unavailable",
            status=503,
            where="revocation",
            retry_after=response.headers.get("retry-after"),
        )
    raise error or OAuthError(f"http_{response.status}", status=response.status, where="revocation")
