"""A worker: one process of a deployment that uses many grants through the product's own verbs, until it is killed."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import sqlalchemy as sa

from keyturn.errors import ReconnectNeeded, Unavailable
from keyturn.jobs.refreshes import GrantKeeper
from keyturn.model.connections import Connection
from keyturn.services import access_tokens, connections, refreshes, upkeep
from keyturn.services.access_tokens import AccessToken
from keyturn.services.context import Context, scene
from keyturn.simulation import ground
from keyturn.simulation.authorization_server import CALL_PATH, TOKEN_PATH
from keyturn.simulation.perils import PerilousDatabase, PerilousEgress, Perils, transactions
from keyturn.simulation.plan import Plan
from keyturn.storage import grants as grant_rows
from keyturn.storage import refresh_attempts as attempt_rows
from keyturn.storage.database import Tx, db_now
from keyturn.wire import Headers, Request

_TELL_SECONDS = 0.25
# A loop that was away for longer than this was stopped, or starved: what waited meanwhile is not the product's doing.
_AWAY_SECONDS = 0.5
_AHEAD = 0.9


@dataclass(frozen=True, slots=True)
class Post:
    """Where a worker is put: its number, the incarnation's name, its database and folder; `log` sets up logging."""

    slot: int
    name: str
    database_url: str
    server_url: str
    folder: Path
    key: bytes = field(repr=False)
    seed: int
    log: Callable[[], None]


@dataclass(slots=True)
class Told:
    """What a worker tells the supervisor now and then; lists hold seconds."""

    waits: list[float] = field(default_factory=list)
    handed_out: int = 0
    unavailable: int = 0
    rejected: int = 0
    longest_transaction_seconds: float = 0.0
    longest_call_seconds: float = 0.0
    lost: set[int] = field(default_factory=set)
    # Whether what earlier crashes left open is mended: until then nobody is harmed again.
    well: bool = False


class Worker:
    """Loops over the grants: sometimes ahead of a token's end, sometimes after it, so that some have to wait."""

    def __init__(self, plan: Plan, post: Post, pipe: Pipe) -> None:
        self.plan, self.post, self.pipe = plan, post, pipe
        self.perils = Perils(pipe, post.seed)
        self.told = Told()
        self.ending = asyncio.Event()
        self._chance = random.Random(post.seed)  # noqa: S311 - moments are drawn, not secrets
        self._seen: dict[int, int] = {}
        self._away = 0.0

    async def run(self) -> None:
        """Until the supervisor says so, or hangs up."""
        egress = PerilousEgress(ground.door(self.post.name), self.perils, self.post.server_url + TOKEN_PATH)
        clock_off = self.plan.clock_off(self.post.slot)
        database = PerilousDatabase(self.post.database_url, self.perils, wall=lambda: time.time() + clock_off)
        # A process that starts again has the name that the one before it had, as the data folder gives it.
        home = f"w{self.post.slot}"
        ctx = ground.context(self.plan, database, egress, self.post.key, owner=home, data_dir=self.post.folder / home)
        asyncio.get_running_loop().add_reader(self.pipe.fileno(), self._obey)
        mine = await self._begun(ctx)
        keeper = GrantKeeper(_scene(ctx), look_seconds=self.plan.look_seconds)
        keeping = asyncio.create_task(keeper.run())
        tasks = [asyncio.create_task(self._use(ctx, number, item)) for number, item in mine.items()]
        tasks += [asyncio.create_task(self._tell(ctx)), asyncio.create_task(self._look_at_loop())]
        await self.ending.wait()
        await keeper.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(keeping, *tasks, return_exceptions=True)
        await refreshes.drain(ctx)
        self._flush()
        await egress.close()
        await asyncio.to_thread(database.close)

    async def _begun(self, ctx: Context) -> dict[int, Connection]:
        """What a server does when it starts; answers the connections that this one uses, by their number."""
        while True:
            try:
                await ctx.database.look_at_clock()
                await upkeep.come_back(_scene(ctx))
                found = {int(item.name[1:]): item for item in await connections.list_(ctx)}
                return {number: item for number, item in found.items() if self.plan.uses(self.post.slot, number)}
            except Unavailable:
                await asyncio.sleep(0.1)

    async def _use(self, ctx: Context, number: int, connection: Connection) -> None:
        await asyncio.sleep(self._chance.uniform(0, self.plan.life_seconds / 4))
        while True:
            try:
                pause = await self._once(ctx, number, connection)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
                self.pipe.send(("broke", "".join(traceback.format_exception(error))))
                pause = 1.0
            await asyncio.sleep(pause)

    async def _once(self, ctx: Context, number: int, connection: Connection) -> float:
        """Use the grant once; answers how long to do something else."""
        try:
            token = await self._fresh(ctx, connection)
            await self._call(ctx, number, connection, token)
        except Unavailable as error:
            self.told.unavailable += 1
            return min(max(error.retry_after_seconds or 0.1, 0.1), 1.0)
        except ReconnectNeeded:
            self.told.lost.add(number)
            return 1.0
        self.told.lost.discard(number)
        self.told.handed_out += 1
        # From half of its life on a token is renewed ahead; now and then we come when it is over.
        ahead = self._chance.random() < _AHEAD
        early = self._chance.uniform(0.05, 0.5) if ahead else self._chance.uniform(-0.1, 0.05)
        left = (token.expires_at or 0.0) - ctx.clock()
        pause = left - self.plan.life_seconds * early
        return min(max(pause, self.plan.life_seconds / 20), self.plan.life_seconds)

    async def _fresh(self, ctx: Context, connection: Connection) -> AccessToken:
        """What is proved here, with a watch beside it."""
        counted = [0]
        transactions.set(counted)
        began_at, away = time.monotonic(), self._away
        try:
            return await access_tokens.fresh(ctx, connection)
        finally:
            took = time.monotonic() - began_at - (self._away - away)
            self.told.longest_call_seconds = max(self.told.longest_call_seconds, took)
            if counted[0] > 1:
                self.told.waits.append(took)

    async def _call(self, ctx: Context, number: int, connection: Connection, token: AccessToken) -> None:
        """Call the API with each token the first time it is seen; one that is rejected is renewed."""
        if self._seen.get(number) == token.generation:
            return
        self._seen[number] = token.generation
        headers = Headers((("Authorization", f"Bearer {token.value}"),))
        url = f"{self.post.server_url}{CALL_PATH}/{number}/{token.generation}"
        answer = await ctx.egress.send(Request("GET", url, headers), timeout_seconds=10)
        if answer.status == 401:
            self.told.rejected += 1
            await access_tokens.after_rejection(ctx, connection, token)

    async def _tell(self, ctx: Context) -> None:
        while True:
            await asyncio.sleep(_TELL_SECONDS)
            with suppress(Unavailable):
                self.told.well = not await ctx.database.read(_in_doubt)
            self._flush()

    async def _look_at_loop(self) -> None:
        seen_at = time.monotonic()
        while True:
            await asyncio.sleep(_AWAY_SECONDS / 5)
            away = time.monotonic() - seen_at - _AWAY_SECONDS / 5
            self._away += away if away > _AWAY_SECONDS else 0.0
            seen_at = time.monotonic()

    def _flush(self) -> None:
        told, self.told = self.told, Told(lost=set(self.told.lost))
        told.longest_transaction_seconds = self.perils.longest_transaction_seconds
        self.perils.longest_transaction_seconds = 0.0
        self.pipe.send(("told", told))

    def _obey(self) -> None:
        try:
            order, *values = self.pipe.recv()
        except (EOFError, OSError):
            os._exit(2)
        if order == "arm":
            self.perils.arm(*values)
        elif order == "end":
            self.ending.set()


def _in_doubt(tx: Tx) -> bool:
    """Whether a crash or a lost answer is not mended yet: an attempt without an answer, and no newer generation."""
    known, tried = grant_rows.grants.c, attempt_rows.refresh_attempts.c
    past = sa.and_(tried.stage == "sent", tried.deadline < db_now())
    found = sa.select(tried.id).join(grant_rows.grants, known.id == tried.grant_id)
    # One that is refused already only waits to be confirmed: nothing mends it.
    refused = sa.func.coalesce(known.last_error_class, "") == "grant_dead"
    found = found.where(known.generation == tried.from_generation, known.state == "active", ~refused)
    return tx.execute(found.where(sa.or_(tried.stage == "unknown", past)).limit(1)).first() is not None


def _scene(ctx: Context) -> Context:
    """What runs by itself acts for nobody."""
    return scene(ctx.database, ctx.egress, ctx.keyring, ctx.deployment, ctx.clock)


def main(plan: Plan, post: Post, pipe: Pipe) -> None:
    """The process. What it logs goes to a file of its own, which is searched for secrets afterwards."""
    log = (post.folder / f"{post.name}.log").open("a")
    os.dup2(log.fileno(), sys.stderr.fileno())
    post.log()
    asyncio.run(Worker(plan, post, pipe).run())
