"""The relay in front of a database: it passes bytes, and when it is cut, nothing."""

from __future__ import annotations

import asyncio

import pytest

from keyturn.errors import Unavailable
from keyturn.simulation.relay import Relay, Target
from keyturn.storage.database import Database


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("postgresql://u:p@db.example:6432/kt", "db.example", 6432),
        ("postgresql://u@/kt?host=/tmp/pg", "/tmp/pg", 5432),
        ("postgresql://u@/kt?host=/tmp/pg&port=6000", "/tmp/pg", 6000),
        ("postgresql://u@db.example/kt", "db.example", 5432),
    ],
)
def test_where_a_database_listens_is_read_off_its_address(url, host, port):
    assert Target.of(url) == Target(host, port)


async def test_a_cut_relay_breaks_what_is_there_and_refuses_what_comes_until_it_is_mended(postgres_url):
    relay = Relay(postgres_url)
    database = Database(await relay.start())
    seven = lambda tx: tx.exec_driver_sql("select 7").scalar_one()  # noqa: E731
    try:
        assert await database.run(seven) == 7
        relay.cut()
        with pytest.raises(Unavailable):
            await database.run(seven)
        relay.mend()
        assert await database.run(seven) == 7
    finally:
        await asyncio.to_thread(database.close)
        await relay.stop()


async def test_a_database_that_is_not_there_is_refused():
    relay = Relay("postgresql://u@/kt?host=/nowhere")
    database = Database(await relay.start())
    try:
        with pytest.raises(Unavailable):
            await database.run(lambda tx: None)
    finally:
        await asyncio.to_thread(database.close)
        await relay.stop()
