"""The audit log over HTTP (`ws.audit`): entries, the export, and the proof of its chain, computed on this side."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2

from keyturn.client.transport import Transport
from keyturn.errors import Unavailable
from keyturn.model.audit import Chain, verify

_ROUTE = "/audit"


class Audit:
    """Audit entries are the JSON objects of the API: `seq`, `at`, `who`, `from`, `verb`, `result`, `details`, …"""

    def __init__(self, transport: Transport) -> None:
        self._http = transport

    def __repr__(self) -> str:
        return f"Audit({self._http.url})"

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self.newest()

    def newest(self, **wanted: str | int | None) -> Iterator[dict[str, Any]]:
        """Entries, newest first; narrowed by `actor_id`, `subject_id`, `verb`, `since`, `until` (RFC 3339)."""
        return self._http.pages(_ROUTE, **wanted)

    @property
    def head(self) -> tuple[int, str]:
        """(number, hash) of the newest entry; kept elsewhere, it proves later that nothing was cut off."""
        found = self._http.get(f"{_ROUTE}/head")
        return int(found["seq"]), str(found["hash"])

    def export(self, *, after_seq: int = 0) -> Iterator[str]:
        """The chain in order, a JSON line each. Raises `Unavailable` when it was cut off on its way."""
        with self._http.stream("GET", f"{_ROUTE}/export", params={"after_seq": after_seq}) as response:
            try:
                yield from (line for line in response.iter_lines() if line)
            except httpx2.TransportError:
                raise Unavailable("The export was cut off on its way. Try again.") from None

    def verify(self, *, expected: tuple[int, str] | None = None) -> Chain:
        """Walk the whole chain here, up to the head the server names; `expected` is a head noted earlier."""
        head = self.head
        chain = verify(lines_of(self.export()), expected=expected)
        if chain.whole and head[0] and chain.head_seq < head[0]:
            return Chain(
                chain.entries,
                chain.first_seq,
                chain.head_seq,
                chain.head_hash,
                chain.head_seq + 1,
                "the end is missing",
            )
        return chain


def lines_of(text: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Each line as an object; what is not one becomes an empty one, which breaks the chain there."""
    for line in text:
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        yield found if isinstance(found, dict) else {}
