"""Signing in with the organisation over HTTP (`ws.organisation`): one for the deployment. Workspace Admins."""

from __future__ import annotations

from typing import Any

from keyturn.client.transport import Transport

_ROUTE = "/organisation"


class DeploymentOrganisation:
    """The OpenID Connect issuer that people sign in to Keyturn with."""

    def __init__(self, transport: Transport) -> None:
        self._http = transport

    def __repr__(self) -> str:
        return f"DeploymentOrganisation({self._http.url})"

    @property
    def found(self) -> dict[str, Any]:
        """The JSON object of the API. Raises `NotFound` where none is set up."""
        return dict(self._http.get(_ROUTE))

    def set(self, name: str, *, issuer: str, client_id: str, client_secret: str | None = None) -> dict[str, Any]:
        """Set it up or change it; without `client_secret` the old one stays. Raises `Invalid` naming the field."""
        body = {"name": name, "issuer": issuer, "client_id": client_id}
        return dict(self._http.put(_ROUTE, body if client_secret is None else {**body, "client_secret": client_secret}))

    def remove(self) -> None:
        """Nobody signs in by it any more; whoever is signed in stays so."""
        self._http.delete(_ROUTE)
