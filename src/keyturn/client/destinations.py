"""Destinations over HTTP (`ws.destinations`): databases and buckets that imports may write to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from keyturn.client.names import pick
from keyturn.client.transport import Transport

_ROUTE = "/destinations"


class Destinations:
    """The workspace's destinations as the JSON objects of the API, found by name. Workspace Admins make them."""

    def __init__(self, transport: Transport) -> None:
        self._http = transport

    def __repr__(self) -> str:
        return f"Destinations({self._http.url})"

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._http.pages(_ROUTE)

    def __getitem__(self, name: str) -> dict[str, Any]:
        """The one of that name. Raises `NotFound` with a suggestion."""
        return pick(self, name, what="destination")

    def create(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Make one from `name`, `url` and `password`, which is never shown again.

        A bucket has `type="s3"`, `url="s3://bucket/folder"`, `access_key_id`, the secret access key as `password`, and
        `region`, `endpoint` and `addressing` where they are not the usual ones. One of Google has `type="gcs"`,
        `url="gs://bucket/folder"`, and the key file of a service account (JSON text) as `password`. One of Azure has
        `type="azure"`, `url="az://container/folder"`, `account`, and the account's key or a SAS token as `password`.
        """
        return dict(self._http.post(_ROUTE, settings))

    def update(self, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change it by JSON merge patch; the password is asked for again when the address changes."""
        return dict(self._http.patch(self._route(name), changes))

    def delete(self, name: str) -> None:
        """Delete it; what was written stays."""
        self._http.delete(self._route(name))

    def test(self, name: str) -> dict[str, Any]:
        """Reach it and do what an import would; `sentence` says what came of it. Raises what stands in the way."""
        return dict(self._http.post(f"{self._route(name)}/test"))

    def _route(self, name: str) -> str:
        return f"{_ROUTE}/{self[name]['id']}"
