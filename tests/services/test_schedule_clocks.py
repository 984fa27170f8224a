"""The real tick of several replicas at a clock of ours: over clock changes, away for a week, ahead and behind.

What has to come of it is found without the product's code: a walk through all minutes (`minute_walk`), and the policies
in a few lines here.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from keyturn.services import schedules
from keyturn.services.context import Context
from keyturn.storage import connections as connection_rows
from keyturn.storage import imports as import_rows
from keyturn.storage.database import Database
from minute_walk import Rule, moments

GRACE = 300
HOUR = 3600
DAY = 24 * HOUR
HALF = frozenset({30})
WORKDAYS = frozenset(range(5))
CHANGES = [
    ("Europe/Berlin", "2027-10-31"),
    ("America/New_York", "2027-03-14"),
    ("Australia/Lord_Howe", "2027-04-04"),
    ("Australia/Lord_Howe", "2027-10-03"),
    ("Asia/Kolkata", "2027-03-28"),
]


def repetitions(changed_on: str) -> list[tuple[dict, Rule]]:
    """Each kind of repetition, at times that the clocks skip or show twice somewhere; and what it means."""
    night = {"at": "02:30"}
    on_the_day = date.fromisoformat(changed_on)
    weekday = on_the_day.strftime("%A").lower()
    return [
        ({"every": "once", "on": changed_on, **night}, Rule(HALF, frozenset({2}), date=on_the_day)),
        ({"every": "hour", "at": "00:15"}, Rule(frozenset({15}))),
        ({"every": "day", **night}, Rule(HALF, frozenset({2}))),
        ({"every": "day", "at": "01:45"}, Rule(frozenset({45}), frozenset({1}))),
        ({"every": "weekday", **night}, Rule(HALF, frozenset({2}), weekdays=WORKDAYS)),
        ({"every": "week", "on": weekday, **night}, Rule(HALF, frozenset({2}), weekdays=frozenset({on_the_day.weekday()}))),
        ({"every": "month", "on": "31", **night}, Rule(HALF, frozenset({2}), days=frozenset({31}))),
        ({"every": "month", "on": "last", **night}, Rule(HALF, frozenset({2}), days=frozenset({"last"}))),
        ({"every": "cron", "cron": "*/20 0-3 * * *"}, Rule(frozenset({0, 20, 40}), frozenset({0, 1, 2, 3}))),
        ({"every": "cron", "cron": "*/45 1-3 * * *"}, Rule(frozenset({0, 45}), frozenset({1, 2, 3}))),
        ({"every": "cron", "cron": "30 2 13 * sun"}, Rule(HALF, frozenset({2}), days=frozenset({13}), weekdays=frozenset({6}))),
        ({"every": "cron", "cron": "59 23,2 L * *"}, Rule(frozenset({59}), frozenset({2, 23}), days=frozenset({"last"}))),
    ]  # fmt: skip


@dataclass
class Sky:
    """A clock that the database shows, and replicas whose own clocks differ from it."""

    place: object
    url: str
    now: float = 0.0
    opened: list[Database] = field(default_factory=list)
    scene: Context = None

    async def begin(self, at: float) -> None:
        """The database's time is `at` from now on."""
        self.now = at
        self.scene = self.replica(lambda: 0.0)
        if not self.scene.database.is_sqlite:
            self.scene.database.run_now(_own_clock)
            self.scene.database.close()
            self.scene = self.replica(lambda: 0.0)
        await self.shows(at)

    def replica(self, late: Callable[[], float]) -> Context:
        """A process whose own clock is `late()` ahead. On SQLite, whose clock is the process's, its database's too."""
        made = Database(self.url, wall=lambda: self.now + late())
        self.opened.append(made)
        return replace(self.place.ana, database=made, clock=lambda: self.now + late())

    async def shows(self, at: float) -> None:
        """Time passes, or is set back."""
        self.now = at
        if not self.scene.database.is_sqlite:
            await self.scene.database.run(lambda tx: tx.execute(sa.text("update sim.clock set at = :at"), {"at": at}))

    async def asked(self) -> dict[str, list[float]]:
        """The moments for which each schedule asked for an import, in order."""
        found = await self.scene.database.read(
            lambda tx: tx.execute(sa.select(import_rows.imports.c.schedule_id, import_rows.imports.c.due_at)).all()
        )
        told: dict[str, list[float]] = {}
        for schedule_id, due_at in sorted(found):
            told.setdefault(schedule_id, []).append(due_at)
        return told

    async def begin_imports(self) -> None:
        """Of each schedule the first that waits is at work, if none is."""
        every = import_rows.imports
        busy = sa.select(every.c.schedule_id).where(every.c.status == "running")
        first = sa.select(sa.func.min(every.c.id)).where(every.c.status == "queued", every.c.schedule_id.not_in(busy))
        at_work = every.update().where(every.c.id.in_(first.group_by(every.c.schedule_id)))
        # Each at a place of its own, since two may not write to one.
        values = {"status": "running", "place": every.c.id}
        await self.scene.database.run(lambda tx: tx.execute(at_work.values(**values)))

    async def end_imports(self) -> None:
        """All that were asked for are complete."""
        done = import_rows.imports.update().values(status="complete")
        await self.scene.database.run(lambda tx: tx.execute(done))


_CLOCK_TIMESTAMP = """create function sim.clock_timestamp() returns timestamptz volatile language sql
as 'select to_timestamp(at) from sim.clock'"""


def _own_clock(tx) -> None:
    """PostgreSQL's clock, for all who come to this database from now on."""
    name = tx.execute(sa.text("select current_database()")).scalar_one()
    for statement in (
        "create schema sim",
        "create table sim.clock (at double precision)",
        "insert into sim.clock values (0)",
        _CLOCK_TIMESTAMP,
        f'alter database "{name}" set search_path = public, sim, pg_catalog',
    ):
        tx.execute(sa.text(statement))


@pytest.fixture
async def sky(place, database_url):
    connection = await place.connection(access="shared_account", auth={"type": "none"})
    await place.table(connection)
    made = Sky(place, database_url)
    yield made
    for database in made.opened:
        database.close()


async def planned(sky: Sky, settings: dict, zone: str, **changes) -> str:
    body = {"table_id": "tb_1", "destination": {"type": "parquet", "url": "orders.parquet"}, "timezone": zone}
    return (await schedules.create(sky.scene, {**body, **settings, **changes})).id


def around(zone: str, changed_on: str) -> float:
    """Noon of that day."""
    return datetime.fromisoformat(f"{changed_on}T12:00").replace(tzinfo=ZoneInfo(zone)).timestamp()


EARLY, LATE = (-31, -29, -1), (0, 1, 29, 31, 250)


def looks(drawn: random.Random, due: list[list[float]], *latenesses: tuple[int, ...]) -> list[float]:
    """When somebody looks at the schedules: about each moment at which one is due, so many times."""
    moments_due = sorted({at for each in due for at in each})
    return sorted({at + drawn.choice(late) for at in moments_due for late in latenesses})


@pytest.mark.parametrize(("zone", "changed_on"), CHANGES)
async def test_over_a_clock_change_replicas_half_a_minute_apart_meet_each_moment_once(sky, zone, changed_on):
    """One is 30 s ahead, one 30 s behind, and the third is set back by 45 s on the way."""
    drawn = random.Random(f"{zone} {changed_on}")
    noon = around(zone, changed_on)
    begin, end = noon - 14 * HOUR, noon - HOUR
    await sky.begin(begin)
    wanted = repetitions(changed_on)
    ids = [await planned(sky, settings, zone) for settings, _ in wanted]
    replicas = [
        sky.replica(late)
        for late in (lambda: 30.0, lambda: -30.0, lambda: 20.0 if sky.now < noon - 9 * HOUR else -25.0)
    ]
    expected = [moments(rule, zone, begin, end) for _, rule in wanted]
    for now in looks(drawn, expected, EARLY, LATE):
        await sky.shows(now)
        if sum(await asyncio.gather(*(schedules.tick(scene) for scene in replicas))):
            await sky.end_imports()
    found = await sky.asked()
    for schedule_id, (settings, _), due in zip(ids, wanted, expected, strict=True):
        assert [at for at in found.get(schedule_id, []) if at <= end] == due, settings


def as_the_policies_say(
    due: list[float], seen: list[float], busy: list[tuple[float, float]], missed: str, running: str
):
    """Of the moments due, and the times at which somebody looked: those for which an import is asked for.

    `busy`: from when until when the schedule's imports do not end. One that is asked for meanwhile waits.
    """
    asked, met, at_work, queued = [], float("-inf"), False, False
    for now in seen:
        if not any(since <= now < until for since, until in busy):
            at_work = queued = False
        come = [moment for moment in due if met < moment <= now]
        met = come[-1] if come else met
        if come and not (now - met > GRACE and missed == "skip") and not queued and not (at_work and running == "skip"):
            asked.append(met)
            at_work, queued = True, at_work
    return asked


@pytest.mark.parametrize("missed", ["run_once", "skip"])
@pytest.mark.parametrize("running", ["run_once", "skip"])
async def test_a_week_away_over_a_clock_change_is_as_the_policies_say(sky, missed, running):
    """Also while an import does not end for hours, and with the server away again for an hour or two."""
    zone, changed_on = "Europe/Berlin", "2027-10-31"
    drawn = random.Random(f"{missed} {running}")
    noon = around(zone, changed_on)
    begin, end = noon - 6 * DAY, noon + 36 * HOUR
    await sky.begin(begin)
    wanted = repetitions(changed_on)
    policies = {"if_missed": missed, "if_running": running}
    ids = [await planned(sky, settings, zone, **policies) for settings, _ in wanted]
    busy = [(begin + HOUR, begin + 3.5 * HOUR), (noon + 26 * HOUR, noon + 29 * HOUR)]
    away = [(begin + 5 * HOUR, noon + 22 * HOUR + drawn.randrange(7200)), (noon + 30 * HOUR, noon + 32 * HOUR + 400)]
    expected = [moments(rule, zone, begin, end) for _, rule in wanted]
    seen = looks(drawn, expected, (0, 1, 40), (290, 299, 301, 320))
    seen = sorted({next((until for since, until in away if since <= now < until), now) for now in seen})
    scenes = [sky.replica(lambda: 0.0), sky.replica(lambda: 0.0)]
    for now in seen:
        await sky.shows(now)
        if not any(since <= now < until for since, until in busy):
            await sky.end_imports()
        if sum(await asyncio.gather(*(schedules.tick(scene) for scene in scenes))):
            await sky.begin_imports()
    found = await sky.asked()
    for schedule_id, (settings, _), due in zip(ids, wanted, expected, strict=True):
        assert found.get(schedule_id, []) == as_the_policies_say(due, seen, busy, missed, running), settings


async def test_what_is_held_over_a_clock_change_runs_once_when_its_connection_may_be_used_again(sky):
    zone, changed_on = "America/New_York", "2027-11-07"
    noon = around(zone, changed_on)
    begin, lost, back, end = noon - 15 * HOUR, noon - 12 * HOUR - 600, noon - 3 * HOUR + 400, noon
    await sky.begin(begin)
    wanted = repetitions(changed_on)
    ids = [await planned(sky, settings, zone, if_missed="skip") for settings, _ in wanted]
    replicas = [sky.replica(lambda: 30.0), sky.replica(lambda: -30.0)]
    (connection,) = await sky.scene.database.read(connection_rows.all_of, "ws_1")
    expected = [moments(rule, zone, begin, end) for _, rule in wanted]
    seen = looks(random.Random(zone), expected, (35, 40), (60, 200))
    for now in sorted([*seen, back + 1]):
        await sky.shows(now)
        needed = {"paused": lost <= now < back}
        await sky.scene.database.run(connection_rows.update, "ws_1", connection.id, needed)
        await asyncio.gather(*(schedules.tick(scene, held=True) for scene in replicas))
        await sky.end_imports()
    found = await sky.asked()
    for schedule_id, (settings, _), due in zip(ids, wanted, expected, strict=True):
        held = [at for at in due if lost < at < back]
        met = [at for at in due if at not in held]
        assert found.get(schedule_id, []) == sorted([*met, *held[-1:]]), settings


async def test_a_moment_that_comes_again_when_the_clock_is_set_back_and_a_schedule_resumed_runs_once(sky):
    zone = "Europe/Berlin"
    noon = around(zone, "2027-05-01")
    await sky.begin(noon - 60)
    again = await planned(sky, {"every": "hour", "at": "00:00"}, zone)
    other = await planned(sky, {"every": "hour", "at": "00:01"}, zone)
    await sky.shows(noon + 1)
    assert await schedules.tick(sky.scene) == 1
    await sky.end_imports()
    await sky.shows(noon - 50)
    sky.scene = sky.replica(lambda: 0.0)  # as after a restart
    for paused in (True, False):
        await schedules.update(sky.scene, again, {"paused": paused})
    await sky.shows(noon + 61)
    assert await schedules.tick(sky.scene) == 1, "the other one"
    assert await sky.asked() == {again: [noon], other: [noon + 60]}
    assert (await schedules.get(sky.scene, again)).last["why"] == "It ran for this time already."
    await sky.shows(noon + HOUR)
    assert await schedules.tick(sky.scene) == 1
