"""What a restore settles, so that the old deployment and the restored one do nothing twice."""

from __future__ import annotations

import time

import pytest

from keyturn.services import restores, schedules
from keyturn.storage import connections, deliveries, grants, imports
from keyturn.storage import events as event_rows
from keyturn.storage import schedules as rows

MADE_AT = "2026-11-29T02:00:00+00:00"
TO = {"type": "parquet", "url": "orders.parquet"}


@pytest.fixture
async def schedule(place):
    """One that was due an hour ago, and whose import before was under way."""
    await place.table(await place.connection(access="shared_account", auth={"type": "none"}))
    made = await schedules.create(
        place.ana, {"table_id": "tb_1", "destination": TO, "every": "day", "at": "00:00", "if_missed": "run_once"}
    )
    place.run(rows.update, "ws_1", made.id, {"next_at": time.time() - 90000})
    assert await schedules.tick(place.ana) == 1
    place.run(imports.claim_anywhere, owner="old", seconds=60)
    place.run(rows.update, "ws_1", made.id, {"next_at": time.time() - 3600})
    return made


def settle(place, *, paused: bool = False) -> restores.Settled:
    return place.run(restores.settle, made_at=MADE_AT, now=time.time(), paused=paused)


async def test_imports_under_way_end_and_a_moment_since_the_backup_is_skipped_with_a_word(place, schedule):
    assert settle(place) == restores.Settled(imports=1, moments=1, messages=0, paused=0)
    assert place.run(imports.claim_anywhere, owner="new", seconds=60) is None
    [item] = place.run(imports.all_of, "ws_1", 9)
    assert item.status == "failed"
    assert MADE_AT in item.error["message"]
    assert await schedules.tick(place.ana, held=True) == 0
    now = await schedules.get(place.ana, schedule.id)
    assert now.next_at > time.time()
    assert (now.last["outcome"], MADE_AT in now.last["why"]) == ("skipped", True)


async def test_messages_that_waited_are_given_up(place):
    message = {"id": "dl_1", "channel": "webhook", "target_id": "wh_1", "event": "connection.broken", "body": {},
               "created_at": 1.0}  # fmt: skip
    place.run(deliveries.insert, "ws_1", message)
    assert settle(place).messages == 1
    assert not place.run(deliveries.is_due_anywhere)
    [told] = place.run(deliveries.newest, "ws_1", channel="webhook")
    assert (told.state, MADE_AT in told.last_error) == ("given_up", True)


async def test_while_the_old_one_runs_every_connection_is_paused_and_no_grant_is_renewed(acme):
    connection = await acme.signed_in()
    acme.later(4000)
    settled = acme.ctx.database.run_now(restores.settle, made_at=MADE_AT, now=acme.ctx.clock(), paused=True)
    assert settled.paused == 1
    await acme.kept()
    assert acme.server.posts == []
    told = acme.ctx.database.run_now(event_rows.of_subject, "ws_1", connection.id, 9)
    assert {event["kind"] for event in told[:2]} == {"paused", "restored"}  # in one moment, so in any order
    assert acme.ctx.database.run_now(connections.pause_anywhere) == []
    assert acme.ctx.database.run_now(grants.renewing_anywhere) == [("ws_1", connection.id)]
