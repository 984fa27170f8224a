"""What the demo end system remembers: apps, grants, tokens, and the faults that are switched on."""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

SCOPES = {
    "read:orders": "Read your orders, their items and events",
    "read:customers": "Read your customers",
    "offline_access": "Stay signed in while you are away",
}
LOG_LINES = 20_000
REMEMBERED_SECONDS = 86_400.0
PEOPLE = {"jane": "jane@demo", "joe": "joe@demo"}


@dataclass
class AppSecret:
    """A client secret: its id is public, its value is kept as a hash."""

    id: str
    value_hash: str
    created_at: float


@dataclass
class ClientApp:
    """An app that somebody made in the developer console."""

    id: str
    name: str
    redirect_uris: list[str]
    scopes: list[str]
    secrets: list[AppSecret]
    created_at: float


@dataclass
class Grant:
    """What a person allowed an app; all tokens of one sign-in are its family and die together."""

    id: str
    app_id: str
    person: str
    scopes: list[str]
    revoked: bool = False


@dataclass
class Code:
    """An authorization code, good once and for a minute."""

    grant_id: str
    redirect_uri: str
    challenge: str | None
    expires_at: float
    used: bool = False


@dataclass
class Token:
    """An access or refresh token by its hash. `replaced_at` is set when a refresh token was rotated away."""

    kind: str
    grant_id: str
    expires_at: float | None
    replaced_at: float | None = None


@dataclass
class Faults:
    """What is broken on purpose just now. Counters run down by themselves."""

    access_token_seconds: int = 3600
    rotate: bool = True
    reuse_detection: bool = True
    grace_seconds: float = 0.0
    api_429s: int = 0
    api_500s: int = 0
    token_500s: int = 0
    token_pages: int = 0
    token_delay_seconds: float = 0.0
    lose_token_answers: int = 0
    schema_changed: bool = False
    refuse_redirect_uri: bool = False
    rate_limit: bool = True


@dataclass
class Demo:
    """The whole state, kept in one JSON file if there is a path."""

    path: Path | None
    clock: Callable[[], float] = time.time
    apps: dict[str, ClientApp] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    token_requests: list[dict[str, Any]] = field(default_factory=list)
    api_requests: list[dict[str, Any]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def load(self) -> None:
        """Read the file, if there is one."""
        if self.path is None or not self.path.exists():
            return
        try:
            self._take(json.loads(self.path.read_text("utf-8")))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{self.path} cannot be read as the demo's data. Delete it to start afresh.") from error
        self.forget_what_is_over()

    def _take(self, kept: dict[str, Any]) -> None:
        self.apps = {key: _app(app) for key, app in kept["apps"].items()}
        self.grants = {key: Grant(**grant) for key, grant in kept["grants"].items()}
        self.codes = {key: Code(**code) for key, code in kept.get("codes", {}).items()}
        self.tokens = {key: Token(**token) for key, token in kept["tokens"].items()}
        known = {f.name for f in fields(Faults)}
        self.faults = Faults(**{k: v for k, v in kept["faults"].items() if k in known})

    def save(self) -> None:
        """Write the file in one step."""
        if self.path is None:
            return
        with self._lock:
            kept = {
                name: {key: asdict(value) for key, value in list(getattr(self, name).items())}
                for name in ("apps", "grants", "codes", "tokens")
            }
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part = self.path.with_suffix(".part")
            part.write_text(json.dumps({**kept, "faults": asdict(self.faults)}), "utf-8")
            part.replace(self.path)

    def forget_what_is_over(self) -> None:
        """Drop codes and access tokens that ended long ago. Refresh tokens stay, so that a replay is always seen."""
        past = self.clock() - REMEMBERED_SECONDS
        self.codes = {key: code for key, code in self.codes.items() if code.expires_at > past}
        self.tokens = {
            key: token
            for key, token in self.tokens.items()
            if token.kind == "refresh" or token.expires_at is None or token.expires_at > past
        }

    def create_app(self, name: str, redirect_uris: list[str], scopes: list[str]) -> tuple[ClientApp, str]:
        """A new app and its secret's value, which is shown this once."""
        secret, value = new_secret(self.clock())
        app = ClientApp("app_" + secrets.token_hex(8), name, redirect_uris, scopes, [secret], self.clock())
        self.apps[app.id] = app
        self.save()
        return app, value

    def delete_app(self, app_id: str) -> None:
        """The app goes, and with it all that people allowed it."""
        del self.apps[app_id]
        ended = {grant.id for grant in self.grants.values() if grant.app_id == app_id}
        self.codes = {key: code for key, code in self.codes.items() if code.grant_id not in ended}
        self.tokens = {key: token for key, token in self.tokens.items() if token.grant_id not in ended}
        self.grants = {key: grant for key, grant in self.grants.items() if key not in ended}
        self.save()

    def log_token_request(self) -> dict[str, Any]:
        """A new line in the log, to be filled in as the request goes on; never with a secret."""
        entry: dict[str, Any] = {
            "at": self.clock(),
            "grant_type": None,
            "client_id": None,
            "client_authentication": None,
            "outcome": "error",
        }
        if len(self.token_requests) >= LOG_LINES:
            del self.token_requests[: LOG_LINES // 2]
        self.token_requests.append(entry)
        return entry

    def log_api_request(self, path: str, query: str) -> None:
        """A new line in the log of calls; old lines go."""
        if len(self.api_requests) >= LOG_LINES:
            del self.api_requests[: LOG_LINES // 2]
        self.api_requests.append({"path": path, "query": query, "at": self.clock()})

    def issue(self, grant: Grant, kind: str, seconds: float | None) -> str:
        """A new token of a grant."""
        if len(self.tokens) % 500 == 499:
            self.forget_what_is_over()
        value = f"{'at' if kind == 'access' else 'rt'}_{secrets.token_urlsafe(32)}"
        self.tokens[hashed(value)] = Token(kind, grant.id, None if seconds is None else self.clock() + seconds)
        return value

    def valid_access(self, value: str) -> Grant | None:
        """The grant behind an access token that still works."""
        token = self.tokens.get(hashed(value))
        if token is None or token.kind != "access":
            return None
        grant = self.grants[token.grant_id]
        over = token.expires_at is not None and self.clock() >= token.expires_at
        return None if over or grant.revoked else grant

    def expire_access_tokens(self) -> None:
        """Every access token is over now; refresh tokens stay."""
        for token in list(self.tokens.values()):
            if token.kind == "access":
                token.expires_at = 0.0
        self.save()

    def revoke_grants(self) -> None:
        """Every sign-in is revoked now."""
        for grant in list(self.grants.values()):
            grant.revoked = True
        self.save()


def _app(kept: dict[str, Any]) -> ClientApp:
    kept["secrets"] = [AppSecret(**secret) for secret in kept["secrets"]]
    return ClientApp(**kept)


def new_secret(now: float) -> tuple[AppSecret, str]:
    """A secret and its value."""
    value = "dcs_" + secrets.token_urlsafe(24)
    guid = secrets.token_hex(16)
    secret_id = "-".join((guid[:8], guid[8:12], guid[12:16], guid[16:20], guid[20:]))
    return AppSecret(secret_id, hashed(value), now), value


def hashed(value: str) -> str:
    """How tokens and secrets are kept."""
    return hashlib.sha256(value.encode()).hexdigest()
