"""`connect()` and the workspace it answers: where every other noun of the client hangs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from keyturn.client import profile as profiles
from keyturn.client.api_tokens import ApiTokens
from keyturn.client.audit import Audit
from keyturn.client.config import Config
from keyturn.client.connect_links import ConnectLinks
from keyturn.client.connections import Connections
from keyturn.client.destinations import Destinations
from keyturn.client.imports import ImportRun, Imports
from keyturn.client.members import Invitations, Members, Workspaces
from keyturn.client.notices import Notices
from keyturn.client.oauth_clients import OAuthClients
from keyturn.client.organisations import DeploymentOrganisation
from keyturn.client.profile import Profile
from keyturn.client.schedules import Schedule, Schedules
from keyturn.client.secrets import Secrets
from keyturn.client.settings import DeploymentSettings
from keyturn.client.tables import Table, Tables
from keyturn.client.transport import Transport
from keyturn.client.webhooks import Webhooks
from keyturn.errors import Invalid

if TYPE_CHECKING:
    import duckdb


class Workspace:
    """One workspace of one server, as the API token's owner sees it. Usable as a context manager."""

    def __init__(self, transport: Transport) -> None:
        self._http = transport
        self.url = transport.url
        self.clients = OAuthClients(transport)
        self.connections = Connections(transport)
        self.connect_links = ConnectLinks(transport)
        self.tables = Tables(transport)
        self.imports = Imports(transport)
        self.schedules = Schedules(transport)
        self.destinations = Destinations(transport)
        self.tokens = ApiTokens(transport)
        self.audit = Audit(transport)
        self.config = Config(transport)
        self.members = Members(transport)
        self.invitations = Invitations(transport)
        self.workspaces = Workspaces(transport)
        self.notices = Notices(transport)
        self.webhooks = Webhooks(transport)
        self.organisation = DeploymentOrganisation(transport)
        self.secrets = Secrets(transport)
        self.settings = DeploymentSettings(transport)

    def __repr__(self) -> str:
        return f"Workspace({self.url!r})"

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections to the server."""
        self._http.close()

    @property
    def me(self) -> dict[str, Any]:
        """Who the API token belongs to, and what it may do."""
        return dict(self._http.get("/me"))

    def doctor(self) -> dict[str, Any]:
        """Whether the deployment stands as it should, for Workspace Admins: `{"ok": …, "checks": […]}`."""
        return dict(self._http.get("/doctor", reached_at=self.url, clock=time.time()))

    def notify_me_about(self, which: str) -> None:
        """Which notices come by email: `mine`, `all` or `nothing`."""
        self._http.patch("/me", {"notify": which})

    def table(self, name: str) -> Table:
        """The table called `connection.table`. Raises `NotFound` with a suggestion."""
        return self.tables[name]

    def sql(
        self,
        query: str,
        *,
        since: Any = None,
        parameters: Mapping[str, Any] | None = None,
        allow_incomplete: bool = False,
    ) -> duckdb.DuckDBPyRelation:
        """The answer of one SELECT over tables called `connection.table`, as a DuckDB relation.

        It runs on this machine; only the tables and columns it needs are read. `parameters` are what its tables ask
        for: `{"year": 2025}` for all that ask for it, `{"acme.orders": {"year": 2025}}` for one; `since` alike, a
        value or `{"acme.orders": value}`. Raises `IncompleteData` if rows of one are missing, unless
        `allow_incomplete`.
        """
        from keyturn.client import sql

        return sql.run(self.tables, query, since=since, parameters=parameters, allow_incomplete=allow_incomplete)

    def run_import(
        self,
        table: str,
        *,
        to: str,
        mode: str = "replace",
        parameters: Mapping[str, Any] | None = None,
        partition_by: Sequence[str] = (),
        limit: int | None = None,
    ) -> ImportRun:
        """Begin an import on the server, into its file `to` (relative: in the workspace's own folder there).

        Or elsewhere: `to="Warehouse/orders"` is a table of the database, `to="Lake/orders.parquet"` an object of the
        bucket, that are the destination of that name. `parameters` are what the table asks for each time. With
        `partition_by`, for example `["country", "created_at:month"]`, `to` is a folder of Parquet files. With
        `limit` at most so many rows are read.
        """
        table_id, by = self.table(table).id, partition_by
        return self.imports.begin(table_id, to=to, mode=mode, parameters=parameters, partition_by=by, limit=limit)

    def schedule(self, table: str, *, to: str, every: str = "day", **fields: Any) -> Schedule:
        """Import a table again and again into a file on the server. `fields`: at, on, cron, timezone, mode, …

        With `partition_by`, for example `["country"]`, `to` is a folder of Parquet files.
        """
        return self.schedules.begin(self.table(table).id, to=to, every=every, **fields)


def connect(url: str | None = None, token: str | None = None, *, timeout_seconds: float = 300.0) -> Workspace:
    """The workspace of the profile that `keyturn login` saved, or of `KEYTURN_URL` and `KEYTURN_TOKEN`, or as given.

    Uses no network. `timeout_seconds` is how long one answer may stay silent. Raises `Unauthenticated` without a
    profile, `Invalid` for one that cannot be right.
    """
    if (url is None) != (token is None):
        raise Invalid("Give connect() both url and token, or neither.")
    if url is not None and token is not None:
        found = Profile(profiles.check_url(url), profiles.check_token(token))
    else:
        found = profiles.find()
    return Workspace(Transport(found, timeout_seconds=timeout_seconds))
