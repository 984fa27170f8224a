"""Pages land beside the reading: kept in hand while the destination is away, and none taken while landing takes long."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest

from keyturn.columns.schema import Column, Schema
from keyturn.destinations.destination import Away, Doubtful
from keyturn.rest.checkpoints import Checkpoint
from keyturn.services import landings
from keyturn.services.landings import Landing
from keyturn.services.reads import Batch

SCHEMA = Schema((Column("id", "int64", "$.id"),))


@dataclass
class Shelf:
    """A destination that holds pages in memory: each of `failures` is raised once, and `free` lets it land."""

    failures: list[Exception] = field(default_factory=list)
    failures_landing: list[Exception] = field(default_factory=list)
    free: threading.Event = field(default_factory=threading.Event)
    added: int = 0
    landed: int = 0
    crowded = False

    def add(self, batch: pa.RecordBatch, schema: Schema) -> int:
        if self.failures:
            raise self.failures.pop(0)
        self.added += 1
        return self.added

    def land(self, mark: int, read: dict[str, Any]) -> dict[str, Any]:
        self.free.wait(30)
        if self.failures_landing:
            raise self.failures_landing.pop(0)
        self.landed = mark
        return {"read": read}


@dataclass
class Size:
    """No limit."""

    bytes: int = 0

    async def grow(self, size: int) -> None:
        self.bytes += size


@dataclass
class Row:
    """What is written into the import's row."""

    pages: int = 0
    told: list[str] = field(default_factory=list)
    size: Size = field(default_factory=Size)

    async def at_work(self, **values: Any) -> None:
        self.pages = values["pages"]

    async def waits_for_destination(self, seconds: float, reason: str) -> None:
        self.told.append(reason)


class Read:
    """Nothing was rejected."""

    async def kept(self, batch: Batch) -> Batch:
        return batch


@pytest.fixture
def made():
    def make(**faults: Any) -> tuple[Landing, Shelf, Row]:
        shelf, row = Shelf(**faults), Row()
        shelf.free.set()
        landing = Landing(row, Read(), shelf)
        landing.start()
        return landing, shelf, row

    return make


def page(number: int) -> Callable[[], Batch]:
    """A page that can be typed once."""
    data = pa.RecordBatch.from_pydict({"id": [number]})
    given = [Batch(number, data, SCHEMA, None, Checkpoint("e", None, pages=number, rows=number))]
    return given.pop


def full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


async def test_pages_are_kept_in_hand_while_the_destination_is_away(made):
    landing, shelf, row = made(failures=[full(), full()], failures_landing=[Away("The database is away."), full()])
    for number in range(1, 4):
        await landing.page(page(number))
    await landing.settle()
    assert (shelf.added, shelf.landed, row.pages) == (3, 3, 3)
    assert {"The file could not be written (No space left on device)."} == {*row.told}


@pytest.mark.parametrize(
    "error", [Doubtful(errno.EIO, "Input/output error"), OSError(errno.EACCES, "Permission denied")]
)
async def test_what_waiting_does_not_mend_ends_the_run_at_once(made, error):
    landing, shelf, _ = made(failures_landing=[error])
    await landing.page(page(1))
    with pytest.raises(OSError, match=error.strerror):
        await landing.settle()
    assert shelf.landed == 0


async def test_patience_has_an_end(made, monkeypatch):
    monkeypatch.setattr(landings, "_PATIENCE_SECONDS", 0.5)
    landing, shelf, _ = made(failures=[full() for _ in range(1000)])
    await landing.page(page(1))
    with pytest.raises(OSError, match="No space left"):
        await landing.drained()
    with pytest.raises(OSError, match="No space left"):
        await landing.page(page(2))
    with pytest.raises(OSError, match="No space left"):
        await landing.settle()
    assert shelf.added == 0


async def test_a_run_that_ends_does_not_wait_for_its_destination(made):
    landing, shelf, _ = made(failures_landing=[full()])
    landing.hurry()
    await landing.page(page(1))
    with pytest.raises(OSError, match="No space left"):
        await landing.settle()
    assert shelf.landed == 0


async def test_no_page_is_taken_while_a_landing_takes_long(made):
    landing, shelf, row = made()
    shelf.free.clear()

    async def feed() -> None:
        for number in range(1, 201):
            await landing.page(page(number))
            await asyncio.sleep(0.005)

    feeding = asyncio.create_task(feed())
    await asyncio.wait({feeding}, timeout=3)
    assert shelf.added < 200
    assert not feeding.done()
    shelf.free.set()
    await feeding
    await landing.settle()
    assert (shelf.landed, row.pages) == (200, 200)


async def test_what_came_lands_by_itself_when_no_more_comes(made):
    landing, shelf, row = made()
    for number in range(1, 31):
        await landing.page(page(number))
    while shelf.landed < 30:  # noqa: ASYNC110 - the shelf is another thread's
        await asyncio.sleep(0.005)
    await landing.settle()
    assert (row.pages, row.size.bytes) == (30, 240)
