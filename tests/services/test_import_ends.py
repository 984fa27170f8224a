"""Who waits for an import's end hears of it at once, or is told how it stands when their time is over."""

from __future__ import annotations

import asyncio

import pytest

from keyturn.errors import NotFound
from keyturn.services import import_runs, imports
from surfaces import serving

FILE = {"type": "parquet", "url": "rows.parquet"}


@pytest.fixture
async def queued(place, monkeypatch):
    # Nobody looks again by itself: only the wake-up can tell.
    monkeypatch.setattr(imports, "_WATCH_SECONDS", 600)
    with serving() as api:
        api.on("orders", {"data": [{"id": 1}]})
        connection = await place.connection(base_url=api.url, auth={"type": "none"})
        table = await place.table(connection, rows_path="$.data")
        yield await imports.create(place.ana, {"table_id": table.id, "destination": FILE})


async def run(place):
    ((claimed, epoch),) = await import_runs.claim(place.ana)
    await import_runs.run(place.ana, claimed, epoch)


async def cancel(place):
    await imports.cancel(place.ana, (await imports.list_(place.ana))[0].id)


@pytest.mark.parametrize(("ends", "status"), [(run, "complete"), (cancel, "cancelled")])
async def test_the_end_is_told_when_it_comes(place, queued, ends, status):
    waiting = asyncio.create_task(imports.ended(place.ana, queued.id, 600))
    seen = asyncio.create_task(_all(imports.watch(place.ana, queued.id)))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    async with asyncio.timeout(60):
        await ends(place)
        assert (await waiting).status == status
        assert [item.status for item in await seen] == ["queued", status]


async def test_what_has_not_ended_is_told_as_it_is_when_the_time_is_over(place, queued):
    assert (await imports.ended(place.ana, queued.id, 0)).status == "queued"
    assert (await imports.ended(place.ana, queued.id, 0.05)).status == "queued"


async def test_what_is_not_there_is_told_at_once(place):
    async with asyncio.timeout(60):
        with pytest.raises(NotFound):
            await imports.ended(place.ana, "im_none", 600)


async def _all(news):
    return [item async for item in news]
