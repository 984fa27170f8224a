"""Pages are asked for ahead where that is safe, never twice, and never while the API asks to wait."""

from __future__ import annotations

import asyncio

import pytest

from keyturn.errors import UpstreamError
from keyturn.rest.pace import Pace
from keyturn.rest.paginators import OffsetPagination, PageNumberPagination
from keyturn.rest.reader import Endpoint, Reader

STYLES = {
    "page_number": PageNumberPagination(total_pages_path="$.total_pages"),
    "offset": OffsetPagination(total_path="$.total"),
}


class Watched:
    """An API that counts how many requests are in flight."""

    def __init__(self, api):
        self.api, self.now, self.most = api, 0, 0
        self.begun = self.ended = self.dropped = 0

    async def send(self, request, **_):
        self.now += 1
        self.begun += 1
        self.most = max(self.most, self.now)
        try:
            for _ in range(5):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.dropped += 1
            raise
        self.now -= 1
        self.ended += 1
        return await self.api.send(request)


@pytest.mark.parametrize("style", STYLES)
async def test_counted_pages_are_asked_ahead_once_and_come_in_order(make_api, get, style):
    api = make_api(style, 5050)
    watched = Watched(api)
    reader = Reader(Endpoint(get, "$.data", STYLES[style]), watched.send, ahead=16)
    rows = [row async for page in reader.pages() for row in page.rows]
    assert rows == api.rows
    assert reader.completeness.complete is True
    asked = [request.url for request in api.asked]
    assert len(asked) == len(set(asked)) == 51
    assert 8 <= watched.most <= 16


async def test_what_is_asked_ahead_stays_within_the_row_limit(make_api, get):
    api = make_api("offset", 5000)
    reader = Reader(Endpoint(get, "$.data", STYLES["offset"]), api.send, ahead=16, max_rows=450)
    assert [len(page.rows) async for page in reader.pages()] == [100, 100, 100, 100, 50]
    assert len(api.asked) == 5


async def test_what_was_asked_ahead_is_dropped_when_the_reader_is_left(make_api, get):
    watched = Watched(make_api("offset", 5000))
    pages = Reader(Endpoint(get, "$.data", STYLES["offset"]), watched.send, ahead=16).pages()
    await anext(pages)
    await anext(pages)
    await pages.aclose()
    for _ in range(20):
        await asyncio.sleep(0)
    assert watched.begun - watched.ended == watched.dropped
    assert not [task for task in asyncio.all_tasks() if "fetch" in repr(task.get_coro())]


async def test_an_api_that_gives_less_than_announced_is_still_read_whole(make_api, get):
    api = make_api("offset", 1000, size=100)
    original = api.part

    def shorter(start, size):
        return original(start, 60 if start >= 300 else size)

    api.part = shorter
    reader = Reader(Endpoint(get, "$.data", STYLES["offset"]), api.send, ahead=16)
    assert [row async for page in reader.pages() for row in page.rows] == api.rows


async def test_one_reader_told_to_wait_holds_back_all_of_its_connection(make_api, get, respond):
    now = [100.0]
    pace = Pace(clock=lambda: now[0])
    waits = []

    async def sleep(seconds):
        waits.append(round(seconds, 3))
        now[0] += seconds

    told = [respond({}, 429, Retry_After="5")]
    api = make_api("offset", 100)

    async def send(request):
        return told.pop() if told else await api.send(request)

    async def rows():
        reader = Reader(Endpoint(get, "$.data", STYLES["offset"]), send, pace=pace, sleep=sleep)
        return [row async for page in reader.pages() for row in page.rows]

    pace.hold(3)
    assert await rows() == api.rows
    assert waits == [3.0, 5.0]
    assert await rows() == api.rows
    assert waits == [3.0, 5.0]


async def test_the_own_cap_spreads_the_requests(make_api, get):
    now = [0.0]
    pace = Pace(per_second=4, clock=lambda: now[0])
    waits = []

    async def sleep(seconds):
        waits.append(round(seconds, 3))
        now[0] += seconds

    api = make_api("offset", 500)
    reader = Reader(Endpoint(get, "$.data", STYLES["offset"]), api.send, pace=pace, sleep=sleep)
    assert len([page async for page in reader.pages()]) == 5
    assert waits == [0.25] * 4


async def test_a_page_too_large_to_wait_is_asked_for_again_in_its_turn(make_api, get):
    api, limits = make_api("offset", 3000), []

    async def send(request, max_bytes=None):
        if max_bytes is not None and "offset=1000" in request.url:
            limits.append(max_bytes)
            raise UpstreamError("The answer is too large.", message_code="E-TOOBIG")
        return await api.send(request)

    reader = Reader(Endpoint(get, "$.data", STYLES["offset"]), send, ahead=16)
    rows = [row async for page in reader.pages() for row in page.rows]
    assert rows == api.rows
    assert limits == [4 << 20]
