"""One expired grant and 50 callers that need it now: ours, and the shapes of other products on the same server."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import psycopg
from ground import one_grant, replica, served

from keyturn.egress import Egress
from keyturn.services import access_tokens
from keyturn.simulation import ground
from keyturn.simulation.authorization_server import AuthorizationServer
from keyturn.simulation.plan import Plan
from keyturn.storage.database import Database, Tx
from keyturn.wire import Headers, Request, Response

REPLICAS, CALLERS = 25, 2
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


class Timed(Egress):
    """The door out with a watch on token requests."""

    longest = 0.0

    async def send(self, request: Request, **limits: object) -> Response:
        began_at = time.monotonic()
        response = await super().send(request, **limits)
        Timed.longest = max(Timed.longest, time.monotonic() - began_at)
        return response


async def measure(fresh_database: Callable[[], str], rounds: int) -> list[str]:
    shapes = {
        "Keyturn": ours,
        "a lock shorter than the answer": short_lock,
        "SELECT … FOR UPDATE over HTTP": for_update,
    }
    found: dict[str, list[Round]] = {}
    for name, shape in shapes.items():
        found[name] = [await _round(shape, fresh_database()) for _ in range(rounds)]
    best = statistics.median(one.added for one in found["Keyturn"])
    lines = []
    for name, each in found.items():
        added = statistics.median(one.added for one in each)
        requests, replays = max(one.requests for one in each), max(one.replays for one in each)
        held = max(one.held for one in each)
        lines.append(f"| {name} | {requests} | {replays} | {held} | {added * 1000:.0f} ms | {added / best:.2f} |")
    return lines


Shape = Callable[[str, AuthorizationServer, str], Awaitable[tuple[list[float], int]]]


async def _round(shape: Shape, url: str) -> Round:
    async with served(SERVER) as (server, server_url):
        Timed.longest = 0.0
        waits, held = await shape(url, server, server_url)
        posts = server.issuer.ledger.posts
        replays = sum(post.did in {"replayed", "revoked"} for post in posts)
        return Round(len(posts), replays, held, max(waits) - Timed.longest)


async def ours(url: str, server: AuthorizationServer, server_url: str) -> tuple[list[float], int]:
    databases = [Database(url) for _ in range(REPLICAS)]
    egress = Timed(ground.door("bench"))
    replicas = [replica(OURS, database, egress, f"r{number}") for number, database in enumerate(databases)]
    connection = await one_grant(OURS, replicas[0], server, server_url)
    for database in databases:
        # A replica that has served anybody has its sessions open.
        await asyncio.gather(*(database.read(_slow) for _ in range(CALLERS + 1)))
    await asyncio.sleep(LIFE_SECONDS)
    server.weather = "calm"
    watching = asyncio.create_task(_held(url))
    waits = await asyncio.gather(*(_timed(access_tokens.fresh(ctx, connection)) for ctx in replicas * CALLERS))
    held = await _stopped(watching)
    await egress.close()
    await asyncio.gather(*(asyncio.to_thread(database.close) for database in databases))
    return waits, held


def _slow(tx: Tx) -> None:
    """Opens a session, and holds it until the others are open too."""
    tx.exec_driver_sql("select pg_sleep(0.05)")


async def short_lock(url: str, server: AuthorizationServer, server_url: str) -> tuple[list[float], int]:
    """A lock with a time to live below the request's: whoever finds it over refreshes too."""

    async def one(db: psycopg.AsyncConnection, egress: Egress) -> None:
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

    return await _peers(url, server, one)


async def for_update(url: str, server: AuthorizationServer, server_url: str) -> tuple[list[float], int]:
    """The row stays locked, and with it a session of the database for everybody who waits."""

    async def one(db: psycopg.AsyncConnection, egress: Egress) -> None:
        seen = await _row(db)
        async with db.transaction():
            found = await (await db.execute("select token from peer for update")).fetchone()
            if found is not None and found[0] == seen:
                new = await _redeem(egress, server_url, seen)
                await db.execute("update peer set token = %s", (new or seen,))

    return await _peers(url, server, one)


async def _peers(
    url: str, server: AuthorizationServer, one: Callable[[psycopg.AsyncConnection, Egress], Awaitable[None]]
) -> tuple[list[float], int]:
    egress = Timed(ground.door("bench"))
    connections = [await psycopg.AsyncConnection.connect(url, autocommit=True) for _ in range(REPLICAS * CALLERS)]
    _, refresh = server.issuer.sign_in(0, time.time())
    await connections[0].execute("create table peer (token text, locked_until timestamptz default '-infinity')")
    await connections[0].execute("insert into peer (token) values (%s)", (refresh,))
    server.weather = "calm"
    watching = asyncio.create_task(_held(url))
    waits = await asyncio.gather(*(_timed(one(db, egress)) for db in connections))
    held = await _stopped(watching)
    await egress.close()
    for db in connections:
        await db.close()
    return waits, held


async def _row(db: psycopg.AsyncConnection) -> str:
    found = await (await db.execute("select token from peer")).fetchone()
    assert found is not None
    return found[0]


async def _redeem(egress: Egress, server_url: str, token: str) -> str | None:
    headers = Headers((("Content-Type", "application/x-www-form-urlencoded"),))
    body = f"grant_type=refresh_token&refresh_token={token}".encode()
    answer = await egress.send(Request("POST", f"{server_url}/token", headers, body))
    return json.loads(answer.body).get("refresh_token")


async def _timed(work: Awaitable[object]) -> float:
    began_at = time.monotonic()
    await work
    return time.monotonic() - began_at


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


async def _stopped(watching: asyncio.Task[int]) -> int:
    watching.cancel()
    return await watching
