"""Connections over HTTP (`ws.connections`): health, sign-ins, and raw calls whose token the caller never sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import httpx2

from keyturn.client.members import Members
from keyturn.client.names import pick
from keyturn.client.transport import Transport
from keyturn.errors import Invalid

_ROUTE = "/connections"


@dataclass(frozen=True, slots=True)
class Health:
    """How a connection is, as its caller sees it. Times are aware datetimes in UTC, None when not known.

    `works_until` is None while it renews itself; else it is when a person has to sign in again. `forecast` says why.
    """

    status: str
    account: str | None
    works_until: datetime | None
    detail: str | None = None
    since: datetime | None = None
    forecast: str | None = None


class Connection:
    """One connection. It is read when asked for, so `health` is today's; credentials are never in it."""

    def __init__(self, transport: Transport, found: Mapping[str, Any]) -> None:
        self._http = transport
        self.id = str(found["id"])
        self.name = str(found["name"])
        self.base_url = str(found["base_url"])

    def __repr__(self) -> str:
        return f"Connection({self.name!r}, base_url={self.base_url!r})"

    @property
    def route(self) -> str:
        """Its address under `/api/v1`."""
        return f"{_ROUTE}/{self.id}"

    @property
    def settings(self) -> dict[str, Any]:
        """The JSON object of the API, as it is now."""
        return dict(self._http.get(self.route))

    @property
    def health(self) -> Health:
        """How it is now."""
        return health_of(self.settings)

    @property
    def history(self) -> list[dict[str, Any]]:
        """Its timeline of 90 days, newest first."""
        return list(self.events())

    def events(self, show: str | None = None) -> Iterator[dict[str, Any]]:
        """The same a page at a time; `show` is `problems` or `sign_ins`."""
        return self._http.pages(f"{self.route}/events", show=show)

    def get(self, path: str, **request: Any) -> httpx2.Response:
        """`GET` at the end system through the connection; see `call`."""
        return self.call("GET", path, **request)

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | None = None,
    ) -> httpx2.Response:
        """The end system's own answer, whatever its status; only errors of Keyturn itself are raised.

        Methods other than GET and HEAD need an API token with `calls:write`.
        """
        if any(unquote(part) in {".", ".."} for part in path.partition("?")[0].split("/")):
            raise Invalid("A path stays under the Base URL: no . or .. in it.", at="path")
        sent = {"params": params, "headers": headers, "json": json, "content": content}
        with self._http.stream(method, f"{self.route}/proxy/{path.lstrip('/')}", foreign=True, **sent) as response:
            response.read()
        return response

    def test(self, path: str | None = None) -> dict[str, Any]:
        """Look at it step by step: `{"ok": …, "steps": […]}`."""
        return dict(self._http.post(f"{self.route}/test", {} if path is None else {"path": path}))

    def refresh(self) -> Health:
        """Renew its token set now. Raises `ReconnectNeeded` when the grant is dead."""
        return health_of(self._http.post(f"{self.route}/refresh"))

    def disconnect(self, *, revoke: bool = True) -> dict[str, Any]:
        """Destroy its grant here, and at the end system too unless told not to."""
        return dict(self._http.post(f"{self.route}/disconnect", {"revoke": revoke}))

    def delete(self) -> None:
        """Delete it with its grants and tables."""
        self._http.delete(self.route)

    @property
    def shares(self) -> list[dict[str, Any]]:
        """With whom it is shared: `member`, `rights`, `with_credentials`."""
        return list(self._http.pages(f"{self.route}/shares"))

    def share(self, member: str, *, rights: str | None = None, with_credentials: bool | None = None) -> dict[str, Any]:
        """Share it with a member (name, e-mail address or id), or change that. With its credentials they read as its
        account, without them as one of their own. Raises `Forbidden` where it is not the caller's to share.
        """
        sent = {"rights": rights, "with_credentials": with_credentials}
        body = {name: value for name, value in sent.items() if value is not None}
        return dict(self._http.put(f"{self.route}/shares/{Members(self._http)[member]['id']}", body))

    def unshare(self, member: str) -> None:
        """Take a share back; their own sign-in on it ends too."""
        self._http.delete(f"{self.route}/shares/{Members(self._http)[member]['id']}")

    def begin_sign_in(self) -> SignIn:
        """Begin a sign-in: a person opens `start_url` in a browser. None: a code is entered elsewhere (`device`), or
        the client asked for itself and nobody is waited for: `look`.
        """
        return SignIn(self._http, self._http.post(f"{self.route}/authorizations"))


class SignIn:
    """One attempt to sign in. Its link is for a person's browser, so `repr` leaves it out."""

    def __init__(self, transport: Transport, begun: Mapping[str, Any]) -> None:
        self._http = transport
        self.id = str(begun["id"])
        self.start_url: str | None = begun.get("start_url")
        self.expires_at = moment(begun["expires_at"])
        self.device: dict[str, str | None] | None = begun.get("device")

    def __repr__(self) -> str:
        return f"SignIn({self.id!r})"

    def look(self) -> dict[str, Any]:
        """How it stands: `status` is pending, completed, failed or expired; `error` says why it failed."""
        return dict(self._http.get(f"/authorizations/{self.id}"))

    def decide(self, *, switch: bool) -> dict[str, Any]:
        """After a sign-in as another account than before: read as it from now on, or keep the old one."""
        return dict(self._http.post(f"/authorizations/{self.id}/decide", {"switch": switch}))


class Connections:
    """The connections the caller may see, found by name."""

    def __init__(self, transport: Transport) -> None:
        self._http = transport

    def __repr__(self) -> str:
        return f"Connections({self._http.url})"

    def __iter__(self) -> Iterator[Connection]:
        return (Connection(self._http, found) for found in self.listed())

    def __getitem__(self, name: str) -> Connection:
        """The one of that name. Raises `NotFound` with a suggestion."""
        return Connection(self._http, pick(self.listed(), name, what="connection"))

    def listed(self, *, end_user: str | None = None, status: str | None = None) -> Iterator[dict[str, Any]]:
        """The JSON objects of the API, page after page: all, an end user's, or those in a state. Raises `Invalid`."""
        return self._http.pages(_ROUTE, end_user=end_user, status=status)

    def create(self, settings: Mapping[str, Any]) -> Connection:
        """Make one. Raises `Invalid` naming the fields, `Conflict` when the name is taken."""
        return Connection(self._http, self._http.post(_ROUTE, settings))


def health_of(found: Mapping[str, Any]) -> Health:
    """The health in a connection's JSON object."""
    until = None if found.get("refresh_token_prolonged") else found.get("refresh_token_expires_at")
    if until is None and found.get("has_refresh_token") is False:
        until = found.get("access_token_expires_at")
    return Health(
        status=str(found["status"]),
        account=found.get("account"),
        works_until=moment(until),
        detail=found.get("status_detail"),
        since=moment(found.get("status_since")),
        forecast=found.get("forecast"),
    )


def moment(text: str | None) -> datetime | None:
    """An RFC 3339 time of the API."""
    return None if text is None else datetime.fromisoformat(text)
