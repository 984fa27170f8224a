"""Room for what is heavy: whatever the sizes, everybody comes in, in their turn, and what was held is given back."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyturn.room import Room

MOST = 100
# What one asks for, what it turns out to weigh, how many turns of the loop it is held, and after how many it is
# cancelled, if it is.
visits = st.tuples(
    st.integers(0, 3 * MOST), st.integers(0, 3 * MOST), st.integers(0, 6), st.none() | st.integers(0, 12)
)


@settings(deadline=None)
@given(st.lists(visits, max_size=30))
def test_any_mix_of_sizes_goes_on_and_everything_is_given_back(asked):
    room, came_in, inside = Room(MOST), [], dict[int, int]()

    async def visit(number, size, turns_out, turns):
        held = await room.take(size)
        came_in.append(number)
        inside[number] = max(size, turns_out)
        try:
            # Those who are inside have room, or one is alone that needs more than there is; or one has grown.
            room_for_all = sum(inside.values()) <= MOST
            assert room_for_all or len(inside) == 1 or any(asked[other][1] > asked[other][0] for other in inside)
            held.resize(turns_out)
            inside[number] = turns_out
            for _ in range(turns):
                await asyncio.sleep(0)
        finally:
            held.give_back()
            held.give_back()
            del inside[number]

    async def cancelled(task, turns):
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()

    async def everybody():
        tasks = [asyncio.create_task(visit(number, *one[:3])) for number, one in enumerate(asked)]
        others = [
            asyncio.create_task(cancelled(task, one[3]))
            for task, one in zip(tasks, asked, strict=True)
            if one[3] is not None
        ]
        # Only a room in which everybody waits takes so long.
        async with asyncio.timeout(20):
            await asyncio.gather(*tasks, *others, return_exceptions=True)
        return [task.exception() for task in tasks if not task.cancelled()]

    assert set(asyncio.run(everybody())) <= {None}
    assert came_in == sorted(came_in)
    assert len(came_in) >= sum(one[3] is None for one in asked)
    assert room.used_bytes == 0


async def test_what_is_larger_than_the_room_goes_alone():
    room = Room(MOST)
    small = await room.take(1)
    large = asyncio.create_task(room.take(5 * MOST))
    behind = asyncio.create_task(room.take(1))
    await asyncio.sleep(0.01)
    assert not large.done()
    small.give_back()
    held = await large
    await asyncio.sleep(0.01)
    assert not behind.done()
    held.give_back()
    (await behind).give_back()
    assert room.used_bytes == 0


async def test_whoever_is_cancelled_while_it_waits_stands_in_nobodys_way():
    room = Room(MOST)
    held = await room.take(MOST - 1)
    large, small = asyncio.create_task(room.take(MOST)), asyncio.create_task(room.take(1))
    await asyncio.sleep(0.01)
    assert not small.done()
    large.cancel()
    (await small).give_back()
    held.give_back()
    assert room.used_bytes == 0


async def test_whoever_is_cancelled_as_its_turn_comes_holds_nothing():
    room = Room(MOST)
    held = await room.take(MOST)
    waiting = asyncio.create_task(room.take(MOST))
    await asyncio.sleep(0)
    held.give_back()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    (await room.take(MOST)).give_back()
    assert room.used_bytes == 0


def test_threads_wait_for_their_turn():
    room, inside, most = Room(MOST), [], []

    def work(size):
        with room.taken(size):
            inside.append(size)
            most.append(sum(inside))
            inside.remove(size)

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(work, [MOST - 1, 2, MOST, 1] * 50))
    assert len(most) == 200
    assert max(most) <= MOST
    assert room.used_bytes == 0


async def test_room_is_offered_only_where_there_is_some_and_nobody_waits():
    room = Room(MOST)
    first = room.offered(60)
    assert first is not None
    assert room.offered(41) is None
    second = room.offered(40)
    assert second is not None
    waiting = asyncio.ensure_future(room.take(80))
    await asyncio.sleep(0)
    second.give_back()
    assert room.offered(1) is None
    first.give_back()
    (await waiting).give_back()
    assert room.used_bytes == 0
