"""API tokens over HTTP (`ws.tokens`): how programs speak to Keyturn. A token itself is answered once, when made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from keyturn import redaction
from keyturn.client.names import pick
from keyturn.client.transport import Transport

_ROUTE = "/tokens"


class NewApiToken(dict[str, Any]):
    """A token just made. Its item `token` is the only time it is shown, and `repr` leaves it out."""

    def __repr__(self) -> str:
        return f"NewApiToken({ ({k: v for k, v in self.items() if k != 'token'})!r})"

    __str__ = __repr__


class ApiTokens:
    """The caller's API tokens, found by name or id. Values are the JSON objects of the API."""

    def __init__(self, transport: Transport) -> None:
        self._http = transport

    def __repr__(self) -> str:
        return f"ApiTokens({self._http.url})"

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._http.pages(_ROUTE)

    def __getitem__(self, name: str) -> dict[str, Any]:
        """The one of that name or id. Raises `NotFound` with a suggestion."""
        return pick(self, name, what="API token")

    def create(
        self,
        name: str,
        permissions: Sequence[str] = (),
        *,
        expires_in_days: int | None = 90,
        account_id: str | None = None,
        workspace_id: str | None = None,
    ) -> NewApiToken:
        """Make one; without `permissions` it gets the server's usual three. Raises `Invalid`, `Forbidden`.

        `account_id`: a service account's, to make it for that; `workspace_id`: another workspace of the caller's.
        """
        body: dict[str, Any] = {"name": name, "expires_in_days": expires_in_days}
        if permissions:
            body["permissions"] = list(permissions)
        body |= {"account_id": account_id} if account_id else {}
        body |= {"workspace_id": workspace_id} if workspace_id else {}
        made = NewApiToken(self._http.post(_ROUTE, body))
        redaction.remember(made.get("token"))
        return made

    def revoke(self, name: str) -> None:
        """Revoke it by name or id; programs that use it are refused from now on."""
        self._http.delete(f"{_ROUTE}/{self[name]['id']}")
