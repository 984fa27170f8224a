"""Asking a server what it knows of a token (RFC 7662). `active` alone is certain; all else is what it cares to say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from keyturn.oauth.bodies import object_of, text_of
from keyturn.oauth.client_auth import ClientCredentials
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.grants import authenticated_request
from keyturn.oauth.quirks import STANDARD, Advanced
from keyturn.oauth.server import AuthorizationServer
from keyturn.oauth.tokens import error_of
from keyturn.wire import Request, Response

_WHERE = "introspection"


@dataclass(frozen=True, slots=True)
class Introspection:
    """What a server says of a token (§2.2). Times are epoch seconds; None: not told, and always so if inactive."""

    active: bool
    scopes: tuple[str, ...] | None = None
    client_id: str | None = None
    username: str | None = field(default=None, repr=False)
    subject: str | None = field(default=None, repr=False)
    token_type: str | None = None
    expires_at: float | None = None
    issuer: str | None = None


def introspection_request(
    server: AuthorizationServer,
    credentials: ClientCredentials,
    token: str,
    token_type_hint: str | None = None,
    *,
    advanced: Advanced = STANDARD,
) -> Request:
    """Ask about `token` (§2.1). Raises `ValueError` if the server has no introspection endpoint."""
    if server.introspection_url is None:
        raise ValueError("The server has no introspection endpoint.")
    form = {"token": token, "token_type_hint": token_type_hint}
    return authenticated_request(server.introspection_url, form, credentials, advanced)


def process_introspection_response(response: Response) -> Introspection:
    """What the server says (§2.2); nothing but `active` counts of an inactive token. Raises `OAuthError`."""
    body = object_of(response)
    if (error := error_of(response, body, where=_WHERE)) is not None:
        raise error
    fields: dict[str, Any] = body or {}
    active = fields.get("active")
    if not isinstance(active, bool):
        raise OAuthError("malformed_response", "The answer does not say active.", status=response.status, where=_WHERE)
    if not active:
        return Introspection(active=False)
    scope, expires_at = fields.get("scope"), fields.get("exp")
    return Introspection(
        active=True,
        scopes=tuple(scope.split()) if isinstance(scope, str) else None,
        client_id=text_of(fields.get("client_id")),
        username=text_of(fields.get("username")),
        subject=text_of(fields.get("sub")),
        token_type=text_of(fields.get("token_type")),
        expires_at=float(expires_at) if isinstance(expires_at, int) and not isinstance(expires_at, bool) else None,
        issuer=text_of(fields.get("iss")),
    )
