"""One expired grant and 50 callers that need it now: ours, and the shapes of other products on the same server."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import psycopg
from ground import replica, served
from replicas import CALLERS, Ask, Order, Pipe, Shape, asked, started

from keyturn.egress import Egress
from keyturn.model.connections import Connection
from keyturn.services import access_tokens
from keyturn.simulation import ground
from keyturn.simulation.authorization_server import AuthorizationServer
from keyturn.simulation.plan import Plan
from keyturn.storage.database import Database, Tx
from keyturn.wire import Headers, Request

REPLICAS = 25
# The number of the grant that everybody wants, at the server and among the connections.
WANTED = 0
LIFE_SECONDS = 1.0
OURS = Plan(life_seconds=LIFE_SECONDS, deadline_seconds=15.0, lease_seconds=25.0, wait_seconds=30.0, grace_seconds=0.0)
# A calm server answers after 0.4 to 0.7 of this.
SERVER = Plan(life_seconds=60.0, deadline_seconds=0.8, grace_seconds=0.0)
LOCK_SECONDS = 0.2


@dataclass
class Round:
    """What one round cost. `added`: the worst wait beyond the request itself, in seconds."""

    requests: int
    replays: int
    held: int
    added: float


async def measure(fresh_database: Callable[[], str], rounds: int) -> list[str]:
    shapes: dict[str, Shape] = {
        "Keyturn": ours,
        "a lock shorter than the answer": short_lock,
        "SELECT … FOR UPDATE over HTTP": for_update,
    }
    found: dict[str, list[Round]] = {name: [] for name in shapes}
    with started(REPLICAS) as pipes:
        for _ in range(rounds):
            # In turn, so that a busy moment of the machine is everybody's.
            for name, shape in shapes.items():
                found[name].append(await _round(pipes, shape, fresh_database()))
    best = statistics.median(one.added for one in found["Keyturn"])
    lines = []
    for name, each in found.items():
        added = statistics.median(one.added for one in each)
        requests, replays = max(one.requests for one in each), max(one.replays for one in each)
        held = max(one.held for one in each)
        lines.append(f"| {name} | {requests} | {replays} | {held} | {added * 1000:.0f} ms | {added / best:.2f} |")
    return lines


async def _round(pipes: list[Pipe], shape: Shape, url: str) -> Round:
    async with served(SERVER) as (server, server_url):
        prepare = _our_grants if shape is ours else _their_row
        connections = await prepare(url, server, server_url)
        server.weather = "calm"
        watching = asyncio.create_task(_held(url))
        told = await asked(pipes, shape, url, server_url, connections)
        watching.cancel()
        held = await watching
        posts = [post for post in server.issuer.ledger.posts if post.family == WANTED]
        replays = sum(post.did in {"replayed", "revoked"} for post in posts)
        return Round(len(posts), replays, held, max(told.waits) - told.request_seconds)


async def _our_grants(url: str, server: AuthorizationServer, server_url: str) -> list[Connection]:
    """The one that all will want, and one for each replica to begin with."""
    database, egress = Database(url), Egress(ground.door("bench"))
    signed_in = [server.issuer.sign_in(family, time.time()) for family in range(REPLICAS + 1)]
    try:
        return await ground.fill(OURS, replica(OURS, database, egress), server_url, signed_in)
    finally:
        await egress.close()
        await asyncio.to_thread(database.close)


@asynccontextmanager
async def ours(order: Order, egress: Egress) -> AsyncIterator[list[Ask]]:
    database = Database(order.url)
    ctx = replica(OURS, database, egress, f"r{order.number}")
    # A replica that has served anybody has its sessions open and has renewed a grant before.
    await asyncio.gather(*(database.read(_slow) for _ in range(CALLERS + 1)))
    await access_tokens.fresh(ctx, order.connections[1 + order.number])
    yield [partial(access_tokens.fresh, ctx, order.connections[WANTED])] * CALLERS
    await asyncio.to_thread(database.close)


def _slow(tx: Tx) -> None:
    """Opens a session, and holds it until the others are open too."""
    tx.exec_driver_sql("select pg_sleep(0.05)")


async def _their_row(url: str, server: AuthorizationServer, server_url: str) -> list[Connection]:
    _, refresh = server.issuer.sign_in(WANTED, time.time())
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as db:
        await db.execute("create table peer (token text, locked_until timestamptz default '-infinity')")
        await db.execute("insert into peer (token) values (%s)", (refresh,))
    return []


One = Callable[[psycopg.AsyncConnection, Egress, str], Awaitable[None]]


@asynccontextmanager
async def _peers(one: One, order: Order, egress: Egress) -> AsyncIterator[list[Ask]]:
    opened = [await psycopg.AsyncConnection.connect(order.url, autocommit=True) for _ in range(CALLERS)]
    yield [partial(one, db, egress, order.server_url) for db in opened]
    for db in opened:
        await db.close()


async def _with_short_lock(db: psycopg.AsyncConnection, egress: Egress, server_url: str) -> None:
    seen = await _row(db)
    while True:
        token = await _row(db)
        if token != seen:
            return
        taken = await db.execute(
            "update peer set locked_until = clock_timestamp() + make_interval(secs => %s) "
            "where locked_until < clock_timestamp()",
            (LOCK_SECONDS,),
        )
        if taken.rowcount == 1:
            new = await _redeem(egress, server_url, token)
            await db.execute("update peer set token = %s, locked_until = '-infinity'", (new or token,))
            return
        await asyncio.sleep(0.05)


async def _with_for_update(db: psycopg.AsyncConnection, egress: Egress, server_url: str) -> None:
    seen = await _row(db)
    async with db.transaction():
        found = await (await db.execute("select token from peer for update")).fetchone()
        if found is not None and found[0] == seen:
            new = await _redeem(egress, server_url, seen)
            await db.execute("update peer set token = %s", (new or seen,))


# A lock with a time to live below the request's: whoever finds it over refreshes too.
short_lock = partial(_peers, _with_short_lock)
# The row stays locked, and with it a session of the database for everybody who waits.
for_update = partial(_peers, _with_for_update)


async def _row(db: psycopg.AsyncConnection) -> str:
    found = await (await db.execute("select token from peer")).fetchone()
    assert found is not None
    return found[0]


async def _redeem(egress: Egress, server_url: str, token: str) -> str | None:
    headers = Headers((("Content-Type", "application/x-www-form-urlencoded"),))
    body = f"grant_type=refresh_token&refresh_token={token}".encode()
    answer = await egress.send(Request("POST", f"{server_url}/token", headers, body))
    return json.loads(answer.body).get("refresh_token")


async def _held(url: str) -> int:
    """The most sessions seen that stood in a transaction, waiting or idle, for a fifth of a second and more."""
    most = 0
    query = (
        "select count(*) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database() "
        "and xact_start < clock_timestamp() - interval '200 ms'"
    )
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as db:
        try:
            while True:
                found = await (await db.execute(query)).fetchone()
                most = max(most, found[0] if found else 0)
                await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            return most
