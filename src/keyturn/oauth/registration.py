"""Dynamic client registration (RFC 7591): a client's own description, and what the server made of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keyturn.oauth.bodies import object_of, text_of
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.server import AuthorizationServer
from keyturn.oauth.tokens import error_of
from keyturn.wire import Headers, Request, Response

_WHERE = "registration"


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """What the server registered (§3.2.1), which may differ from what was asked. Times are epoch seconds.

    `client_secret_expires_at` None: it does not expire. The registration token manages this client (RFC 7592).
    """

    client_id: str
    client_secret: str | None = field(repr=False)
    client_secret_expires_at: float | None
    token_endpoint_auth_method: str
    redirect_uris: tuple[str, ...]
    grant_types: tuple[str, ...]
    scopes: tuple[str, ...] | None
    registration_access_token: str | None = field(default=None, repr=False)
    registration_client_uri: str | None = None


def registration_request(
    server: AuthorizationServer,
    *,
    client_name: str,
    redirect_uris: Sequence[str],
    scopes: Sequence[str] = (),
    token_endpoint_auth_method: str = "client_secret_basic",
    grant_types: Sequence[str] = ("authorization_code", "refresh_token"),
    jwks: Mapping[str, Any] | None = None,
    dpop: bool = False,
    initial_access_token: str | None = None,
) -> Request:
    """Register a client (§2, §3.1). `jwks` has public keys only. Raises `ValueError` without such an endpoint."""
    if server.registration_url is None:
        raise ValueError("The server has no registration endpoint.")
    wanted: dict[str, Any] = {
        "client_name": client_name,
        "redirect_uris": list(redirect_uris),
        "grant_types": list(grant_types),
        "response_types": ["code"] if "authorization_code" in grant_types else [],
        "token_endpoint_auth_method": token_endpoint_auth_method,
        "scope": " ".join(scopes) or None,
        "jwks": None if jwks is None else dict(jwks),
        "dpop_bound_access_tokens": dpop or None,
    }
    headers = Headers.of({"Accept": "application/json", "Content-Type": "application/json"})
    if initial_access_token is not None:
        headers = headers.with_("Authorization", f"Bearer {initial_access_token}")
    body = {name: value for name, value in wanted.items() if value is not None}
    return Request("POST", server.registration_url, headers, json.dumps(body).encode())


def process_registration_response(response: Response, *, redirect_uris: Sequence[str]) -> RegisteredClient:
    """What was registered (§3.2.1). Raises `OAuthError` (§3.2.2; `where` is `registration`).

    A client with other redirect URIs than were asked for is refused: its codes would go elsewhere.
    """
    body = object_of(response)
    if (error := error_of(response, body, where=_WHERE)) is not None:
        raise error
    fields = body or {}
    client_id = text_of(fields.get("client_id"))
    if client_id is None:
        raise _malformed("The answer has no client_id.", response)
    registered = _names(fields.get("redirect_uris"))
    if registered is not None and set(registered) != set(redirect_uris):
        raise _malformed("The server registered other redirect URIs than it was asked for.", response)
    secret = text_of(fields.get("client_secret"))
    method = text_of(fields.get("token_endpoint_auth_method"))
    expires_at = fields.get("client_secret_expires_at")
    known = isinstance(expires_at, int) and not isinstance(expires_at, bool) and expires_at > 0
    scope = fields.get("scope")
    return RegisteredClient(
        client_id=client_id,
        client_secret=secret,
        client_secret_expires_at=float(expires_at) if known else None,
        token_endpoint_auth_method=method or ("client_secret_basic" if secret else "none"),
        redirect_uris=registered or tuple(redirect_uris),
        grant_types=_names(fields.get("grant_types")) or ("authorization_code",),
        scopes=tuple(scope.split()) if isinstance(scope, str) else None,
        registration_access_token=text_of(fields.get("registration_access_token")),
        registration_client_uri=text_of(fields.get("registration_client_uri")),
    )


def unregistration_request(address: str, registration_access_token: str) -> Request:
    """Delete a registration at its own address (RFC 7592 §2.3)."""
    return Request("DELETE", address, Headers.of({"Authorization": f"Bearer {registration_access_token}"}))


def _malformed(description: str, response: Response) -> OAuthError:
    return OAuthError("malformed_response", description, status=response.status, where=_WHERE)


def _names(value: Any) -> tuple[str, ...] | None:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else None
