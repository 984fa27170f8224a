from __future__ import annotations

import time

import sqlalchemy as sa

from keyturn.storage.clock import DatabaseClock, SteadyClock
from keyturn.storage.database import db_now


def test_a_clock_that_is_set_back_never_steps_back_and_comes_together_again():
    wall, monotonic = [10_000.0], [0.0]
    clock = SteadyClock(lambda: wall[0], lambda: monotonic[0])
    assert clock() == 10_000.0
    wall[0] -= 7200
    assert clock() == 10_000.0
    wall[0] += 100
    monotonic[0] += 100
    assert clock() == 10_095.0
    wall[0] += 7200
    assert clock() == 10_100.0


def test_a_clock_that_is_set_forward_is_followed():
    wall = [10_000.0]
    clock = SteadyClock(lambda: wall[0], lambda: 0.0)
    wall[0] += 7200
    assert clock() == 17_200.0


def test_what_was_written_before_a_restart_is_not_in_the_future_unless_it_was_a_wrong_clock():
    clock = SteadyClock(lambda: 10_000.0, lambda: 0.0)
    clock.not_before(17_200.0)
    assert clock() == 17_200.0
    clock.not_before(1e9)
    assert clock() == 17_200.0


def test_a_process_whose_own_clock_is_wrong_goes_by_the_databases():
    clock = DatabaseClock(lambda: 1.0)
    assert clock() == 1.0
    clock.look(10_000.0, time.monotonic())
    assert 10_000.0 <= clock() < 10_060.0
    assert clock.ahead_seconds >= 9_999.0


async def test_sql_and_verbs_go_by_the_same_clock(database):

    await database.look_at_clock()
    said = database.run_now(lambda tx: tx.execute(sa.select(db_now())).scalar_one())
    assert abs(database.clock() - said) < 60
