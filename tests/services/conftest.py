"""A workspace of two people without a server: verbs are called with a context, on both databases, at a clock of ours."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from keyturn.egress import AllowList, Egress, EgressSettings, MailSettings
from keyturn.encryption import Keyring
from keyturn.model.accounts import Account, Workspace
from keyturn.model.permissions import grantable_to
from keyturn.model.tables import TableSettings
from keyturn.model.validation import parse
from keyturn.services import connections, oauth_clients
from keyturn.services.context import Actor, Context, Deployment, RefreshTimes
from keyturn.storage import accounts as account_rows
from keyturn.storage import tables as table_rows
from keyturn.storage.database import Database
from postbox import Postbox
from refreshing import Field
from token_server import TokenServer

NOW = 1_800_000_000.0
CLIENT = {
    "name": "Acme CRM", "authentication_type": "rest_api_oauth2_auth_code", "client_id": "id",
    "client_secret": "a client secret", "authorization_url": "https://acme.example/authorize",
    "token_url": "https://acme.example/token", "scopes": "read offline_access",
    "access_token_expires_in": 3_600_000, "refresh_token_expires_in": 0,
}  # fmt: skip


@dataclass
class Place:
    """`ana` is the Workspace Admin, `li` an editor; `clock` is what their contexts read."""

    ana: Context
    li: Context
    database: Database
    clock: list[float] = field(default_factory=list)

    def run(self, verb, *arguments, **named):
        return self.database.run_now(verb, *arguments, **named)

    async def client(self, **changes):
        return await oauth_clients.create(self.ana, {**CLIENT, **changes})

    async def connection(self, ctx: Context | None = None, client=None, **changes):
        client = client or await self.client()
        body = {"name": "acme", "base_url": "https://acme.example/v1", "access": "only_me",
                "auth": {"type": "oauth2", "oauth_client_id": client.id}, **changes}  # fmt: skip
        return await connections.create(ctx or self.ana, body)

    async def table(self, connection, table_id: str = "tb_1", **changes):
        """Put in without asking the API."""
        told = {"rows_path": "$.data", "pagination": {"type": "none"}, **changes}
        settings = parse(TableSettings, {"connection_id": connection.id, "name": "orders", "path": "/orders", **told})
        values = {"id": table_id, "connection_id": connection.id, "name": settings.name, "evidence": [],
                  "settings": settings.model_dump(mode="json"), "created_at": NOW, "updated_at": NOW}  # fmt: skip
        self.run(table_rows.insert, "ws_1", values)
        return self.run(table_rows.get, "ws_1", table_id)


@pytest.fixture
async def place(database, tmp_path):
    clock = [NOW]

    def write(tx) -> None:
        account_rows.insert_workspace(tx, Workspace("ws_1", "Northwind"), NOW)
        for name, role in (("ana", "admin"), ("li", "editor")):
            account_rows.insert_account(tx, Account(f"ac_{name}", name.title(), f"{name}@example.com", NOW), "hash")
            account_rows.insert_member(tx, "ws_1", f"ac_{name}", role, NOW)

    database.run_now(write)
    egress = Egress(EgressSettings(allowed=AllowList.parse("127.0.0.1")))
    deployment = Deployment("https://data.example.com", tmp_path, "replica-1")
    ana = Actor("ac_ana", "Ana", "ana@example.com", "admin", grantable_to("admin"))
    ctx = Context(ana, "ws_1", database, egress, Keyring([b"k" * 32]), deployment, lambda: clock[0])
    li = Actor("ac_li", "Li", "li@example.com", "editor", grantable_to("editor"))
    yield Place(ctx, replace(ctx, actor=li), database, clock)
    await egress.close()


@pytest.fixture
def box():
    with Postbox() as made:
        yield made


@pytest.fixture
async def mailed(place, box):
    """The same place with a mail server."""
    allowed = AllowList.parse("127.0.0.1")
    settings = MailSettings.parse(box.url, "keyturn@data.example.com", allowed)
    egress = Egress(EgressSettings(allowed=allowed, mail=settings))
    place.ana, place.li = replace(place.ana, egress=egress), replace(place.li, egress=egress)
    yield place
    await egress.close()


@pytest.fixture
async def acme(place):
    async with TokenServer() as server:
        times = RefreshTimes(deadline_seconds=1.0, lease_seconds=2.0, wait_seconds=4.0)
        ctx = replace(place.ana, clock=place.database.clock, deployment=replace(place.ana.deployment, refresh=times))
        body = {"name": "Acme CRM", "authentication_type": "rest_api_oauth2_auth_code", "client_id": "id",
                "client_secret": "a client secret", "authorization_url": f"{server.url}/authorize", "token_url": server.url,
                "scopes": "read", "access_token_expires_in": 3_600_000, "refresh_token_expires_in": 0,
                "advanced": {"token": {"auth": "post"}}}  # fmt: skip
        client = await oauth_clients.create(ctx, body)
        yield Field(ctx, server, client)
