"""The pace of a connection as the replicas see it, on both databases."""

from __future__ import annotations

import pytest

from keyturn.services.paces import SharedPace, _gates, _looked_at
from keyturn.storage import paces


async def test_another_replica_is_held_back_too_and_a_longer_wait_stays(place):
    connection = await place.connection()
    here = SharedPace(place.ana, connection, None)
    await here.tell(30)
    await here.tell(5)
    _gates.clear(), _looked_at.clear()  # another process
    there = SharedPace(place.ana, connection, None)
    await there.look()
    assert 25 < there.closed_seconds() <= 30
    assert place.run(paces.closed_seconds, "ws_2", connection.id) == 0.0


async def test_turns_are_handed_out_once_whoever_asks(place):
    connection = await place.connection()
    readers = [SharedPace(place.ana, connection, 10.0) for _ in range(2)]
    turns = [await readers[n % 2].turn() for n in range(5)]
    assert sorted(turns) == turns
    assert turns[4] == pytest.approx(0.4, abs=0.25)


async def test_without_a_cap_nobody_waits(place):
    assert await SharedPace(place.ana, await place.connection(), None).turn() == 0.0
