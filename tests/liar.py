"""An OpenID Connect issuer that lies when asked to: in its tokens, its keys, its metadata, or by taking its time."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from keyturn.oauth import jose
from served import Served, free_port

CLIENT_ID, CLIENT_SECRET = "keyturn", "organisation-secret-of-the-liar"


class Liar(Served):
    """Answers every code with an ID token about `claims`; what `lie` makes of the token is what is sent."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.key = jose.new_key("ES256")
        self.keys: list[dict[str, Any]] = [jose.public_key(self.key, algorithm="ES256")]
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {}
        self.lie: Callable[[dict[str, Any]], str] = self.signed
        self.metadata: dict[str, Any] = {}
        self.nonce = ""
        # How long it takes for its metadata, in seconds, and how often each path was asked.
        self.slow = 0.0
        self.padding = 0
        self.asked: Counter[str] = Counter()
        routes = [
            Route("/.well-known/openid-configuration", self._metadata),
            Route("/keys", self._keys),
            Route("/token", self._token, methods=["POST"]),
        ]
        super().__init__(Starlette(routes=routes), self.port)

    def settings(self, **changes: Any) -> dict[str, Any]:
        """What a Workspace Admin types."""
        typed = {"name": "Acme", "issuer": self.url, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        return typed | changes

    def asks(self, location: str) -> str:
        """A browser came with this address: remembers its nonce, answers its state."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        self.nonce = asked["nonce"]
        return asked["state"]

    def told(self, **changes: Any) -> dict[str, Any]:
        """The claims of an ID token; those that are None are left out."""
        now = time.time()
        claims = {"iss": self.url, "aud": CLIENT_ID, "sub": "u-1", "nonce": self.nonce, "iat": now, "exp": now + 300,
                  "email": "ana@example.com", "email_verified": True, **self.claims, **changes}  # fmt: skip
        return {name: value for name, value in claims.items() if value is not None}

    def signed(self, claims: dict[str, Any]) -> str:
        """An honest token: the published key's."""
        return jose.signed(claims, {"alg": "ES256", "kid": jose.key_id(self.key), **self.header}, self.key)

    async def _metadata(self, _: Request) -> JSONResponse:
        self.asked["metadata"] += 1
        await asyncio.sleep(self.slow)
        return JSONResponse(
            {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
                "token_endpoint_auth_methods_supported": ["client_secret_basic"],
                "code_challenge_methods_supported": ["S256"],
                **self.metadata,
            }
        )

    async def _keys(self, _: Request) -> Response:
        self.asked["keys"] += 1
        return Response(json.dumps({"keys": self.keys}) + " " * self.padding, media_type="application/json")

    async def _token(self, _: Request) -> JSONResponse:
        self.asked["token"] += 1
        tokens = {"access_token": "a-token-of-the-liar", "token_type": "Bearer", "expires_in": 300}
        return JSONResponse({**tokens, "id_token": self.lie(self.told())})
