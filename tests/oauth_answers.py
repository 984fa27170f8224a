"""Answers of servers, for the tests of their readers."""

from __future__ import annotations

import json
import warnings
from typing import Any
from urllib.parse import parse_qs, parse_qsl

from keyturn.oauth.server import AuthorizationServer
from keyturn.wire import Headers, Request, Response

SERVER = AuthorizationServer(
    "https://server.example.com/authorize?tenant=a",
    "https://server.example.com/token",
    issuer="https://server.example.com",
    pushed_authorization_url="https://server.example.com/par",
    device_authorization_url="https://server.example.com/device",
    introspection_url="https://server.example.com/introspect",
    registration_url="https://server.example.com/register",
)
WITHOUT = AuthorizationServer("https://server.example.com/authorize", "https://server.example.com/token")


def answer(body: Any, status: int = 200, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, Headers.of({"Content-Type": "application/json", **fields}), raw)


def form_of(request: Request) -> dict[str, str]:
    pairs = parse_qsl((request.body or b"").decode("ascii"), keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs), "a parameter is there twice"
    return dict(pairs)


def lists_of(request: Request) -> dict[str, list[str]]:
    return parse_qs((request.body or b"").decode("ascii"), keep_blank_values=True, strict_parsing=True)


def verified(token: str, key: Any) -> dict[str, Any]:
    """The claims of a signed token as Authlib reads them: an implementation that others wrote."""
    import authlib.deprecate  # noqa: F401 - it resets the filter for its own warnings when it is imported

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from authlib.jose import JsonWebToken

        return dict(JsonWebToken(["ES256", "ES384", "RS256", "PS256", "HS256"]).decode(token, key))
