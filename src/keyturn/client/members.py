"""Members, invitations and workspaces over HTTP (`ws.members`, `ws.invitations`, `ws.workspaces`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from keyturn import redaction
from keyturn.client.names import pick
from keyturn.client.transport import Transport


class _Listed:
    """Things of one route, found by name or id. Values are the JSON objects of the API."""

    route = ""
    what = ""
    key = "name"

    def __init__(self, transport: Transport) -> None:
        self._http = transport

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._http.url})"

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._http.pages(self.route)

    def __getitem__(self, name: str) -> dict[str, Any]:
        """The one of that name or id. Raises `NotFound` with a suggestion."""
        return pick(self, name, what=self.what, key=self.key)

    def _of(self, name: str) -> str:
        return f"{self.route}/{self[name]['id']}"


class Link(dict[str, Any]):
    """An answer whose item `url` is shown this once; `repr` leaves it out."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        super().__init__(answer)
        redaction.remember(str(answer.get("url", "")).rpartition("/")[2])

    def __repr__(self) -> str:
        return f"Link({ ({k: v for k, v in self.items() if k != 'url'})!r})"

    __str__ = __repr__


class Members(_Listed):
    """Everybody in the workspace; people are found by e-mail address too."""

    route = "/members"
    what = "member"

    def __getitem__(self, name: str) -> dict[str, Any]:
        """The one of that name, e-mail address or id. Raises `NotFound` with a suggestion."""
        found = list(self)
        by_email = next((m for m in found if (m["email"] or "").casefold() == name.casefold()), None)
        return by_email or pick(found, name, what=self.what)

    def change_role(self, name: str, role: str) -> dict[str, Any]:
        """Give a member another role: admin, editor or viewer."""
        return dict(self._http.patch(self._of(name), {"role": role}))

    def dependents(self, name: str) -> list[dict[str, Any]]:
        """The connections that depend on a member."""
        return list(self._http.pages(f"{self._of(name)}/dependents"))

    def remove(self, name: str, removal: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Remove a member; `removal` says what becomes of each connection. Raises `Conflict` while it does not."""
        return list(self._http.post(f"{self._of(name)}/removal", removal)["connections"])

    def password_link(self, name: str) -> Link:
        """A link to a new password, for an hour."""
        return Link(self._http.post(f"{self._of(name)}/password-link"))

    def reset_second_factor(self, name: str) -> None:
        """Take away the second factor of somebody who lost it; they sign in anew by password."""
        self._http.delete(f"{self._of(name)}/second-factor")

    def create_service_account(self, name: str, role: str) -> dict[str, Any]:
        """An account for programs."""
        return dict(self._http.post("/service-accounts", {"name": name, "role": role}))


class Invitations(_Listed):
    """The open invitations, found by e-mail address."""

    route = "/invitations"
    what = "invitation"
    key = "email"

    def create(self, email: str, role: str) -> Link:
        """Invite somebody; the link works once, for seven days."""
        return Link(self._http.post(self.route, {"email": email, "role": role}))

    def revoke(self, email: str) -> None:
        """Take one back."""
        self._http.delete(self._of(email))


class Workspaces(_Listed):
    """The workspaces the API token's owner is in."""

    route = "/workspaces"
    what = "workspace"

    def create(self, name: str) -> dict[str, Any]:
        """Another workspace, empty."""
        return dict(self._http.post(self.route, {"name": name}))

    def rename(self, name: str, new_name: str) -> dict[str, Any]:
        """Another name for the API token's workspace."""
        return dict(self._http.patch(self._of(name), {"name": new_name}))

    def require_second_factor(self, name: str, required: bool = True) -> dict[str, Any]:
        """Want a second factor of everybody who signs in to the API token's workspace by password, or not."""
        return dict(self._http.patch(self._of(name), {"requires_second_factor": required}))

    def limit_endpoints(self, name: str, most: int | None) -> dict[str, Any]:
        """How many tables a connection of the API token's workspace may have; None: any number."""
        return dict(self._http.patch(self._of(name), {"endpoints_per_connection": most}))

    def delete(self, name: str) -> None:
        """Delete the API token's workspace with everything in it."""
        found = self[name]
        self._http.delete(f"{self.route}/{found['id']}", name=found["name"])
