"""An import goes on where a process stands still, and where the database is away; its pages are not read anew."""

from __future__ import annotations

import signal
import time

import pytest

from crashes import PAGES, Fire

pytestmark = pytest.mark.timeout(240)


def held_up(fire: Fire) -> str:
    """An import of 103 pages whose end system asks it to wait for some seconds after a few of them."""
    import_id = fire.ask(fire.begin(), 1)
    deadline = time.monotonic() + 60
    while fire.asked["1"] < 8:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    fire.world.end_system.demo.faults.api_429s = 4
    while not fire.query("select 1 from imports where status = 'waiting' and id = :id", id=import_id):
        assert time.monotonic() < deadline, fire.unfinished()
        time.sleep(0.02)
    return import_id


def whole(fire: Fire, import_id: str) -> None:
    """It has all its rows, and the pages that were safe were not read again."""
    item = fire.state(import_id)
    assert (item["status"], item["rows"]) == ("complete", 1234), item
    assert fire.world.end_system.served.total() < PAGES + 10


@pytest.mark.postgres
def test_what_a_process_that_stands_still_ran_is_run_by_another(world, postgres_url):
    fire = Fire(world, postgres_url, workers=2)
    import_id = held_up(fire)
    at = next(at for at, process in enumerate(fire.servers) if import_id in fire.held(process))
    process = fire.servers[at].process
    process.send_signal(signal.SIGSTOP)
    try:
        fire.ended(90)
    finally:
        process.send_signal(signal.SIGCONT)
    assert fire.query("select lease_epoch from imports where id = :id", id=import_id) == [(2,)]
    ended = fire.content(1)
    whole(fire, import_id)
    time.sleep(2)  # whoever woke up has had its chance to do harm
    assert fire.content(1) == ended
    whole(fire, import_id)


@pytest.mark.postgres
def test_an_import_goes_on_when_the_database_is_back(world, postgres_url, cut_url):
    served_url, relay = cut_url
    fire = Fire(world, postgres_url, served_url=served_url)
    import_id = held_up(fire)
    relay.cut()
    fire.world.end_system.demo.faults.api_429s = 0
    time.sleep(3)
    relay.mend()
    fire.ended(90)
    whole(fire, import_id)


def test_a_lone_process_that_stood_still_goes_on_by_itself(world):
    fire = Fire(world, None)
    import_id = held_up(fire)
    process = fire.server.process
    process.send_signal(signal.SIGSTOP)
    time.sleep(10)  # longer than its lease lasts
    process.send_signal(signal.SIGCONT)
    fire.ended(90)
    whole(fire, import_id)
    assert fire.query("select lease_epoch from imports where id = :id", id=import_id) == [(1,)]
