"""Pages are asked for and typed before they are wanted; the record of a read tells of what was given out alone."""

from __future__ import annotations

import asyncio
import time

import pytest
from starlette.responses import JSONResponse

from keyturn.errors import IncompleteData
from keyturn.services import reads, rows_out
from keyturn.services.one_ahead import FEW
from surfaces import serving

NEXT = {"rows_path": "$.data", "pagination": {"type": "next_url", "next_url_path": "$.next"}}


def pages(bent=None):
    """Three pages of one row; `bent` is what the quantity is on the third."""

    def answer(asked):
        page = int(asked["query"].get("p", 1))
        rows = [{"id": page, "quantity": bent if page == 3 and bent is not None else page}]
        return JSONResponse({"data": rows, "next": f"?p={page + 1}" if page < 3 else None})

    return answer


@pytest.fixture
def api():
    with serving() as found:
        found.on("orders", pages())
        yield found


@pytest.fixture
async def table(place, api):
    connection = await place.connection(base_url=api.url, auth={"type": "none"})
    return await place.table(connection, **NEXT)


async def until(seen):
    deadline = time.monotonic() + 20
    while not seen():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_a_read_that_is_left_is_cancelled_though_its_last_page_had_come(place, api, table):
    read = await reads.begin(place.ana, table.id)
    batches = read.batches()
    assert (await anext(batches)).data["id"].to_pylist() == [1]
    await until(lambda: len(api.asked) == 3)
    await until(lambda: read.completeness.stop_reason == "no_next")
    await batches.aclose()
    stamp = (await reads.stamp(place.ana, read.id))["completeness"]
    assert (stamp["stop_reason"], stamp["complete"]) == ("cancelled", False)


async def test_a_stream_that_cannot_take_a_wider_column_says_so_in_its_record(place, api, table):
    assert [chunk async for chunk in (await rows_out.begin(place.ana, table.id, format="arrow")).chunks]
    api.on("orders", pages("two"))
    stream = await rows_out.begin(place.ana, table.id, format="arrow")
    with pytest.raises(IncompleteData):
        async for _ in stream.chunks:
            pass
    record = await reads.stamp(place.ana, stream.read_id)
    assert (record["error"]["message_code"], record["completeness"]["complete"]) == ("E-SCHEMA", False)
    assert [chunk async for chunk in (await rows_out.begin(place.ana, table.id, format="arrow")).chunks]


async def test_a_read_has_its_end_only_when_its_last_page_is_typed(place, api, table):
    typed = []

    async def drained():
        assert (await reads.stamp(place.ana, read.id))["completeness"] is None
        typed.extend([(await asyncio.to_thread(page)).data["id"].to_pylist() for page in given])

    read, given = await reads.begin(place.ana, table.id), []
    async for page in read.pages(drained):
        given.append(page)
    assert typed == [[1], [2], [3]]
    assert (await reads.stamp(place.ana, read.id))["completeness"]["complete"] is True


async def test_a_read_whose_last_page_could_not_be_put_anywhere_is_not_on_record_as_whole(place, api, table):
    async def drained():
        raise OSError(28, "No space left on device")

    async def read_to_the_end():
        async for page in read.pages(drained):
            await asyncio.to_thread(page)

    read = await reads.begin(place.ana, table.id)
    with pytest.raises(OSError, match="No space left"):
        await read_to_the_end()
    stamp = (await reads.stamp(place.ana, read.id))["completeness"]
    assert (stamp["stop_reason"], stamp["complete"]) == ("cancelled", False)


async def test_where_many_are_read_at_once_no_page_is_asked_for_before_the_one_before_it_is_taken(place, api, table):
    many = [(await reads.begin(place.ana, table.id)).batches() for _ in range(FEW + 2)]
    try:
        for batches in many:
            assert (await anext(batches)).data["id"].to_pylist() == [1]
        # Those that began while there were few looked ahead; the last one waits until it is asked again.
        await asyncio.sleep(0.3)
        asked = len(api.asked)
        assert (await anext(many[-1])).data["id"].to_pylist() == [2]
        await asyncio.sleep(0.1)
        assert len(api.asked) == asked + 1
    finally:
        for batches in many:
            await batches.aclose()
