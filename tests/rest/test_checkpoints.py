"""A read goes on from any of its checkpoints, in another process, as if it had never stopped."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace

import pytest

from keyturn.errors import Invalid
from keyturn.rest.checkpoints import ASKED_MOST, Checkpoint, PageText
from keyturn.rest.paginators import (
    CursorPagination,
    LinkHeaderPagination,
    NextUrlPagination,
    OffsetPagination,
    PageNumberPagination,
)
from keyturn.rest.reader import Endpoint, Reader

STYLES = {
    "next_url": (NextUrlPagination(next_url_path="$.paging.next"), "$.data"),
    "link_header": (LinkHeaderPagination(), "$"),
    "page_number": (PageNumberPagination(total_pages_path="$.total_pages"), "$.data"),
    "offset": (OffsetPagination(total_path="$.total"), "$.data"),
    "cursor": (CursorPagination(cursor_path="$.meta.next_cursor", has_more_path="$.meta.has_more"), "$.data"),
    "cursor in body": (CursorPagination(cursor_path="$.meta.next_cursor", cursor_in="body"), "$.data"),
    "cursor in header": (
        CursorPagination(cursor_path="$.meta.next_cursor", cursor_in="header", cursor_param="X-Cursor"),
        "$.data",
    ),
}


def reader_of(style, api, request, **settings):
    paging, path = STYLES[style]
    if style == "cursor in body":
        request = replace(request, method="POST", body=b'{"cursor":""}')
    return Reader(Endpoint(request, path, paging), api.send, **settings)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("ahead", [0, 16])
async def test_a_read_goes_on_behind_each_page(make_api, get, style, ahead):
    api = make_api(style.split()[0], 730)
    whole = reader_of(style, api, get, ahead=ahead)
    taken = [(page.rows, page.checkpoint) async for page in whole.pages()]
    for index, (_, checkpoint) in enumerate(taken):
        stored = Checkpoint.from_dict(json.loads(json.dumps(checkpoint.as_dict())))
        assert stored == checkpoint
        api.asked.clear()
        rest = reader_of(style, api, get, resume_from=stored)
        assert [page.rows async for page in rest.pages()] == [rows for rows, _ in taken[index + 1 :]]
        assert rest.completeness == whole.completeness
        assert len(api.asked) == len(taken) - index - 1


async def test_the_row_limit_counts_what_was_read_before(make_api, get):
    api = make_api("offset", 500)
    pages = reader_of("offset", api, get).pages()
    checkpoint = (await anext(pages)).checkpoint
    await pages.aclose()
    rest = reader_of("offset", api, get, max_rows=150, resume_from=checkpoint)
    assert [len(page.rows) async for page in rest.pages()] == [50]
    assert (rest.completeness.rows, rest.completeness.stop_reason) == (150, "max_rows")


async def test_a_page_that_repeats_is_noticed_over_a_resume(get, respond):
    async def send(request):
        return respond({"data": [{"id": 1}]})

    paging = PageNumberPagination()
    pages = Reader(Endpoint(get, "$.data", paging), send).pages()
    checkpoint = (await anext(pages)).checkpoint
    await pages.aclose()
    rest = Reader(Endpoint(get, "$.data", paging), send, resume_from=checkpoint)
    assert [page async for page in rest.pages()] == []
    assert rest.completeness.stop_reason == "repeated_page"


async def test_a_checkpoint_holds_no_header_of_the_table_and_a_resume_sends_them_again(make_api, get):
    api = make_api("cursor", 250)
    request = get.with_header("X-Api-Key", "very secret")
    pages = reader_of("cursor in header", api, request).pages()
    checkpoint = (await anext(pages)).checkpoint
    await pages.aclose()
    assert "very secret" not in json.dumps(checkpoint.as_dict())
    rest = reader_of("cursor in header", api, request, resume_from=checkpoint)
    assert [len(page.rows) async for page in rest.pages()] == [100, 50]
    assert all(asked.headers.get("x-api-key") == "very secret" for asked in api.asked)


async def test_a_table_that_asks_something_else_refuses_an_old_checkpoint(make_api, get):
    api = make_api("offset", 250)
    pages = reader_of("offset", api, get).pages()
    checkpoint = (await anext(pages)).checkpoint
    await pages.aclose()
    other = Endpoint(get, "$.rows", STYLES["offset"][0])
    with pytest.raises(Invalid, match="The table asks something else"):
        Reader(other, api.send, resume_from=checkpoint)


@pytest.mark.parametrize("stored", [{}, {"version": 99}, {"version": 1, "endpoint": "x"}, {"version": 1, "odd": 1}])
def test_what_is_no_checkpoint_is_refused_in_words(stored):
    with pytest.raises(Invalid, match="Start the read anew"):
        Checkpoint.from_dict(stored)


async def test_a_checkpoint_stays_small(get, respond):
    count = 0

    async def send(request):
        nonlocal count
        count += 1
        return respond({"data": [{"id": count}], "next": f"c{count}" if count < 2000 else None})

    reader = Reader(Endpoint(get, "$.data", CursorPagination(cursor_path="$.next")), send)
    async for page in reader.pages():
        last = page.checkpoint
    assert len(last.asked) == ASKED_MOST
    assert len(json.dumps(last.as_dict())) < 20_000


def test_of_a_long_page_the_digest_alone_is_kept():
    text = bytes(2 << 20)
    tracemalloc.start()
    try:
        kept = [PageText(bytes(2 << 20)) for _ in range(4)]
        assert tracemalloc.get_traced_memory()[0] < 1 << 20
    finally:
        tracemalloc.stop()
    assert kept[0] == PageText(text) != PageText(text + b" ")
    assert kept[0].digest == PageText(None, kept[0].digest).digest
