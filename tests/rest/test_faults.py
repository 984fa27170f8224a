"""The faults every reader meets, one test each: 100 pages of rows, and nothing lost, doubled, bent or unsaid."""

from __future__ import annotations

import json

import orjson
import pytest

from keyturn.columns.keys import Deduplicator
from keyturn.columns.pages import PageTyper
from keyturn.errors import UpstreamError
from keyturn.rest.checkpoints import Checkpoint
from keyturn.rest.paginators import CursorPagination, OffsetPagination, PageNumberPagination
from keyturn.rest.reader import BARREN_PAGES, Endpoint, Reader

PAGES, SIZE = 100, 50
OFFSET = OffsetPagination(total_path="$.total", limit=SIZE)


class Faulty:
    """Rows behind an API that fails as told: `at` a page, `answers` come first; `bend` changes rows from there on."""

    def __init__(self, make_api, *, at=50, answers=(), bend=None, style="offset"):
        rows = [{"id": n, "name": f"row {n}", "quantity": n % 7} for n in range(PAGES * SIZE)]
        if bend is not None:
            for row in rows[(at - 1) * SIZE :]:
                row["quantity"] = bend(row["quantity"])
        self.api = make_api(style, rows, size=SIZE)
        self.at, self.answers, self.waits, self.count = at, list(answers), [], 0

    async def send(self, request, **limits):
        self.count += 1
        if self.count >= self.at and self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        return await self.api.send(request)

    async def sleep(self, seconds):
        self.waits.append(seconds)

    async def read(self, get, *, paging=OFFSET, policy="add", pins=None, resume_from=None, most=None):
        """Typed rows, the stamp, the rejects and the last checkpoint."""
        reader = Reader(Endpoint(get, "$.data", paging), self.send, sleep=self.sleep, ahead=4, resume_from=resume_from)
        typer, keys = PageTyper(pins=pins or {}, when_columns_change=policy), Deduplicator(["id"])
        batches, rejects, checkpoint, moved = [], [], None, []
        pages = reader.pages()
        async for page in pages:
            typed = typer.add(page)
            batches.append(keys.add(typed.data))
            rejects += typed.rejects
            checkpoint = page.checkpoint
            moved += [typed.widened_by] if typed.widened_by else []
            if page.number == most:
                await pages.aclose()
                break
        stamp = reader.completeness.less(keys.duplicates, len(rejects), paging=True)
        return [row for batch in batches for row in batch.to_pylist()], stamp, rejects, checkpoint, moved


def whole(rows, stamp):
    assert [row["id"] for row in rows] == list(range(PAGES * SIZE))
    assert (stamp.complete, stamp.rows) == (True, PAGES * SIZE)


async def test_429_with_retry_after_is_one_wait_and_no_extra_request(make_api, get, respond):
    faulty = Faulty(make_api, answers=[respond({}, 429, Retry_After="5")], style="cursor")
    paging = CursorPagination(cursor_path="$.meta.next_cursor", has_more_path="$.meta.has_more")
    rows, stamp, *_ = await faulty.read(get, paging=paging)
    assert len(rows) == PAGES * SIZE
    assert stamp.complete is True
    assert faulty.waits == [5.0]
    assert faulty.count == PAGES + 1


@pytest.mark.parametrize("value", ["Tue, 01 Jan 2019 00:00:00 GMT", "-5", "1e9999", "soon", ""])
async def test_429_with_a_date_in_the_past_or_nonsense_is_a_short_wait(make_api, get, respond, value):
    faulty = Faulty(make_api, answers=[respond({}, 429, Retry_After=value)])
    rows, stamp, *_ = await faulty.read(get)
    whole(rows, stamp)
    assert all(0 < wait < 5 for wait in faulty.waits)


async def test_429_that_asks_for_a_year_ends_the_read_in_words(make_api, get, respond):
    faulty = Faulty(make_api, answers=[respond({}, 429, Retry_After="31536000")])
    with pytest.raises(Exception, match="asks us to wait 31536000 s"):
        await faulty.read(get)
    assert faulty.waits == []


async def test_500_three_times_passes(make_api, get, respond):
    faulty = Faulty(make_api, answers=[respond({}, 500)] * 3)
    rows, stamp, *_ = await faulty.read(get)
    whole(rows, stamp)


async def test_a_body_cut_once_passes(make_api, get):
    faulty = Faulty(make_api, answers=[UpstreamError("The host broke the connection.", sent=None)])
    rows, stamp, *_ = await faulty.read(get)
    whole(rows, stamp)


@pytest.mark.parametrize(
    ("bend", "kind"),
    [(lambda q: f"{q} pcs", "string"), (lambda q: {"value": q, "unit": "pcs"}, "json"), (lambda _: 2**63, "string"),
     (lambda q: q + 0.5, "float64"), (lambda _: 2**53 + 1, "int64"), (lambda _: None, "int64")],
    ids=["int to string", "int to object", "int64 overflow", "int to float", "beyond a double", "int to null"],
)  # fmt: skip
async def test_a_type_that_changes_is_told_and_every_value_is_exact(make_api, get, bend, kind):
    faulty = Faulty(make_api, bend=bend)
    rows, stamp, rejects, _, moved = await faulty.read(get)
    whole(rows, stamp)
    assert rejects == []
    after, before = bend(3), 3
    cell = rows[3]["quantity"], rows[49 * SIZE + (3 - 49 * SIZE) % 7]["quantity"]
    assert cell[0] == before
    assert (json.loads(cell[1]) if kind == "json" or after == 2**63 else cell[1]) == after
    assert [misfit.column for misfit in moved] == ([] if after is None else ["quantity"])


@pytest.mark.parametrize("policy", ["ask", "ignore"])
async def test_by_policy_the_type_stays_and_each_value_that_does_not_fit_is_listed(make_api, get, policy):
    faulty = Faulty(make_api, bend=lambda q: {"value": q})
    rows, stamp, rejects, _, moved = await faulty.read(get, policy=policy)
    assert len(rows) == PAGES * SIZE
    assert moved == []
    assert stamp.rejected == len(rejects) == 51 * SIZE
    assert (rejects[0].row_number, rejects[0].source_path) == (49 * SIZE + 1, "$.quantity")
    assert orjson.loads(rejects[0].value) == {"value": 0}
    assert all(row["quantity"] is None for row in rows[49 * SIZE :])


async def test_rows_inserted_while_paging_are_found_by_key_counted_and_dropped(make_api, get):
    faulty = Faulty(make_api, style="page_number")
    original = faulty.api.send

    async def shifting(request):
        if len(faulty.api.asked) == 49:
            faulty.api.rows[:0] = [{"id": -n, "name": "new", "quantity": 1} for n in range(1, 6)]
        return await original(request)

    faulty.api.send = shifting
    paging = PageNumberPagination(size_param="per_page", size=SIZE)
    rows, stamp, *_ = await faulty.read(get, paging=paging)
    assert [row["id"] for row in rows] == list(range(PAGES * SIZE))
    assert (stamp.duplicates, stamp.rows) == (5, PAGES * SIZE)


async def test_killed_at_half_and_run_again_reads_each_page_once(make_api, get):
    faulty = Faulty(make_api)
    first, _, _, checkpoint, _ = await faulty.read(get, most=50)
    stored = Checkpoint.from_dict(json.loads(json.dumps(checkpoint.as_dict())))
    asked = {request.url for request in faulty.api.asked}
    again = Faulty(make_api)
    rest, stamp, *_ = await again.read(get, resume_from=stored)
    whole(first + rest, stamp)
    assert len(asked & {request.url for request in again.api.asked}) < PAGES * 0.05 + 4


async def test_a_total_that_lies_is_never_complete(make_api, get, respond):
    faulty = Faulty(make_api)
    original = faulty.api.offset

    def lying(request):
        body = orjson.loads(original(request).body)
        return respond({**body, "total": PAGES * SIZE + 1000})

    faulty.api.offset = lying
    rows, stamp, *_ = await faulty.read(get)
    assert len(rows) == PAGES * SIZE
    assert (stamp.complete, stamp.stop_reason) == (False, "empty_page")
    assert stamp.note == "The API reported 6,000 rows and 5,000 came."


async def test_an_endless_cursor_ends_with_its_reason(get, respond):
    async def send(request, **_):
        count = int(request.url.partition("cursor=c")[2] or 0)
        return respond({"data": [{"id": count}], "next": f"c{(count + 1) % 40}"})

    reader = Reader(Endpoint(get, "$.data", CursorPagination(cursor_path="$.next")), send, ahead=16)
    # The first request has no cursor, so page 1 comes once more under its own name before the circle closes.
    assert len([page async for page in reader.pages()]) == 41
    assert (reader.completeness.stop_reason, reader.completeness.complete) == ("repeated_cursor", False)


async def test_a_cursor_that_goes_on_for_ever_without_a_row_ends_with_its_reason(get, respond):
    asked = []

    async def send(request, **_):
        asked.append(request)
        return respond({"data": [{"id": 1}] if len(asked) == 1 else [], "next": f"c{len(asked)}"})

    reader = Reader(Endpoint(get, "$.data", CursorPagination(cursor_path="$.next")), send)
    async for _ in reader.pages():
        assert len(asked) < 2 * BARREN_PAGES, "it never ends"
    stamp = reader.completeness
    assert (stamp.rows, stamp.stop_reason, stamp.complete) == (1, "repeated_page", False)
    assert len(asked) == BARREN_PAGES + 2
    assert stamp.note.startswith("Page 1002 is identical to page 1001, so we stopped. 1 rows")


async def test_pages_without_rows_between_those_with_rows_are_passed_over(get, respond):
    asked = []

    async def send(request, **_):
        asked.append(request)
        rows = [{"id": len(asked)}] if len(asked) % 500 == 0 else []
        return respond({"data": rows, "next": f"c{len(asked)}" if len(asked) < 2500 else None})

    reader = Reader(Endpoint(get, "$.data", CursorPagination(cursor_path="$.next")), send)
    found = [row["id"] async for page in reader.pages() for row in page.rows]
    assert found == [500, 1000, 1500, 2000, 2500]
    assert reader.completeness.complete is True
