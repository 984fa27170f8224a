from __future__ import annotations

import asyncio

from keyturn.storage.database import Database
from keyturn.storage.wakeups import notify


async def test_who_waits_is_woken_by_a_commit_of_this_process(database):
    with database.wakeups.watching("cn_1") as woken:
        waiting = asyncio.create_task(woken(60.0))
        await asyncio.sleep(0.05)
        await database.run(notify, "cn_2")
        assert not waiting.done()
        await database.run(notify, "cn_1")
        await asyncio.wait_for(waiting, 30)


async def test_a_wake_up_between_a_look_and_the_wait_is_not_missed(database):
    with database.wakeups.watching("cn_1") as woken:
        await database.run(notify, "cn_1")
        await asyncio.wait_for(woken(60.0), 30)


async def test_nobody_is_woken_by_what_was_rolled_back(database):
    heard = []
    database.wakeups.on_wake(heard.append)

    def write(tx) -> None:
        notify(tx, "cn_1")
        raise ValueError

    try:
        await database.run(write)
    except ValueError:
        pass
    await database.run(lambda tx: None)
    assert heard == []


async def test_another_replica_is_woken_by_notify(postgres_url):
    one, other = Database(postgres_url), Database(postgres_url)
    try:
        heard = asyncio.Event()
        loop = asyncio.get_running_loop()
        other.wakeups.on_wake(lambda key: loop.call_soon_threadsafe(heard.set))
        other.wakeups.listen()
        while not heard.is_set():
            await one.run(notify, "cn_1")
            await asyncio.sleep(0.05)
    finally:
        one.close()
        other.close()


async def test_waiting_ends_by_itself(database):
    with database.wakeups.watching("cn_1") as woken:
        await woken(0.01)
    assert database.wakeups._waiting == {}
