"""The demo end system over ASGI, with a clock that tests turn, and a client app that signs people in."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from keyturn.demo.app import create_app

URL = "http://127.0.0.1:8081"
REDIRECT_URI = "http://localhost:8080/oauth2/callback/demo-crm"
EVERY_SCOPE = "read:orders read:customers offline_access"
JSON = {"Accept": "application/json"}
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"


@dataclass
class Clock:
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Form(HTMLParser):
    """The hidden fields of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.hidden: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "input" and given.get("type") == "hidden":
            self.hidden[given["name"]] = given.get("value", "")


@dataclass
class World:
    """The app under test, a browser on it, and the client app `made` that reads it."""

    app: Any
    http: httpx2.AsyncClient
    clock: Clock
    url: str = URL
    redirect_uri: str = REDIRECT_URI
    json: dict[str, str] = field(default_factory=lambda: dict(JSON))
    made: dict[str, Any] = field(default_factory=dict)

    @property
    def demo(self) -> Any:
        return self.app.state.demo

    async def create_app(self, **changed: Any) -> dict[str, Any]:
        body = {"name": "Reader", "redirect_uri": REDIRECT_URI, "scopes": EVERY_SCOPE.split(), **changed}
        answer = await self.http.post("/console/apps", json=body, headers=JSON)
        assert answer.status_code == 201, answer.text
        self.made = answer.json()
        return self.made

    def authorization(self, **changed: str | None) -> dict[str, str]:
        digest = hashlib.sha256(VERIFIER.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": self.made["client_id"],
            "redirect_uri": REDIRECT_URI,
            "scope": EVERY_SCOPE,
            "state": "st-1",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            **changed,
        }
        return {name: value for name, value in asked.items() if value is not None}

    async def sign_in(self, *, decision: str = "allow", account: str = "jane", **changed: str | None) -> dict[str, str]:
        """Through the consent page; the parameters that the redirect brings back."""
        consent = await self.http.get("/oauth2/authorize", params=self.authorization(**changed))
        assert consent.status_code == 200, consent.text
        fields = Form(consent.text).hidden | {"decision": decision, "account": account}
        answer = await self.http.post("/oauth2/authorize", data=fields)
        return self.came_back(answer)

    @staticmethod
    def came_back(answer: httpx2.Response) -> dict[str, str]:
        """The parameters that a redirect brings to the reading application."""
        assert answer.status_code == 303, answer.text
        assert answer.headers["location"].startswith(REDIRECT_URI + "?")
        query = parse_qs(urlsplit(answer.headers["location"]).query, strict_parsing=True)
        assert all(len(values) == 1 for values in query.values())
        return {name: values[0] for name, values in query.items()}

    async def token(self, *, basic: bool = False, **fields: str | None) -> httpx2.Response:
        secret = self.made["client_secret"]
        auth = httpx2.BasicAuth(self.made["client_id"], secret) if basic else None
        own = {} if basic else {"client_id": self.made["client_id"], "client_secret": secret}
        body = {name: value for name, value in (own | fields).items() if value is not None}
        return await self.http.post("/oauth2/token", data=body, auth=auth)

    async def exchange(self, code: str, **changed: str | None) -> httpx2.Response:
        given = {"code": code, "redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER, **changed}
        return await self.token(grant_type="authorization_code", **given)

    async def signed_in(self, **changed: str | None) -> dict[str, Any]:
        """A token set."""
        code = (await self.sign_in(**changed))["code"]
        answer = await self.exchange(code)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def refresh(self, refresh_token: str, **changed: Any) -> httpx2.Response:
        return await self.token(grant_type="refresh_token", refresh_token=refresh_token, **changed)

    async def get(self, path: str, token: str) -> httpx2.Response:
        return await self.http.get(path, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def bare(clock: Clock) -> AsyncIterator[World]:
    """No client app yet."""
    app = create_app(URL, clock=clock)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=URL) as http:
        yield World(app, http, clock)


@pytest.fixture
async def world(bare: World) -> World:
    """With a client app."""
    await bare.create_app()
    return bare
