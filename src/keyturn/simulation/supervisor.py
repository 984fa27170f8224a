"""The supervisor: starts the authorization server and the workers, harms them, restarts them, gathers the evidence."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

from keyturn.egress import Egress
from keyturn.simulation import authorization_server, findings, ground, worker
from keyturn.simulation.judge import Evidence, Harm
from keyturn.simulation.plan import POINTS, Deed, Plan, Point
from keyturn.simulation.relay import Relay
from keyturn.simulation.report import Report
from keyturn.storage.database import Database

# Processes are forked off one that has everything loaded: a restart takes milliseconds, as a kill does.
_processes = multiprocessing.get_context("forkserver")
_CUT_SECONDS = (0.5, 3.0)
_KILLS: list[tuple[Deed, Point]] = [("kill", point) for point in POINTS]
_DEEDS: dict[tuple[Deed, Point], int] = {
    **dict.fromkeys(_KILLS, 12),
    ("stop", "after lease"): 2,
    ("stop", "after answer"): 2,
    ("cut", "after answer"): 4,
}
_END_SECONDS = 60.0


@dataclass(slots=True)
class Slot:
    """One place for a worker, and who is in it now."""

    number: int
    database_url: str
    relay: Relay | None = None
    serial: int = 0
    name: str = ""
    process: Any = None
    pipe: Pipe | None = None
    armed: tuple[Deed, Point] | None = None
    lost: set[int] = field(default_factory=set)
    well: bool = False


class Supervisor:
    """One run of a plan in a folder of its own."""

    def __init__(self, plan: Plan, folder: Path, *, log: Callable[[], None], say: Callable[[str], None]) -> None:
        self.plan, self.folder, self._log, self._say = plan, folder, log, say
        self._key = secrets.token_bytes(32)
        self._url = plan.database_url or f"sqlite:///{folder / 'keyturn.db'}"
        self._chance = random.Random(plan.seed)  # noqa: S311 - faults are drawn, not secrets
        self._slots: list[Slot] = []
        self._storm = self._ending = False
        self._calm = True
        self.harms: list[Harm] = []
        self.done: Counter[str] = Counter()
        self.told = worker.Told()
        self.longest_calm_transaction_seconds = 0.0
        self.broke: list[str] = []

    async def run(self) -> Report:
        """All of it. Raises `Conflict` when the database is not empty, `Unavailable` when there is none."""
        _processes.set_forkserver_preload(
            ["keyturn.simulation.worker", "keyturn.simulation.authorization_server", "psycopg", "sqlite3"]
        )
        began_at = time.time()
        server, self._server = self._start_server()
        server_url = f"http://127.0.0.1:{self._server.recv()}"
        try:
            await self._fill(server_url)
            await self._place(server_url)
            evidence = await self._phases()
        finally:
            await self._clear()
            self._server.close()
            server.join(5)
            if server.is_alive():
                server.kill()
        return Report.of(self.plan, evidence, self.told, dict(self.done), time.time() - began_at)

    def _start_server(self) -> tuple[Any, Pipe]:
        ours, theirs = multiprocessing.Pipe()
        process = _processes.Process(target=authorization_server.main, args=(self.plan, theirs), daemon=True)
        process.start()
        theirs.close()
        return process, ours

    def _ask(self, order: str, value: Any = None) -> Any:
        self._server.send((order, value))
        return self._server.recv()

    async def _fill(self, server_url: str) -> None:
        tokens = self._ask("sign in", range(self.plan.grants))
        database = Database(self._url)
        egress = Egress(ground.door("supervisor"))
        try:
            ctx = ground.context(self.plan, database, egress, self._key, owner="supervisor", data_dir=self.folder)
            await ground.fill(self.plan, ctx, server_url, tokens)
        finally:
            await egress.close()
            await asyncio.to_thread(database.close)

    async def _place(self, server_url: str) -> None:
        self._server_url = server_url
        for number in range(self.plan.workers):
            slot = Slot(number, self._url)
            # The last of several workers reaches its database by way of a relay that may be cut.
            if self.plan.database_url is not None and number == self.plan.workers - 1:
                slot.relay = Relay(self._url)
                slot.database_url = await slot.relay.start()
            self._slots.append(slot)
            self._start(slot)

    def _start(self, slot: Slot) -> None:
        slot.serial += 1
        slot.name, slot.armed, slot.well = f"w{slot.number}.{slot.serial}", None, False
        ours, theirs = multiprocessing.Pipe()
        seed = self.plan.seed * 1_000_003 + slot.number * 10_007 + slot.serial
        post = worker.Post(
            slot.number, slot.name, slot.database_url, self._server_url, self.folder, self._key, seed, self._log
        )
        slot.process = _processes.Process(target=worker.main, args=(self.plan, post, theirs), daemon=True)
        slot.process.start()
        theirs.close()
        slot.pipe = ours
        asyncio.get_running_loop().add_reader(ours.fileno(), self._hear, slot, ours)

    def _hear(self, slot: Slot, pipe: Pipe) -> None:
        """What a worker says; its silence means that it is gone, and another takes its place."""
        try:
            what, value = pipe.recv()
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(pipe.fileno())
            pipe.close()
            self._gone(slot)
            return
        if what == "told":
            self._add(slot, value)
        elif what == "unheard":
            self.harms.append(Harm(slot.name, "unheard", "", value))
        elif what == "broke":
            self.broke.append(value)
        elif what in {"stopping", "cut"}:
            self._wait_for(slot, what, value)

    def _gone(self, slot: Slot) -> None:
        slot.process.join(5)
        slot.pipe = None
        if slot.armed is not None and slot.armed[0] == "kill":
            self.harms.append(Harm(slot.name, "kill", slot.armed[1], time.time()))
            self.done[f"kill {slot.armed[1]}"] += 1
        elif slot.process.exitcode != 0:
            self.broke.append(f"{slot.name} ended with {slot.process.exitcode}")
        slot.armed = None
        if not self._ending:
            self._start(slot)

    def _wait_for(self, slot: Slot, what: str, at: float) -> None:
        """A worker stands still, or its database is to be taken away: until later."""
        self.harms.append(Harm(slot.name, what, slot.armed[1] if slot.armed else "", at))
        self.done[what] += 1
        slot.armed = None
        loop, pid = asyncio.get_running_loop(), slot.process.pid
        if what == "stopping":
            loop.call_later(self.plan.stop_seconds, _go_on, pid)
        elif slot.relay is not None and slot.pipe is not None:
            slot.relay.cut()
            slot.pipe.send(("cut",))
            loop.call_later(self._chance.uniform(*_CUT_SECONDS), slot.relay.mend)

    def _add(self, slot: Slot, told: worker.Told) -> None:
        slot.lost, slot.well = told.lost, told.well
        self.told.waits += told.waits
        self.told.handed_out += told.handed_out
        self.told.unavailable += told.unavailable
        self.told.rejected += told.rejected
        self.told.longest_call_seconds = max(self.told.longest_call_seconds, told.longest_call_seconds)
        if self._calm:
            self.longest_calm_transaction_seconds = max(
                self.longest_calm_transaction_seconds, told.longest_transaction_seconds
            )

    async def _phases(self) -> Evidence:
        self._ask("weather", "calm")
        await asyncio.sleep(self.plan.calm_seconds)
        calm_until = self._ask("weather", "storm")
        self._calm, self._storm = False, True
        torments = [asyncio.create_task(self._torment(slot)) for slot in self._slots]
        await self._weathered()
        self._storm = False
        await asyncio.gather(*torments)
        self._say("The storm is over; every grant has to be renewed once more.")
        settled_at = self._ask("weather", "fair")
        unsettled = await self._settled(settled_at)
        await self._clear()
        evidence = Evidence(self._ask("ledger"), [], self.harms, calm_until, settled_at, broke=self.broke)
        evidence.longest_calm_transaction_seconds = self.longest_calm_transaction_seconds
        evidence.longest_call_seconds = self.told.longest_call_seconds
        found = findings.look(self.plan, self._url, self._key, self.folder)
        numbers = self._ask("numbers", [grant.refresh_token for grant in found.grants])
        evidence.grants = [grant.seen(number) for grant, number in zip(found.grants, numbers, strict=True)]
        evidence.leaks = found.leaks
        lost = {grant.number for grant in evidence.grants if grant.state != "active"}
        evidence.unsettled = [number for number in unsettled if number not in lost]
        return evidence

    async def _weathered(self) -> None:
        """Until there was harm and refreshing enough, or it takes too long."""
        ends_at = told_at = time.monotonic()
        ends_at += self.plan.seconds
        while time.monotonic() < ends_at:
            posts, _ = self._ask("counts", 0.0)
            if self.kills >= self.plan.kills and posts >= self.plan.refreshes:
                return
            if time.monotonic() - told_at > 10:
                told_at = time.monotonic()
                self._say(f"{posts:,} token requests, {self.kills:,} kills")
            await asyncio.sleep(0.25)

    @property
    def kills(self) -> int:
        """How many workers were killed."""
        return sum(count for what, count in self.done.items() if what.startswith("kill"))

    async def _torment(self, slot: Slot) -> None:
        """Arm the worker with one deed after another, a while apart."""
        deeds = {deed: weight for deed, weight in _DEEDS.items() if slot.relay is not None or deed[0] != "cut"}
        if not self.plan.loses_answers:
            # Who wakes up behind its last look at the lease sends a token that is spent: nothing saves that either.
            deeds.pop(("stop", "after lease"))
        while self._storm:
            await asyncio.sleep(self._chance.uniform(0.2, 1.8) * self.plan.pause_seconds)
            if not self._storm or slot.armed is not None or self.kills >= self.plan.kills:
                continue
            # A crash is mended before the next one: no grace outlasts a process that dies again and again.
            if slot.pipe is None or not all(other.well for other in self._slots):
                continue
            slot.armed = self._chance.choices(list(deeds), list(deeds.values()))[0]
            with suppress(OSError):
                slot.pipe.send(("arm", *slot.armed))

    async def _settled(self, since: float) -> list[int]:
        """Wait until each grant was renewed in fair weather or is known to be lost; answers those that are neither."""
        ends_at = time.monotonic() + self.plan.settle_seconds
        while True:
            lost = set().union(*(slot.lost for slot in self._slots))
            waiting = [family for family in self._ask("not since", since) if family not in lost]
            if not waiting or time.monotonic() > ends_at:
                return waiting
            await asyncio.sleep(0.5)

    async def _clear(self) -> None:
        """Let every worker come to its end."""
        self._ending = True
        for slot in self._slots:
            if slot.relay is not None:
                slot.relay.mend()
            if slot.pipe is not None:
                with suppress(OSError):
                    slot.pipe.send(("end",))
        ends_at = time.monotonic() + _END_SECONDS
        while any(slot.pipe is not None for slot in self._slots):
            await asyncio.sleep(0.05)
            if time.monotonic() > ends_at:
                break
        for slot in self._slots:
            if slot.process is not None and slot.process.is_alive():
                self.broke.append(f"{slot.name} did not end")
                slot.process.kill()
            if slot.relay is not None:
                await slot.relay.stop()


def _go_on(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
