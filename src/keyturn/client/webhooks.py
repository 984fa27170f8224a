"""Webhooks over HTTP (`ws.webhooks`): addresses of other programs that are told of events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from keyturn.client.names import pick
from keyturn.client.transport import Transport

_ROUTE = "/webhooks"


class Webhooks:
    """The workspace's webhooks as the JSON objects of the API, found by name. Workspace Admins."""

    def __init__(self, transport: Transport) -> None:
        self._http = transport

    def __repr__(self) -> str:
        return f"Webhooks({self._http.url})"

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._http.pages(_ROUTE)

    def __getitem__(self, name: str) -> dict[str, Any]:
        """The one of that name. Raises `NotFound` with a suggestion."""
        return pick(self, name, what="webhook")

    def create(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Make one from `name`, `url` and `events`; `secret` is in this answer alone."""
        return dict(self._http.post(_ROUTE, settings))

    def update(self, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change it by JSON merge patch."""
        return dict(self._http.patch(self._route(name), changes))

    def delete(self, name: str) -> None:
        """Delete it with its messages."""
        self._http.delete(self._route(name))

    def replace_secret(self, name: str) -> dict[str, Any]:
        """A new `secret`, in this answer alone; the old one signs beside it for a day."""
        return dict(self._http.post(f"{self._route(name)}/secret"))

    def test(self, name: str) -> dict[str, Any]:
        """Send a test message; `deliveries` says how it went."""
        return dict(self._http.post(f"{self._route(name)}/test"))

    def deliveries(self, name: str) -> Iterator[dict[str, Any]]:
        """Its messages and how they went, newest first."""
        return self._http.pages(f"{self._route(name)}/deliveries")

    def retry(self, name: str, delivery_id: str) -> None:
        """Send a message that was given up once more."""
        self._http.post(f"{self._route(name)}/deliveries/{delivery_id}/retry")

    def _route(self, name: str) -> str:
        return f"{_ROUTE}/{self[name]['id']}"
