"""Signing in on another device (RFC 8628): a short code for the person, and polling until they are done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from keyturn.oauth.bodies import object_of, text_of
from keyturn.oauth.client_auth import ClientCredentials
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.grants import authenticated_request, token_request
from keyturn.oauth.quirks import STANDARD, Advanced
from keyturn.oauth.server import AuthorizationServer
from keyturn.oauth.tokens import error_of, seconds_of
from keyturn.oauth.urls import UrlProblem, check_url
from keyturn.wire import Request, Response

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
_WHERE = "device_authorization"
_INTERVAL_SECONDS = 5.0
_SLOWER_SECONDS = 5.0
_MAX_INTERVAL_SECONDS = 300.0
_MAX_USER_CODE = 100


@dataclass(frozen=True, slots=True)
class DeviceAuthorization:
    """What to show and how to wait (§3.2): `expires_in_seconds` from the request, `interval_seconds` between polls."""

    device_code: str = field(repr=False)
    user_code: str = field(repr=False)
    verification_uri: str
    expires_in_seconds: float
    verification_uri_complete: str | None = field(default=None, repr=False)
    interval_seconds: float = _INTERVAL_SECONDS


def device_authorization_request(
    server: AuthorizationServer,
    credentials: ClientCredentials,
    *,
    scopes: Sequence[str] = (),
    advanced: Advanced = STANDARD,
) -> Request:
    """Ask for a code (§3.1). Raises `ValueError` if the server has no such endpoint."""
    if server.device_authorization_url is None:
        raise ValueError("The server has no device authorization endpoint.")
    form = {"client_id": credentials.client_id, "scope": advanced.authorize.scope_separator.join(scopes)}
    return authenticated_request(server.device_authorization_url, form, credentials, advanced)


def process_device_authorization_response(response: Response) -> DeviceAuthorization:
    """What to show (§3.2). Raises `OAuthError` (`where` is `device_authorization`)."""
    body = object_of(response)
    if (error := error_of(response, body, where=_WHERE)) is not None:
        raise error
    fields = body or {}
    device_code, user_code = text_of(fields.get("device_code")), text_of(fields.get("user_code"))
    # An early draft's name, which large servers kept.
    address = _page(fields.get("verification_uri") or fields.get("verification_url"))
    life = seconds_of(fields.get("expires_in"))
    if device_code is None or user_code is None or len(user_code) > _MAX_USER_CODE or address is None or life is None:
        raise OAuthError(
            "malformed_response",
            "The answer lacks a code, an address to open, or its life.",
            status=response.status,
            where=_WHERE,
        )
    interval = seconds_of(fields.get("interval"))
    return DeviceAuthorization(
        device_code=device_code,
        user_code=user_code,
        verification_uri=address,
        expires_in_seconds=life,
        verification_uri_complete=_page(fields.get("verification_uri_complete")),
        interval_seconds=_INTERVAL_SECONDS if interval is None else min(interval, _MAX_INTERVAL_SECONDS),
    )


def device_token_request(
    server: AuthorizationServer,
    credentials: ClientCredentials,
    *,
    device_code: str,
    advanced: Advanced = STANDARD,
) -> Request:
    """One poll for the tokens (§3.4)."""
    form = {"grant_type": GRANT_TYPE, "device_code": device_code}
    return token_request(server, credentials, form, advanced=advanced)


def next_interval(error: OAuthError, interval_seconds: float) -> float:
    """How long to wait before the next poll (§3.5): 5 s longer on `slow_down`. Every other error is raised again."""
    if error.error == "authorization_pending":
        return interval_seconds
    if error.error == "slow_down":
        return min(interval_seconds + _SLOWER_SECONDS, _MAX_INTERVAL_SECONDS)
    raise error


def _page(value: Any) -> str | None:
    """An address that a person may be sent to: http(s), and nothing that a browser would run."""
    if not isinstance(value, str):
        return None
    try:
        return check_url(value)
    except UrlProblem:
        return None
