"""OAuth 2.0 clients over HTTP (`ws.clients`): for Workspace Admins. A secret goes in and never comes out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from keyturn.client.names import pick
from keyturn.client.transport import Transport

_ROUTE = "/oauth-clients"


class OAuthClients:
    """The workspace's OAuth 2.0 clients, found by name. Values are the JSON objects of the API."""

    def __init__(self, transport: Transport) -> None:
        self._http = transport

    def __repr__(self) -> str:
        return f"OAuthClients({self._http.url})"

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._http.pages(_ROUTE)

    def __getitem__(self, name: str) -> dict[str, Any]:
        """The one of that name. Raises `NotFound` with a suggestion."""
        return pick(self, name, what="OAuth 2.0 client")

    def redirect_uri(self, name: str) -> str:
        """The redirect URI of the client of that name, or the one such a client would get."""
        for client in self:
            if client["name"].casefold() == name.casefold():
                return str(client["redirect_uri"])
        return str(self._http.get(f"{_ROUTE}/redirect-uri", name=name)["redirect_uri"])

    def presets(self) -> Iterator[dict[str, Any]]:
        """Well-known end systems by name."""
        return self._http.pages("/presets")

    def preset(self, preset_id: str, **variables: str) -> dict[str, Any]:
        """One of them; with its variables also `settings` and `base_url`. Raises `NotFound`, `Invalid`."""
        return dict(self._http.get(f"/presets/{preset_id}", **variables))

    def discover(self, **source: str) -> dict[str, Any]:
        """Settings from `issuer=` or `openapi_url=`, with their evidence. Raises `Invalid` when nothing is usable."""
        return dict(self._http.post(f"{_ROUTE}/discover", source))

    def register(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Register one. Raises `Invalid` naming the fields, `Conflict` when name or redirect URI is taken."""
        return dict(self._http.post(_ROUTE, settings))

    def register_at(
        self, issuer: str, name: str, *, scopes: str | None = None, initial_access_token: str | None = None
    ) -> dict[str, Any]:
        """Let the issuer's server register one by itself (RFC 7591). Raises `Invalid` where it does not."""
        body: dict[str, Any] = {"issuer": issuer, "name": name}
        body |= {} if scopes is None else {"scopes": scopes}
        body |= {} if initial_access_token is None else {"initial_access_token": initial_access_token}
        return dict(self._http.post(f"{_ROUTE}/registrations", body))

    def edit(self, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change it by JSON merge patch; a changed URL clears the secret unless `client_secret` comes along."""
        return dict(self._http.patch(self._route(name), changes))

    def replace_secret(
        self, name: str, client_secret: str, *, expires_on: str | None = None, keep_old: bool = False
    ) -> dict[str, Any]:
        """Store a new secret, tried first; suspended connections go on by themselves. `keep_old` keeps the others."""
        body: dict[str, Any] = {"client_secret": client_secret}
        body |= {"expires_on": expires_on} if expires_on else {}
        body |= {"keep_old": True} if keep_old else {}
        return dict(self._http.post(f"{self._route(name)}/secrets", body))

    def change_secret(self, name: str, secret_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Set `expires_on` of a stored secret (a day, or None), or let it be tried `first`. Raises `NotFound`."""
        return dict(self._http.patch(f"{self._route(name)}/secrets/{secret_id}", changes))

    def remove_secret(self, name: str, secret_id: str) -> None:
        """Take one of several secrets away. Raises `NotFound`, and `Conflict` for the only one."""
        self._http.delete(f"{self._route(name)}/secrets/{secret_id}")

    def add_key(self, name: str) -> dict[str, Any]:
        """Make another key that signs for a `private_key_jwt` client, tried first. Raises `Conflict` for others."""
        return dict(self._http.post(f"{self._route(name)}/keys"))

    def remove_key(self, name: str, key_id: str) -> None:
        """Take a key away, also from what is published. Raises `NotFound`, and `Conflict` for the only one."""
        self._http.delete(f"{self._route(name)}/keys/{key_id}")

    def check(self, name: str) -> dict[str, Any]:
        """Whether the Token URL knows it: `verdict` is accepted, refused, unknown or unreachable."""
        return dict(self._http.post(f"{self._route(name)}/check"))

    def delete(self, name: str, *, force: bool = False) -> None:
        """Delete it. Raises `Conflict` while connections use it, unless `force`."""
        self._http.delete(self._route(name), force="true" if force else None)

    def _route(self, name: str) -> str:
        return f"{_ROUTE}/{self[name]['id']}"
