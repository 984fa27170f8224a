"""Schedules over HTTP (`ws.schedules`): import a table again and again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from keyturn.client.connections import moment
from keyturn.client.imports import destination_of
from keyturn.client.names import pick
from keyturn.client.transport import Transport

_ROUTE = "/schedules"


class Schedule:
    """One schedule. `found` is the JSON object of the API as it was last seen."""

    def __init__(self, transport: Transport, found: Mapping[str, Any]) -> None:
        self._http = transport
        self.found = dict(found)

    def __repr__(self) -> str:
        return f"Schedule({self.name!r}, {self.found['words']!r}, status={self.found['status']!r})"

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.found["id"])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.found["name"])

    @property
    def next_runs(self) -> list[datetime]:
        """The next five moments, aware and in UTC; none while it is paused."""
        return [at for text in self.found["next_runs"] if (at := moment(text)) is not None]

    def change(self, **fields: Any) -> Schedule:
        """Change settings (JSON merge patch). Raises `Invalid`, `Forbidden`."""
        self.found = dict(self._http.patch(f"{_ROUTE}/{self.id}", fields))
        return self

    def pause(self) -> Schedule:
        """Queue nothing until it is resumed; what it misses meanwhile is not made up for."""
        return self.change(paused=True)

    def resume(self) -> Schedule:
        """Go on from now."""
        return self.change(paused=False)

    def delete(self) -> None:
        """Delete it; imports it asked for stay."""
        self._http.delete(f"{_ROUTE}/{self.id}")


class Schedules:
    """The schedules the caller may see, found by name or id."""

    def __init__(self, transport: Transport) -> None:
        self._http = transport

    def __repr__(self) -> str:
        return f"Schedules({self._http.url})"

    def __iter__(self) -> Iterator[Schedule]:
        return (Schedule(self._http, found) for found in self._http.pages(_ROUTE))

    def __getitem__(self, name: str) -> Schedule:
        """The one of that name or id. Raises `NotFound` with a suggestion."""
        found = pick(self._http.pages(_ROUTE), name, what="schedule")
        return Schedule(self._http, self._http.get(f"{_ROUTE}/{quote(str(found['id']), safe='')}"))

    def begin(
        self, table_id: str, *, to: str, every: str = "day", partition_by: Sequence[str] = (), **fields: Any
    ) -> Schedule:
        """Make one for a table; `to` is a file on the server, or `Database/table`; with `partition_by` a folder.

        `fields` as in the API: at, on, cron, timezone, …
        """
        where = destination_of(self._http, to, partition_by)
        body = {"table_id": table_id, "destination": where, "every": every, **fields}
        return Schedule(self._http, self._http.post(_ROUTE, body))
