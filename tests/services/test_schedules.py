"""Schedules: each moment is met once, by one replica; what was missed, still runs or cannot be is as the policy says."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest
import sqlalchemy as sa

from keyturn.errors import Conflict, Forbidden, Invalid, NotFound
from keyturn.services import forecasts, notices, schedules
from keyturn.storage import connections as connection_rows
from keyturn.storage import imports as import_rows
from keyturn.storage import schedules as rows
from keyturn.storage.database import Database

HOUR = 3600.0
WEEK = 7 * 24 * HOUR
TO = {"type": "parquet", "url": "orders.parquet"}


@pytest.fixture
async def table(place):
    connection = await place.connection(access="shared_account", auth={"type": "none"})
    return await place.table(connection)


async def made(place, **changes):
    body = {"table_id": "tb_1", "destination": TO, "every": "hour", "at": "00:00", **changes}
    return await schedules.create(place.ana, body)


def due(place, schedule, ago: float) -> None:
    """As if it had been due that long ago."""
    place.run(rows.update, "ws_1", schedule.id, {"next_at": time.time() - ago})


def asked(place) -> list:
    return place.run(import_rows.all_of, "ws_1", 100)


async def test_what_is_due_is_queued_once_and_the_next_moment_is_set(place, table):
    schedule = await made(place)
    assert await schedules.tick(place.ana) == 0
    due(place, schedule, 10)
    assert await schedules.tick(place.ana) == 1
    assert await schedules.tick(place.ana) == 0
    (item,) = asked(place)
    assert (item.schedule_id, item.status, item.created_by) == (schedule.id, "queued", "ac_ana")
    now = await schedules.get(place.ana, schedule.id)
    assert 0 < now.next_at - time.time() <= HOUR
    assert (now.last["outcome"], now.last["import_id"]) == ("started", item.id)


async def test_of_replicas_whose_clocks_differ_by_half_a_minute_one_meets_each_moment(place, table, database_url):
    schedule = await made(place)
    others = [Database(database_url) for _ in range(3)]
    skewed = [
        replace(place.ana, database=database, clock=lambda late=late: time.time() + late)
        for late, database in zip((-30.0, 0.0, 30.0), others, strict=True)
    ]
    for _ in range(4):
        due(place, schedule, 1)
        place.run(lambda tx: tx.execute(import_rows.imports.update().values(status="complete", due_at=None)))
        assert sum(await asyncio.gather(*(schedules.tick(scene) for scene in skewed for _ in range(3)))) == 1
    for database in others:
        database.close()
    assert len(asked(place)) == 4


async def test_the_same_moment_cannot_be_queued_twice(place, table):
    schedule = await made(place)
    due(place, schedule, 1)
    await schedules.tick(place.ana)
    twice = import_rows.imports.insert().from_select(
        [c.name for c in import_rows.imports.c],
        sa.select(*[sa.literal("im_x").label("id") if c.name == "id" else c for c in import_rows.imports.c]),
    )
    with pytest.raises(Conflict):
        place.run(lambda tx: tx.execute(twice))


@pytest.mark.parametrize(("policy", "count"), [("run_once", 1), ("skip", 0)])
async def test_a_week_of_missed_runs_is_one_run_or_none_as_the_policy_says(place, table, policy, count):
    schedule = await made(place, if_missed=policy, every="day", at=_hours_ago(2))
    due(place, schedule, WEEK)
    assert await schedules.tick(place.ana) == count
    now = await schedules.get(place.ana, schedule.id)
    assert (len(asked(place)), now.last["outcome"]) == (count, "started" if count else "skipped")
    assert now.next_at > time.time()
    assert await schedules.tick(place.ana) == 0


def _hours_ago(hours: int) -> str:
    return time.strftime("%H:%M", time.gmtime(time.time() - hours * HOUR))


@pytest.mark.parametrize(("policy", "count"), [("run_once", 2), ("skip", 1)])
async def test_what_still_runs_is_waited_for_or_the_run_is_skipped(place, table, policy, count):
    schedule = await made(place, if_running=policy)
    due(place, schedule, 1)
    await schedules.tick(place.ana)
    place.run(lambda tx: tx.execute(import_rows.imports.update().values(status="running")))
    due(place, schedule, 0.5)
    await schedules.tick(place.ana)
    due(place, schedule, 0.1)
    await schedules.tick(place.ana)  # one that waits is enough
    assert len(asked(place)) == count


async def test_it_is_held_while_its_connection_needs_reconnecting_and_runs_by_itself_afterwards(place):
    connection = await place.connection(access="shared_account")
    await place.table(connection)
    schedule = await made(place, if_missed="skip")
    due(place, schedule, 3 * HOUR)
    assert await schedules.tick(place.ana) == 0
    assert (await schedules.get(place.ana, schedule.id)).status == "held"
    # No sign-in is needed any more: as after a reconnect.
    settings = connection.settings.model_dump(mode="json") | {"auth": {"type": "none"}}
    values = {"settings": settings, "oauth_client_id": None}
    place.run(connection_rows.update, "ws_1", connection.id, values)
    assert await schedules.tick(place.ana) == 0, "those that are held are looked at less often"
    assert await schedules.tick(place.ana, held=True) == 1
    assert (await schedules.get(place.ana, schedule.id)).status == "active"


async def test_a_paused_schedule_does_nothing_and_makes_up_for_nothing(place, table):
    schedule = await made(place)
    await schedules.update(place.ana, schedule.id, {"paused": True})
    due(place, schedule, HOUR)
    assert await schedules.tick(place.ana) == 0
    resumed = await schedules.update(place.ana, schedule.id, {"paused": False})
    assert resumed.next_at > time.time()
    assert await schedules.tick(place.ana) == 0


async def test_once_is_over_when_it_has_run(place, table):
    yesterday = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 24 * HOUR))
    schedule = await made(place, every="once", on=yesterday)
    assert schedule.status == "over"
    due(place, schedule, 1)
    assert await schedules.tick(place.ana) == 1
    assert (await schedules.get(place.ana, schedule.id)).status == "over"


async def test_only_its_owner_and_admins_change_it(place, table):
    schedule = await made(place)
    for change in (schedules.update(place.li, schedule.id, {"at": "07:00"}), schedules.delete(place.li, schedule.id)):
        with pytest.raises(Forbidden):
            await change
    own = await schedules.create(place.li, {"table_id": "tb_1", "destination": TO})
    assert own.name == "acme.orders 2"
    changed = await schedules.update(place.ana, own.id, {"every": "week", "on": "friday", "name": "Fridays"})
    assert (changed.settings.words, changed.created_by) == ("Every week on Friday at 06:00, UTC", "ac_li")
    back = await schedules.update(place.ana, own.id, {"every": "day"})
    assert back.settings.on is None
    with pytest.raises(Conflict):
        await schedules.update(place.ana, own.id, {"name": schedule.name})
    await schedules.delete(place.ana, own.id)
    with pytest.raises(NotFound):
        await schedules.get(place.ana, own.id)


@pytest.mark.parametrize(
    ("wrong", "at"),
    [
        ({"every": "cron", "cron": "0 6 31 2 *"}, "cron"),
        ({"every": "cron"}, "cron"),
        ({"at": "25:00"}, "at"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"every": "week", "on": "someday"}, "on"),
        ({"every": "month", "on": "32"}, "on"),
        ({"every": []}, "every"),
        ({"every": "once"}, "on"),
        ({"every": "once", "on": "9999-12-31"}, "on"),
        ({"timezone": "localtime"}, "timezone"),
        ({"every": "cron", "cron": "1," * 200 + "1 * * * *"}, "cron"),
        ({"paused": "yes"}, "paused"),
        ({"destination": {"type": "parquet", "url": "../x"}}, "destination.url"),
    ],
)
async def test_what_cannot_be_is_said_where_it_is(place, table, wrong, at):
    with pytest.raises(Invalid) as caught:
        await made(place, **wrong)
    assert caught.value.problems[0].at == at


async def test_who_has_left_runs_nothing_any_more(place, table):
    own = await schedules.create(place.li, {"table_id": "tb_1", "destination": TO, "every": "hour"})
    place.run(lambda tx: tx.execute(sa.text("delete from members where account_id = 'ac_li'")))
    due(place, own, 1)
    assert await schedules.tick(place.ana) == 0
    assert (await schedules.get(place.ana, own.id)).last["outcome"] == "skipped"


async def test_a_held_schedule_that_is_moved_is_held_no_longer(place):
    connection = await place.connection(access="shared_account")
    await place.table(connection)
    schedule = await made(place)
    due(place, schedule, 1)
    await schedules.tick(place.ana)
    assert (await schedules.get(place.ana, schedule.id)).status == "held"
    assert (await schedules.update(place.ana, schedule.id, {"mode": "replace"})).status == "held"
    assert (await schedules.update(place.ana, schedule.id, {"every": "week"})).status == "active"


async def test_what_another_replica_met_meanwhile_is_not_held(place, table):
    schedule = await made(place)
    due(place, schedule, 1)
    assert await schedules.tick(place.ana) == 1
    assert place.run(rows.hold, "ws_1", schedule.id, due_at=time.time() - 1) is False
    assert (await schedules.get(place.ana, schedule.id)).status == "active"


def overwrite(place, item, **changes) -> None:
    """What another version of Keyturn, or another machine, stored."""
    place.run(rows.update, "ws_1", item.id, {"settings": item.settings.model_dump(mode="json") | changes})


async def test_one_schedule_that_makes_no_sense_to_this_release_is_held_and_told_and_does_not_keep_the_others(
    place, table
):
    broken, newer, well = [await made(place) for _ in range(3)]
    for item, changes in ((broken, {"timezone": "Mars/Olympus"}), (newer, {"colour": "blue"}), (well, {})):
        due(place, item, 1)
        overwrite(place, item, **changes)
    assert await schedules.tick(place.ana) == 2
    assert {item.schedule_id for item in asked(place)} == {newer.id, well.id}
    assert await schedules.tick(place.ana, held=True) == 0
    held, *others = [item for item in await schedules.list_(place.ana) if item.id == broken.id]
    assert (held.status, held.label, others) == ("held", "Held, cannot be read", [])
    assert "timezone Mars/Olympus: Choose a timezone" in held.settings.words
    (notice,), _ = await notices.list_(place.ana, open_only=True)
    assert (notice.kind, notice.subject_id, notice.sentence) == ("schedule_unreadable", broken.id, held.settings.words)


@pytest.mark.parametrize(
    "stored",
    [{"timezone": "Mars/Olympus"}, {"every": "fortnight"}, {"destination": {"type": "parchment", "url": "a", "ink": 1}},
     {"destination": None}, {"at": ["06:00"], "parameters": 7}],
)  # fmt: skip
async def test_what_cannot_be_read_is_mended_by_sending_that_alone(place, table, stored):
    schedule = await made(place)
    due(place, schedule, 1)
    overwrite(place, schedule, **stored)
    await schedules.tick(place.ana)
    mended = {"timezone": "UTC", "every": "week", "destination": TO, "at": "07:00", "parameters": None}
    with pytest.raises(Invalid) as refused:
        await schedules.update(place.ana, schedule.id, {"mode": "append"})
    assert {problem.at.partition(".")[0] for problem in refused.value.problems} == set(stored)
    now = await schedules.update(place.ana, schedule.id, {name: mended[name] for name in stored})
    assert (now.status, now.problems) == ("active", ())
    assert now.next_at > time.time()
    assert (await notices.list_(place.ana, open_only=True))[0] == []


async def test_what_cannot_be_read_is_paused_and_deleted_as_it_is(place, table):
    schedule = await made(place)
    due(place, schedule, 1)
    overwrite(place, schedule, timezone="Mars/Olympus")
    await schedules.tick(place.ana)
    assert (await schedules.update(place.ana, schedule.id, {"paused": True})).status == "paused"
    with pytest.raises(Invalid):
        await schedules.update(place.ana, schedule.id, {"paused": False})
    await schedules.delete(place.ana, schedule.id)
    assert (await notices.list_(place.ana, open_only=True))[0] == []


async def test_what_can_be_read_again_runs_by_itself_and_the_notice_ends(place, table):
    schedule = await made(place, if_missed="skip")
    due(place, schedule, 3 * HOUR)
    overwrite(place, schedule, timezone="Mars/Olympus")
    await schedules.tick(place.ana)
    overwrite(place, schedule)
    assert await schedules.tick(place.ana, held=True) == 1
    assert (await notices.list_(place.ana, open_only=True))[0] == []


async def test_a_table_whose_held_schedule_is_gone_leaves_no_notice(place, table):
    schedule = await made(place)
    due(place, schedule, 1)
    overwrite(place, schedule, timezone="Mars/Olympus")
    await schedules.tick(place.ana)
    place.run(rows.delete, "ws_1", schedule.id)
    await forecasts.look(place.ana)
    assert (await notices.list_(place.ana, open_only=True))[0] == []


async def test_a_destination_that_an_unreadable_schedule_names_is_in_use_still(place, table):
    schedule = await made(place)
    overwrite(place, schedule, timezone="Mars/Olympus", destination={**TO, "destination_id": "de_1"})
    assert (await schedules.get(place.ana, schedule.id)).destination_id == "de_1"


async def test_more_that_are_held_than_are_looked_at_together_do_not_keep_one_that_may_run(place):
    client = await place.client()
    connection = await place.connection(client=client, access="shared_account")
    await place.table(connection)
    first = await made(place)
    values = {"table_id": "tb_1", "settings": first.settings.model_dump(mode="json"), "paused": False, "created_by": "ac_ana",
              "created_at": 0.0, "updated_at": 0.0}  # fmt: skip
    for number in range(205):
        held = {"id": f"sc_{number}", "name": f"n{number}", "next_at": time.time() - 60}
        place.run(rows.insert, "ws_1", values | held)
    free = await place.connection(client=client, access="shared_account", name="free", auth={"type": "none"})
    await place.table(free, "tb_2")
    last = await made(place, table_id="tb_2")
    due(place, last, 1)
    place.run(rows.update, "ws_1", last.id, {"held": True})
    assert await schedules.tick(place.ana, held=True) == 1
    assert (await schedules.get(place.ana, last.id)).last["outcome"] == "started"


async def test_a_date_that_has_passed_is_said_before_it_is_saved(place, table):
    words, following = await schedules.preview(place.ana, {"every": "once", "on": "2020-02-29", "at": "06:00"})
    assert (words, following) == ("Once on 2020-02-29 at 06:00, UTC. That has passed: it would not run", [])
