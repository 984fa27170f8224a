"""A token that is fresh: how many a process hands out, and what it asks the database for each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import sqlalchemy as sa
from ground import one_grant, replica, served

from keyturn.egress import Egress
from keyturn.services import access_tokens
from keyturn.simulation import ground
from keyturn.simulation.plan import Plan
from keyturn.storage.database import Database, Tx

AT_ONCE = 8
PLAN = Plan(life_seconds=3600.0)
_QUIET = ("BEGIN", "COMMIT", "ROLLBACK", "PRAGMA")


async def measure(name: str, url: str, reads: int) -> AsyncIterator[str] | list[str]:
    database = Database(url)
    egress = Egress(ground.door("bench"))
    async with served(PLAN) as (server, server_url):
        ctx = replica(PLAN, database, egress)
        connection = await one_grant(PLAN, ctx, server, server_url)

        async def ours() -> None:
            await access_tokens.fresh(ctx, connection)

        async def with_a_write() -> None:
            # What products do that note each use at once: the row is written whenever a token is read.
            await access_tokens.fresh(ctx, connection)
            await database.run(note, connection.id)

        found = []
        best = 0.0
        for shape, use in (("Keyturn", ours), ("a note of each use", with_a_write)):
            await use()
            statements, writes = await _statements(database, use)
            rate = await _rate(use, reads)
            best = best or rate
            found.append(f"| {name} | {shape} | {rate:,.0f} | {statements} | {writes} | {rate / best:.2f} |")
    await egress.close()
    await asyncio.to_thread(database.close)
    return found


def note(tx: Tx, connection_id: str) -> None:
    tx.execute(sa.text("update grants set last_ok_at = last_ok_at where connection_id = :id"), {"id": connection_id})


async def _rate(use: Callable[[], Awaitable[None]], reads: int) -> float:
    async def some() -> None:
        for _ in range(reads // AT_ONCE):
            await use()

    began_at = time.monotonic()
    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return reads / (time.monotonic() - began_at)


async def _statements(database: Database, use: Callable[[], Awaitable[None]]) -> tuple[int, int]:
    """How many statements one use makes, and how many of them write."""
    async with _listening(database) as seen:
        await use()
    return len(seen), sum(not statement.lstrip().upper().startswith("SELECT") for statement in seen)


@asynccontextmanager
async def _listening(database: Database) -> AsyncIterator[list[str]]:
    seen: list[str] = []

    def listen(connection: object, cursor: object, statement: str, *_: object) -> None:
        if not statement.upper().startswith(_QUIET):
            seen.append(statement)

    engines = {database._reader, database._writer}
    for engine in engines:
        sa.event.listen(engine, "before_cursor_execute", listen)
    yield seen
    for engine in engines:
        sa.event.remove(engine, "before_cursor_execute", listen)
