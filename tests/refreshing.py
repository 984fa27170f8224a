"""One OAuth client, its connections and their token endpoint, seen by any number of replicas, while time passes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import sqlalchemy as sa

from keyturn.jobs.refreshes import GrantKeeper
from keyturn.model.grants import Grant
from keyturn.oauth.tokens import TokenSet
from keyturn.services import connections, events, grants, oauth_clients, refreshes, renewals
from keyturn.services.context import Context
from keyturn.storage import grants as grant_rows
from keyturn.storage.database import metadata
from token_server import TokenServer

TIMES = {
    "grants": ("access_expires_at", "hard_at", "refresh_after", "refresh_expires_at", "lease_until", "next_attempt_at", "last_ok_at"),
    "refresh_attempts": ("deadline", "ended_at"),
    "token_hosts": ("open_until", "probe_until"),
    "incidents": ("next_probe_at",),
    "oauth_clients": ("updated_at",),
    "token_generations": ("at",),
}  # fmt: skip


@dataclass
class Field:
    """One client and its connections at a token endpoint, seen by any number of replicas."""

    ctx: Context
    server: TokenServer
    client: object
    made: list = field(default_factory=list)

    def replica(self, name: str) -> Context:
        return replace(self.ctx, deployment=replace(self.ctx.deployment, owner=name))

    async def signed_in(self, name: str = "acme", *, life: float = 3600.0, refresh_token: bool = True, **extra):
        body = {"name": name, "base_url": "https://acme.example/v1", "access": "only_me",
                "auth": {"type": "oauth2", "oauth_client_id": self.client.id}}  # fmt: skip
        connection = await connections.create(self.ctx, body)
        token = self.server.issue(name) if refresh_token else None
        tokens = TokenSet("at-same" if self.server.same_token else f"at-{name}-0", "Bearer", life, token, **extra)
        registration = await oauth_clients.registration(self.ctx, self.client.id)

        def write(tx):
            grants.store_new(tx, self.ctx, registration, tokens, connection=connection, account_id=None,
                             requested_at=self.ctx.clock(), scopes_requested=["read"], account="jane@acme.example")  # fmt: skip

        await self.ctx.database.run(write)
        self.made.append(connection)
        return connection

    def grant(self, connection) -> Grant:
        return self.ctx.database.run_now(grant_rows.of_connection, self.ctx.workspace_id, connection.id, None)

    def rows(self, table: str) -> list:
        return self.ctx.database.run_now(
            lambda tx: [row._mapping for row in tx.execute(sa.select(metadata.tables[table]))]
        )

    def later(self, seconds: float) -> None:
        """So much time passes, for everything that is written down."""

        def write(tx):
            for name, columns in TIMES.items():
                table = metadata.tables[name]
                tx.execute(table.update().values({column: table.c[column] - seconds for column in columns}))

        self.ctx.database.run_now(write)
        for connection in self.made:
            self.ctx.database.wakeups.wake(connection.id)

    async def status(self, connection) -> tuple[str, str | None]:
        found = await connections.get(self.ctx, connection.id)
        return found.status, found.status_detail

    async def kinds(self, subject) -> list[str]:
        return [event.kind for event in await events.of_subject(self.ctx, subject.id)]

    async def kept(self, ctx: Context | None = None) -> None:
        """One look of a keeper, until what it began has ended."""
        keeper = GrantKeeper(ctx or self.ctx)
        await keeper.look()
        if keeper._running:
            await asyncio.wait(keeper._running)

    async def landed(self) -> None:
        """What runs in the background has ended."""
        if refreshes._flights:
            await asyncio.wait(refreshes._flights.values())

    async def crashed(self, connection, *, answered: bool = True):
        """A replica took the lease and sent, and died before it stored the answer."""
        dead, grant = self.replica("dead"), self.grant(connection)
        lease = self.ctx.database.run_now(refreshes.take, dead, connection, grant, "due")
        if answered:
            registration = await oauth_clients.registration(dead, self.client.id)
            await renewals.ask(dead, registration, grant, timeout_seconds=5)
        return lease
