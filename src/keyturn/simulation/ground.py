"""A deployment made for the simulation: a workspace, an OAuth client, connections that are signed in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from keyturn.egress import AllowList, Egress, EgressSettings
from keyturn.encryption import Keyring
from keyturn.errors import Conflict
from keyturn.model.accounts import Account, Workspace
from keyturn.model.connections import Connection
from keyturn.model.permissions import grantable_to
from keyturn.oauth.tokens import TokenSet
from keyturn.services import connections, grants, oauth_clients
from keyturn.services.context import Actor, Context, Deployment, RefreshTimes
from keyturn.simulation.authorization_server import TOKEN_PATH
from keyturn.simulation.plan import Plan
from keyturn.storage import accounts as account_rows
from keyturn.storage import backups
from keyturn.storage.database import Database
from keyturn.storage.migrate import migrate

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

WORKSPACE = "ws_simulation"
_ACTOR = Actor("ac_simulation", "Ana", "ana@example.com", "admin", grantable_to("admin"))


def context(plan: Plan, database: Database, egress: Egress, key: bytes, *, owner: str, data_dir: Path) -> Context:
    """The surroundings of the product's verbs, with the plan's deadlines, at the database's clock as in a server."""
    times = RefreshTimes(plan.deadline_seconds, plan.lease_seconds, plan.wait_seconds)
    deployment = Deployment("http://localhost", data_dir, owner, refresh=times)
    keyring = Keyring([key])
    return Context(_ACTOR, WORKSPACE, database, egress, keyring, deployment, database.clock)


def door(agent: str) -> EgressSettings:
    """What the workers may reach; `agent` tells the authorization server who asks."""
    return EgressSettings(allowed=AllowList.parse("127.0.0.1"), user_agent=agent)


async def fill(plan: Plan, ctx: Context, server_url: str, tokens: list[tuple[str, str]]) -> list[Connection]:
    """Put everything into an empty database: connection number n holds the grant of family n.

    Raises `Conflict` when the database is not empty.
    """
    if not ctx.database.run_now(backups.is_fresh):
        raise Conflict("The simulation fills the database it is given. Give it an empty one, and drop it afterwards.")
    migrate(ctx.database)
    ctx.database.run_now(_people, ctx.clock())
    client = await oauth_clients.create(
        ctx,
        {
            "name": "Simulated", "client_id": "simulated", "client_secret": "a simulated secret",
            "authorization_url": f"{server_url}/authorize", "token_url": server_url + TOKEN_PATH,
            "access_token_expires_in": int(plan.life_seconds * 1000), "advanced": {"token": {"auth": "post"}},
        },
    )  # fmt: skip
    registration = await oauth_clients.registration(ctx, client.id)
    made = []
    for number, (access, refresh) in enumerate(tokens):
        settings = {"name": f"c{number}", "base_url": server_url, "access": "shared_account",
                    "auth": {"type": "oauth2", "oauth_client_id": client.id}}  # fmt: skip
        connection = await connections.create(ctx, settings)
        await ctx.database.run(
            grants.store_new,
            ctx,
            registration,
            TokenSet(access, expires_in_seconds=plan.life_seconds, refresh_token=refresh),
            connection=connection,
            account_id=None,
            requested_at=ctx.clock(),
            scopes_requested=(),
            account=None,
        )
        made.append(connection)
    return made


def _people(tx: Tx, now: float) -> None:
    account_rows.insert_workspace(tx, Workspace(WORKSPACE, "Simulated"), now)
    account_rows.insert_account(tx, Account(_ACTOR.account_id, _ACTOR.name, _ACTOR.email, now), "")
    account_rows.insert_member(tx, WORKSPACE, _ACTOR.account_id, "admin", now)
