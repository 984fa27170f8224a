"""Connect links over HTTP (`ws.connect_links`): people outside sign in by a page, once; end users of a program too."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from keyturn.client.connections import Connection, Connections
from keyturn.client.oauth_clients import OAuthClients
from keyturn.client.transport import Transport
from keyturn.errors import UpstreamTimeout

_ROUTE = "/connect-links"
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 5.0


class ConnectLink:
    """One link. `url` opens it and is known to whoever made it alone, so `repr` leaves it out.

    `status`: pending, undecided (signed in, and the account waits to be accepted), completed, failed, expired, revoked.
    """

    def __init__(self, transport: Transport, found: Mapping[str, Any]) -> None:
        self._http = transport
        self.found = dict(found)
        self.id = str(found["id"])
        self.url: str | None = self.found.pop("url", None)

    def __repr__(self) -> str:
        return f"ConnectLink({self.id!r}, {self.status!r})"

    @property
    def status(self) -> str:
        """How it stood when it was last looked at."""
        return str(self.found["status"])

    @property
    def end_user(self) -> str | None:
        """Your own id of whom it is for."""
        return self.found.get("end_user")

    @property
    def account(self) -> str | None:
        """As whom somebody signed in, if the end system tells."""
        return self.found.get("account")

    @property
    def error(self) -> dict[str, Any] | None:
        """Why it failed: `code`, `message_code`, `message`."""
        return self.found.get("error")

    @property
    def connection(self) -> Connection:
        """The connection it is for."""
        return Connection(self._http, self._http.get(f"/connections/{self.found['connection_id']}"))

    def look(self) -> ConnectLink:
        """Ask how it stands now."""
        self.found = dict(self._http.get(f"{_ROUTE}/{self.id}"))
        return self

    def wait(self, *, timeout_seconds: float | None = None) -> ConnectLink:
        """Wait until it is not pending any more: it ends by itself after its time. Look at `status` then.

        Raises `UpstreamTimeout` after `timeout_seconds`; the link goes on.
        """
        started, pause = time.monotonic(), _FIRST_PAUSE_SECONDS
        while self.status == "pending":
            if timeout_seconds is not None and time.monotonic() - started > timeout_seconds:
                raise UpstreamTimeout(f"Nobody signed in within {timeout_seconds:g} s. The link goes on; wait() again.")
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
            self.look()
        return self

    def accept(self) -> ConnectLink:
        """Read with the account that somebody signed in as. Raises `Conflict` if that is not waited for."""
        self.found = dict(self._http.post(f"{_ROUTE}/{self.id}/accept"))
        return self

    def revoke(self) -> None:
        """Take it back; a sign-in that waits to be accepted is dropped. One that was used stays as it is."""
        self._http.delete(f"{_ROUTE}/{self.id}")


class Reconnect:
    """What became of one connection that a reconnect link was asked for; `found` is the API's object without `url`.

    `outcome`: sent, copied, skipped, not_made. `url` opens one that was not mailed, so `repr` leaves it out.
    """

    def __init__(self, found: Mapping[str, Any]) -> None:
        self.found = dict(found)
        self.url: str | None = self.found.pop("url", None)
        self.connection = str(found["connection"]["name"])
        self.outcome = str(found["outcome"])
        self.message = str(found["message"])

    def __repr__(self) -> str:
        return f"Reconnect({self.connection!r}, {self.outcome!r})"


class ConnectLinks:
    """Links of the last 90 days, newest first: one's own and those for one's connections; all for Workspace Admins."""

    def __init__(self, transport: Transport) -> None:
        self._http = transport

    def __repr__(self) -> str:
        return f"ConnectLinks({self._http.url})"

    def __iter__(self) -> Iterator[ConnectLink]:
        return (ConnectLink(self._http, found) for found in self.listed())

    def __getitem__(self, connect_link_id: str) -> ConnectLink:
        """The one of that id, for example as your return address was told it. Raises `NotFound`."""
        return ConnectLink(self._http, self._http.get(f"{_ROUTE}/{connect_link_id}"))

    def listed(
        self, *, connection: str | None = None, end_user: str | None = None, status: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """The JSON objects of the API; `connection` is a name."""
        connection_id = None if connection is None else Connections(self._http)[connection].id
        return self._http.pages(_ROUTE, connection_id=connection_id, end_user=end_user, status=status)

    def create(
        self, connection: str | None = None, *, client: str | None = None, end_user: str | None = None, **fields: Any
    ) -> ConnectLink:
        """A link for the connection of that name; or for an `end_user` on an OAuth 2.0 `client`, by its name, whose
        connection is made if it is not there. `fields`: `base_url`, `return_url`, `hold`, `expires_in_seconds`, …

        Raises `Invalid` naming the fields, `NotFound`, `Forbidden`.
        """
        body = {name: value for name, value in {**fields, "end_user": end_user}.items() if value is not None}
        if connection is not None:
            body["connection_id"] = Connections(self._http)[connection].id
        if client is not None:
            body["oauth_client_id"] = OAuthClients(self._http)[client]["id"]
        return ConnectLink(self._http, self._http.post(_ROUTE, body))

    def send_reconnect_links(self, *connections: str, client: str | None = None) -> list[Reconnect]:
        """Mail each owner of those connections a link to sign in again by; or of those on an OAuth 2.0 `client`, by its
        name, that need a reconnect or keep older scopes. Tells what became of each one.

        Raises `Invalid` unless it is one of the two, `NotFound`, `Forbidden`, `Conflict` where nobody signs in.
        """
        body: dict[str, Any] = {}
        if connections:
            known = Connections(self._http)
            body["connection_ids"] = [known[name].id for name in connections]
        if client is not None:
            body["oauth_client_id"] = OAuthClients(self._http)[client]["id"]
        return [Reconnect(found) for found in self._http.post(f"{_ROUTE}/reconnect", body)["data"]]
