"""The loop visits every page once, stops for a reason, and its stamp never says more than is known."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.errors import LimitReached, Unavailable, UpstreamError
from keyturn.rest.paginators import (
    AutoPagination,
    CursorPagination,
    LinkHeaderPagination,
    NextUrlPagination,
    NoPagination,
    OffsetPagination,
    PageNumberPagination,
)
from keyturn.rest.reader import Completeness, Endpoint, Reader, verdict
from keyturn.wire import Headers, Request

# What a stamp says of rows when there is nothing to say.
UNREMARKABLE = dict(list(Completeness().as_dict().items())[7:])

STYLES = {
    "none": (NoPagination(), "$.data"),
    "next_url": (NextUrlPagination(next_url_path="$.paging.next"), "$.data"),
    "link_header": (LinkHeaderPagination(), "$"),
    "page_number": (PageNumberPagination(total_pages_path="$.total_pages"), "$.data"),
    "offset": (OffsetPagination(total_path="$.total"), "$.data"),
    "cursor": (CursorPagination(cursor_path="$.meta.next_cursor", has_more_path="$.meta.has_more"), "$.data"),
}


async def no_sleep(seconds: float) -> None:
    """Waiting takes no time here."""


async def read(api, request, pagination=None, rows_path=None, **settings):
    """Every row, and the reader afterwards."""
    usual, path = STYLES.get(api.style, (None, "$"))
    endpoint = Endpoint(request, rows_path or path, pagination or usual)
    reader = Reader(endpoint, api.send, sleep=no_sleep, **settings)
    rows = []
    async for page in reader.pages():
        rows += page.rows
        assert len(rows) <= reader.completeness.rows
    assert len(rows) == reader.completeness.rows
    return rows, reader


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 200, 250])
@pytest.mark.parametrize("style", [style for style in STYLES if style != "none"])
async def test_every_style_visits_each_page_once(make_api, get, style, count):
    api = make_api(style, count)
    rows, reader = await read(api, get)
    assert rows == api.rows
    assert reader.completeness.complete is True
    assert reader.completeness.stop_reason in {"no_next", "has_more_false", "total_reached", "empty_page"}
    asked = [request.url for request in api.asked]
    assert len(asked) == len(set(asked)) == max(1, -(-count // 100))


@given(count=st.integers(0, 60), size=st.integers(1, 12), style=st.sampled_from([s for s in STYLES if s != "none"]))
def test_any_size_of_page_gives_every_row_once(make_api, get, count, size, style):
    api = make_api(style, count, size=size)
    rows, reader = asyncio.run(read(api, get))
    assert rows == api.rows
    assert reader.completeness.complete is True
    assert reader.completeness.pages == max(1, -(-count // size))


@pytest.mark.parametrize("where", ["query", "header", "body"])
async def test_a_cursor_travels_where_the_api_wants_it(make_api, get, where):
    name = "X-Cursor" if where == "header" else "cursor"
    paging = CursorPagination(cursor_path="$.meta.next_cursor", cursor_param=name, cursor_in=where)
    request = replace(get, method="POST", body=b"{}") if where == "body" else get
    api = make_api("cursor", 250)
    rows, reader = await read(api, request, paging)
    assert rows == api.rows
    assert reader.completeness.stop_reason == "no_next"


async def test_an_api_that_gives_less_than_asked_is_read_to_its_end(make_api, get):
    for paging in (
        PageNumberPagination(size_param="per_page", size=500),
        OffsetPagination(limit=500),
    ):
        api = make_api(paging.type, 250, most=100)
        rows, reader = await read(api, get, paging)
        assert rows == api.rows
        assert reader.completeness.stop_reason == "short_page"
        assert reader.completeness.complete is None


async def test_a_404_after_the_last_numbered_page_is_the_end(make_api, get):
    api = make_api("page_number", 200, past_end=404)
    rows, reader = await read(api, get, PageNumberPagination(size_param="per_page", size=100))
    assert rows == api.rows
    assert (reader.completeness.stop_reason, reader.completeness.complete) == ("empty_page", None)


async def test_an_empty_page_ends_numbered_pages_without_a_count(make_api, get):
    rows, reader = await read(make_api("page_number", 200), get, PageNumberPagination())
    assert len(rows) == 200
    assert reader.completeness.as_dict() == {
        "rows": 200,
        "pages": 3,
        "reported_total": None,
        "stop_reason": "empty_page",
        "complete": None,
        "truncated": False,
        "note": None,
        **UNREMARKABLE,
    }


async def test_no_content_is_a_page_without_rows(get, respond):
    async def send(request):
        return respond(b"", 204)

    reader = Reader(Endpoint(get, "$.data", NoPagination()), send)
    assert [page.rows async for page in reader.pages()] == [[]]
    assert reader.completeness.complete is True


@pytest.mark.parametrize("count", [10, 100, 1000])
@pytest.mark.parametrize("paging", [NoPagination(), AutoPagination()])
async def test_one_full_page_and_no_paging_is_incomplete(make_api, get, paging, count):
    _, reader = await read(make_api("none", count), get, paging)
    assert reader.completeness.complete is False
    assert reader.completeness.note == (
        f"We got exactly {count:,} rows and no paging is set, so there are probably more."
    )


@pytest.mark.parametrize("count", [0, 7, 101])
async def test_one_page_of_an_unusual_size_is_complete(make_api, get, count):
    _, reader = await read(make_api("none", count), get)
    assert (reader.completeness.complete, reader.completeness.note) == (True, None)


async def test_a_missed_total_is_never_complete(make_api, get):
    api = make_api("offset", 250)
    endpoint = Endpoint(get, "$.data", NoPagination(), total_path="$.total")
    reader = Reader(endpoint, api.send)
    assert [len(page.rows) async for page in reader.pages()] == [100]
    assert reader.completeness.complete is False
    assert reader.completeness.note == "The API reported 250 rows and 100 came."


@pytest.mark.parametrize(("total", "known"), [("250", 250), (250, 250), (True, None), (None, None), ("many", None)])
async def test_a_total_is_a_whole_number_or_nothing(get, respond, total, known):
    async def send(request):
        return respond({"data": [{"id": 1}], "total": total})

    reader = Reader(Endpoint(get, "$.data", NoPagination(), total_path="$.total"), send)
    assert [page.reported_total async for page in reader.pages()] == [known]


@pytest.mark.parametrize(
    ("limit", "pages", "truncated", "reason"),
    [(1, 1, True, "max_rows"), (100, 1, True, "max_rows"), (150, 2, True, "max_rows"), (249, 3, True, "max_rows"), (250, 3, False, "has_more_false"), (900, 3, False, "has_more_false")],
)  # fmt: skip
async def test_a_limit_of_rows_cuts_and_says_so(make_api, get, limit, pages, truncated, reason):
    api = make_api("cursor", 250)
    rows, reader = await read(api, get, max_rows=limit)
    assert rows == api.rows[:limit]
    stamp = reader.completeness
    assert (stamp.pages, stamp.truncated, stamp.stop_reason) == (pages, truncated, reason)
    assert stamp.complete is (None if truncated else True)
    assert reader.has_more is truncated


async def test_a_limit_of_pages_is_incomplete_and_told(make_api, get):
    rows, reader = await read(
        make_api("next_url", 250), get, NextUrlPagination(next_url_path="$.paging.next", max_pages=2)
    )
    assert len(rows) == 200
    assert (reader.completeness.stop_reason, reader.completeness.complete) == ("max_pages", False)
    assert reader.completeness.note == "Reading stopped at the limit of 2 pages that is set for this table."


async def test_a_limit_of_pages_that_is_not_reached_changes_nothing(make_api, get):
    _, reader = await read(
        make_api("next_url", 250), get, NextUrlPagination(next_url_path="$.paging.next", max_pages=3)
    )
    assert reader.completeness.complete is True


async def test_a_page_that_repeats_ends_the_read(get, respond):
    async def send(request):
        return respond({"data": [{"id": n} for n in range(100)]})

    reader = Reader(Endpoint(get, "$.data", PageNumberPagination()), send)
    assert [len(page.rows) async for page in reader.pages()] == [100]
    assert (reader.completeness.stop_reason, reader.completeness.complete) == ("repeated_page", False)
    assert reader.completeness.note == (
        "Page 2 is identical to page 1, so we stopped. 100 rows were kept and marked Incomplete; check Pages."
    )


async def test_a_cursor_that_repeats_ends_the_read(get, respond):
    count = 0

    async def send(request):
        nonlocal count
        count += 1
        return respond({"data": [{"id": count}], "next": "abc"})

    reader = Reader(Endpoint(get, "$.data", CursorPagination(cursor_path="$.next")), send)
    assert [page.number async for page in reader.pages()] == [1, 2]
    assert (reader.completeness.stop_reason, reader.completeness.complete) == ("repeated_cursor", False)
    assert "leads back to a page we had" in reader.completeness.note


async def test_a_next_link_to_another_host_gives_the_rows_and_then_the_reason(get, respond):
    asked = []

    async def send(request):
        asked.append(request)
        return respond({"data": [{"id": 1}], "next": "https://evil.example/2"})

    endpoint = Endpoint(get, "$.data", NextUrlPagination(next_url_path="$.next"))
    pages = Reader(endpoint, send).pages()
    assert (await anext(pages)).rows == [{"id": 1}]
    with pytest.raises(UpstreamError, match="The token is not sent there") as caught:
        await anext(pages)
    assert len(asked) == 1
    stamp = caught.value.details["completeness"]
    assert (stamp["rows"], stamp["stop_reason"], stamp["complete"]) == (1, "error", False)
    assert [page.rows async for page in Reader(endpoint, send, max_rows=1).pages()] == [[{"id": 1}]]


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "E-NOTFOUND", "404 at /v1/things. Check the path; the connection itself works."),
        (403, "E-FORBIDDEN", "Acme answered 403: this account may not read /v1/things."),
        (401, "E-FORBIDDEN", "Acme answered 401"),
        (500, "E-UPSTREAM", "Acme is having trouble (500). Try again later."),
        (503, "E-UPSTREAM", "Acme is having trouble (503). Try again later."),
        (302, None, "Acme answered 302 at /v1/things: it leads elsewhere."),
        (418, None, "Acme answered 418 at /v1/things. Look at the request."),
    ],
)
async def test_every_refusal_has_its_sentence(get, respond, status, code, words):
    async def send(request):
        return respond({"error": "x"}, status)

    reader = Reader(Endpoint(get, "$", NoPagination()), send, system="Acme", sleep=no_sleep)
    with pytest.raises(UpstreamError) as caught:
        [page async for page in reader.pages()]
    assert words in caught.value.message
    assert caught.value.message_code == code
    assert caught.value.details["status"] == status
    assert caught.value.details["completeness"] == {
        "rows": 0,
        "pages": 0,
        "reported_total": None,
        "stop_reason": "error",
        "complete": False,
        "truncated": False,
        "note": "Reading ended after 0 rows (error).",
        **UNREMARKABLE,
    }


async def test_too_many_requests_that_do_not_end_say_when_to_come_back(get, respond):
    async def send(request):
        return respond({}, 429, Retry_After="7200")

    reader = Reader(Endpoint(get, "$", NoPagination()), send, system="Acme", sleep=no_sleep)
    with pytest.raises(LimitReached, match="Acme asks us to wait 7200 s") as caught:
        [page async for page in reader.pages()]
    assert (caught.value.retry_after_seconds, caught.value.message_code) == (7200, "E-RATE")


class Flaky:
    """An API that fails as told before it answers."""

    def __init__(self, api, *failures, at=1):
        self.api, self.failures, self.at, self.count, self.style = api, list(failures), at, 0, api.style

    async def send(self, request):
        self.count += 1
        if self.count >= self.at and self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, Exception):
                raise failure
            return failure
        return await self.api.send(request)


async def test_passing_troubles_cost_no_row_and_no_extra_request(make_api, get, respond):
    api = make_api("next_url", 250)
    waits, told = [], []

    async def sleep(seconds):
        waits.append(seconds)

    async def on_wait(seconds, reason, kind):
        told.append((seconds, reason))

    flaky = Flaky(api, respond({}, 429, Retry_After="5"), at=2)
    reader = Reader(
        Endpoint(get, *reversed(STYLES["next_url"])), flaky.send, sleep=sleep, on_wait=on_wait, system="Acme"
    )
    assert [len(page.rows) async for page in reader.pages()] == [100, 100, 50]
    assert waits == [5.0]
    assert told == [(5.0, "Acme asked us to wait (429).")]
    assert flaky.count == 4


async def test_a_cut_answer_and_a_busy_door_are_tried_again(make_api, get, respond):
    flaky = Flaky(make_api("offset", 250), UpstreamError("cut"), Unavailable("busy"), respond({}, 500), at=2)
    rows, reader = await read(flaky, get)
    assert len(rows) == 250
    assert reader.completeness.complete is True


async def test_what_fails_after_rows_came_is_never_complete(make_api, get, respond):
    flaky = Flaky(make_api("next_url", 250), *[respond({}, 500)] * 6, at=2)
    with pytest.raises(UpstreamError) as caught:
        await read(flaky, get)
    stamp = caught.value.details["completeness"]
    assert (stamp["rows"], stamp["pages"], stamp["stop_reason"], stamp["complete"]) == (100, 1, "error", False)


async def test_a_bug_in_what_sends_is_stamped_too(get):
    async def send(request):
        raise RuntimeError("bug")

    reader = Reader(Endpoint(get, "$", NoPagination()), send)
    with pytest.raises(RuntimeError):
        [page async for page in reader.pages()]
    assert (reader.completeness.stop_reason, reader.completeness.complete) == ("error", False)


async def test_a_read_that_is_left_early_is_cancelled(make_api, get):
    reader = Reader(Endpoint(get, *reversed(STYLES["next_url"])), make_api("next_url", 250).send)
    pages = reader.pages()
    await anext(pages)
    await pages.aclose()
    assert (reader.completeness.stop_reason, reader.completeness.complete) == ("cancelled", False)


async def test_a_read_that_is_left_at_its_end_keeps_its_reason(make_api, get):
    reader = Reader(Endpoint(get, *reversed(STYLES["next_url"])), make_api("next_url", 50).send)
    pages = reader.pages()
    await anext(pages)
    await pages.aclose()
    assert reader.completeness.stop_reason == "no_next"


async def test_cancelling_the_task_is_stamped(get):
    started = asyncio.Event()

    async def send(request):
        started.set()
        await asyncio.Event().wait()

    reader = Reader(Endpoint(get, "$", NoPagination()), send)

    async def run():
        return [page async for page in reader.pages()]

    task = asyncio.create_task(run())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert reader.completeness.stop_reason == "cancelled"


REASONS = ["no_next", "empty_page", "short_page", "total_reached", "has_more_false", "max_pages", "max_rows",
           "repeated_page", "repeated_cursor", "cancelled", "error"]  # fmt: skip


@given(
    st.sampled_from(REASONS), st.integers(0, 2000), st.integers(0, 9), st.none() | st.integers(0, 2000), st.booleans()
)
def test_complete_is_said_only_when_it_is_proved(reason, rows, pages, total, paging):
    complete, note = verdict(reason, rows=rows, pages=pages, reported_total=total, paging=paging)
    if complete is True:
        assert reason in {"no_next", "total_reached", "has_more_false", "empty_page", "short_page"}
        assert total is None or rows >= total
        assert total is not None or reason not in {"empty_page", "short_page"}
    assert (note is not None) is (complete is False)


def test_the_fingerprint_of_a_request_tells_bodies_and_headers_apart():
    from keyturn.rest.checkpoints import fingerprint

    one = Request("POST", "https://a/x", Headers.of({"X-Cursor": "1"}), b"1")
    assert len({fingerprint(r) for r in (one, one.with_header("X-Cursor", "2"), replace(one, body=b"2"))}) == 3
    assert fingerprint(one) == fingerprint(one.with_header("x-cursor", "1"))
