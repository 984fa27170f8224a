"""Pushed authorization requests (RFC 9126): the parameters go to the server first, the browser carries a reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from keyturn.oauth.authorization import Value, renamed
from keyturn.oauth.bodies import object_of, text_of
from keyturn.oauth.client_auth import ClientCredentials
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.grants import authenticated_request
from keyturn.oauth.quirks import STANDARD, Advanced
from keyturn.oauth.server import AuthorizationServer
from keyturn.oauth.tokens import error_of, seconds_of
from keyturn.wire import Request, Response

_WHERE = "pushed_authorization"
_MAX_LENGTH = 2000


@dataclass(frozen=True, slots=True)
class PushedRequest:
    """The reference to a pushed request (§2.2); to be used once, within its life in seconds."""

    request_uri: str = field(repr=False)
    expires_in_seconds: float | None = None


def pushed_authorization_request(
    server: AuthorizationServer,
    credentials: ClientCredentials,
    parameters: Mapping[str, Value],
    *,
    advanced: Advanced = STANDARD,
) -> Request:
    """Push `authorization_parameters` with the client's authentication (§2.1); `client_id` is in the body always.

    Raises `ValueError` if the server has no such endpoint.
    """
    if server.pushed_authorization_url is None:
        raise ValueError("The server has no pushed authorization request endpoint.")
    request = authenticated_request(server.pushed_authorization_url, {}, credentials, advanced)
    # What authenticates is not there twice: the client's id is among the parameters.
    rest = "&".join(p for p in (request.body or b"").decode("ascii").split("&") if p and not p.startswith("client_id="))
    body = urlencode({**parameters, "client_id": credentials.client_id}, doseq=True)
    return Request(request.method, request.url, request.headers, f"{body}&{rest}".rstrip("&").encode("ascii"))


def process_pushed_authorization_response(response: Response) -> PushedRequest:
    """The reference (§2.2). Raises `OAuthError` (`where` is `pushed_authorization`) for every other answer."""
    body = object_of(response)
    if (error := error_of(response, body, where=_WHERE)) is not None:
        raise error
    found = text_of((body or {}).get("request_uri"))
    if found is None or len(found) > _MAX_LENGTH:
        raise OAuthError("malformed_response", "The answer has no request_uri.", status=response.status, where=_WHERE)
    return PushedRequest(found, seconds_of((body or {}).get("expires_in")))


def pushed_parameters(client_id: str, pushed: PushedRequest, *, advanced: Advanced = STANDARD) -> dict[str, Value]:
    """What the browser carries instead of the parameters themselves (§4)."""
    return renamed({"client_id": client_id, "request_uri": pushed.request_uri}, advanced.authorize.rename)
