"""Notices over HTTP (`ws.notices`): what is wrong now, and what was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keyturn.client.transport import Transport

_ROUTE = "/notices"


class Notices:
    """Episodes of trouble, newest first: `kind`, `subject`, `title`, `message`, `opened_at`, `closed_at`."""

    def __init__(self, transport: Transport) -> None:
        self._http = transport

    def __repr__(self) -> str:
        return f"Notices({self._http.url})"

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._http.pages(_ROUTE)

    @property
    def open(self) -> list[dict[str, Any]]:
        """Those that last."""
        return list(self._http.pages(_ROUTE, open="true"))
