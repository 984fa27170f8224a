"""What a read holds of the room for pages: a page at a time, from before it is asked for until it is typed."""

from __future__ import annotations

import asyncio

import pytest

from keyturn.errors import UpstreamError
from keyturn.rest.checkpoints import NO_PAGE, Checkpoint
from keyturn.rest.fetching import AHEAD_BYTES
from keyturn.rest.reader import Page
from keyturn.room import Room
from keyturn.services import page_room
from keyturn.services.one_ahead import ahead_bytes, under_way
from keyturn.services.page_room import UNKNOWN_BYTES, VALUES_TIMES, PageRoom
from keyturn.wire import Request, Response

REQUEST = Request("GET", "https://api.test/rows")
BODY = b"[" + b" " * 998 + b"]"


@pytest.fixture
def room(monkeypatch):
    own = Room(page_room.ROOM_BYTES)
    monkeypatch.setattr(page_room, "_room", own)
    monkeypatch.setattr(page_room, "_weights", {})
    return own


def a_page(response, raw=BODY):
    point = Checkpoint("here", None, pages=1, rows=0, reported_total=None, last_page=NO_PAGE)
    return Page(1, response, None, 0, raw, point)


def answering(room, seen, *statuses):
    answers = iter(statuses)

    async def send(request, **limits):
        seen.append(room.used_bytes)
        status = next(answers)
        if status is None:
            raise UpstreamError("It broke.")
        return Response(status, body=BODY)

    return send


async def test_room_is_taken_before_a_page_is_asked_for_and_what_came_is_what_it_weighs(room):
    seen, mine = [], PageRoom("tb_1")
    response = await mine.around(answering(room, seen, 200))(REQUEST)
    assert (seen, room.used_bytes) == ([UNKNOWN_BYTES], len(BODY))
    mine.given(a_page(response)).give_back()
    assert room.used_bytes == 0


async def test_the_next_page_of_a_table_is_taken_for_as_large_as_the_last_one(room):
    seen, mine = [], PageRoom("tb_1")
    send = mine.around(answering(room, seen, 200, 200))
    mine.given(a_page(await send(REQUEST))).give_back()
    mine.given(a_page(await send(REQUEST))).give_back()
    another = PageRoom("tb_1")
    await another.around(answering(room, seen, 200))(REQUEST)
    assert seen == [UNKNOWN_BYTES, len(BODY), len(BODY)]
    another.close()
    assert room.used_bytes == 0


async def test_rows_that_are_values_already_weigh_what_values_weigh(room):
    mine = PageRoom("tb_1")
    response = await mine.around(answering(room, [], 200))(REQUEST)
    mine.given(a_page(response, raw=None))
    assert room.used_bytes == VALUES_TIMES * len(BODY)


@pytest.mark.parametrize("status", [429, 503, None])
async def test_nothing_is_held_while_an_answer_that_was_none_is_waited_for(room, status):
    send = PageRoom("tb_1").around(answering(room, [], status))
    try:
        await send(REQUEST)
    except UpstreamError:
        assert status is None
    assert room.used_bytes == 0


async def test_pages_that_gave_none_are_let_go_before_more_is_asked_for(room):
    # A page of a parent, an empty one: whoever held it while waiting for more could wait for ever.
    mine, seen = PageRoom("tb_1"), []
    send = mine.around(answering(room, seen, 200, 200, 200))
    for _ in range(3):
        await send(REQUEST)
    assert seen == [UNKNOWN_BYTES] * 3
    assert room.used_bytes == len(BODY)


async def test_what_is_asked_for_before_its_turn_takes_none(room):
    mine, seen = PageRoom("tb_1"), []
    response = await mine.around(answering(room, seen, 200))(REQUEST, max_bytes=1 << 20)
    assert mine.given(a_page(response)) is None
    assert (seen, room.used_bytes) == ([0], 0)


async def test_a_read_that_ends_gives_back_what_it_held_also_for_pages_nobody_took(room):
    mine = PageRoom("tb_1")
    send = mine.around(answering(room, [], 200, 200, 200))
    for _ in range(2):
        mine.given(a_page(await send(REQUEST)))
    await send(REQUEST)
    assert room.used_bytes == 3 * len(BODY)
    mine.close()
    assert room.used_bytes == 0


async def test_a_read_that_is_cancelled_on_its_way_gives_back_what_it_held(room):
    hanging = asyncio.Event()

    async def send(request):
        hanging.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(PageRoom("tb_1").around(send)(REQUEST))
    await hanging.wait()
    assert room.used_bytes == UNKNOWN_BYTES
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert room.used_bytes == 0


async def test_reads_share_what_may_lie_there_before_it_is_due():
    assert ahead_bytes() == AHEAD_BYTES
    names = [f"rd_{number}" for number in range(48)]
    with under_way("rd_first"):
        assert ahead_bytes() == AHEAD_BYTES
        holders = [under_way(name) for name in names]
        for holder in holders:
            holder.__enter__()
        assert ahead_bytes() * 49 <= 4 * AHEAD_BYTES
        for holder in holders:
            holder.__exit__(None, None, None)
    assert ahead_bytes() == AHEAD_BYTES
