"""Secrets over HTTP (`ws.secrets`): values that tables name as `{{secret:NAME}}` and nobody reads back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from keyturn import redaction
from keyturn.client.transport import Transport

_ROUTE = "/secrets"


class Secrets:
    """The workspace's secrets as the JSON objects of the API, without their values. Saved by Workspace Admins."""

    def __init__(self, transport: Transport) -> None:
        self._http = transport

    def __repr__(self) -> str:
        return f"Secrets({self._http.url})"

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._http.pages(_ROUTE)

    def put(self, name: str, value: str, *, allowed_hosts: Sequence[str]) -> dict[str, Any]:
        """Save one, or another value for it; it is sent to `allowed_hosts` alone."""
        redaction.remember(value)
        body = {"value": value, "allowed_hosts": list(allowed_hosts)}
        return dict(self._http.put(f"{_ROUTE}/{quote(name, safe='')}", body))

    def delete(self, name: str) -> None:
        """Delete one that no table names any more. Raises `Conflict` naming those that do."""
        self._http.delete(f"{_ROUTE}/{quote(name, safe='')}")
