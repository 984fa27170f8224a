"""What end systems say that is not so or makes no sense: waits, totals, links and sizes, over all four surfaces.

Each test has the lies of a kind as tables of one connection, on the server and the API that all tests here share.
"""

from __future__ import annotations

import gzip
import time
from email.utils import formatdate
from pathlib import Path

import pytest
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from surfaces import Failed

MB = 1 << 20
NEXT = {"rows_path": "$.data", "pagination": {"type": "next_url", "next_url_path": "$.next"}}
NONE = {"rows_path": "$", "pagination": {"type": "none"}}
# What a page is refused with, once, before it is given: past, negative, no number at all, no date at all, nothing.
SHORT_WAITS = ["Tue, 01 Jan 2019 00:00:00 GMT", "-5", "nan", "Wed, 99 Foo 2026 77:77:77 GMT", ""]
LONG_WAITS = [*({"Retry-After": wait} for wait in ("31536000", "1e300", "9" * 30, "Fri, 31 Dec 9999 23:59:59 GMT")),
              {"RateLimit-Reset": "7200"}, {"X-RateLimit-Reset": "99999999999"}, {"RateLimit": '"a";r=0;t=7200'}]  # fmt: skip


def test_row9_a_wait_that_is_past_or_makes_no_sense_is_a_short_one_and_nothing_is_lost(surface, connection, api):
    waits, refused = [*SHORT_WAITS, lambda: formatdate(time.time() + 2, usegmt=True)], set()

    def things(asked):
        page = int(asked["query"].get("p", 1))
        if page not in refused:
            refused.add(page)
            wait = waits[page - 1]
            return JSONResponse({}, 429, headers={"Retry-After": wait() if callable(wait) else wait})
        return {"data": [{"id": page}], "next": f"?p={page + 1}" if page < len(waits) else None}

    api.on("things", things)
    surface.create(connection, "things", path="/things", **NEXT)
    refused.clear()
    api.asked.clear()
    begun = time.monotonic()
    rows, stamp = surface.read(f"{connection}.things")
    assert ([row["id"] for row in rows], stamp["complete"]) == (list(range(1, len(waits) + 1)), True)
    # Every page was refused once and asked for once more, and the date that is right was waited for.
    assert len(api.asked) == 2 * len(waits)
    assert time.monotonic() - begun > 1


def test_row9_a_wait_of_more_than_an_hour_ends_the_read_in_words_and_not_after_it(surface, connection, api):
    for number, wait in enumerate(LONG_WAITS):
        api.on(f"t{number}", lambda _, wait=wait: JSONResponse({}, 429, headers=wait))
        surface.create(connection, f"t{number}", path=f"/t{number}", **NONE)
        with pytest.raises(Failed, match=r"asks us to wait .*\(429\)") as told:
            surface.whole(f"{connection}.t{number}")
        assert told.value.code == "E-RATE"
        # Digits without end are no sentence.
        assert "000000000" not in str(told.value).partition("(429)")[0].rpartition("wait")[2]
    assert len(api.asked) == len(LONG_WAITS)


TOTALS = {
    # What three rows are said to be on each of two pages: rows, stop reason, verdict, a part of the note.
    "more": ((5, 5), 3, False, "The API reported 5 rows and 3 came."),
    "grows": ((3, 9), 3, False, "The API reported 9 rows and 3 came."),
    "right": ((3, 3), 3, True, None),
    "text": (("3", "3"), 3, True, None),
    "negative": ((-7, -7), 3, True, None),
    "word": (("many", "many"), 3, True, None),
    "nothing": ((None, None), 3, True, None),
    "true": ((True, True), 3, True, None),
    "infinite": ((1e300, 1e300), 3, True, None),
}


def test_row8_a_total_that_lies_never_makes_a_read_complete_and_nonsense_is_none(surface, connection, api):
    for name, (totals, count, verdict, note) in TOTALS.items():

        def answer(asked, totals=totals):
            page = int(asked["query"].get("p", 1))
            rows = [{"id": 1}, {"id": 2}] if page == 1 else [{"id": 3}]
            return {"data": rows, "next": "?p=2" if page == 1 else None, "total": totals[page - 1]}

        api.on(name, answer)
        surface.create(connection, name, path=f"/{name}", total_path="$.total", **NEXT)
        rows, stamp = surface.read(f"{connection}.{name}")
        assert (len(rows), stamp["complete"], stamp["note"]) == (count, verdict, note), name
        if verdict is False:
            with pytest.raises(Failed):
                surface.whole(f"{connection}.{name}")


def test_row2_a_total_that_is_too_low_ends_no_read_before_its_rows(surface, connection, api):
    rows = [{"id": n} for n in range(6)]

    def things(asked):
        start = int(asked["query"].get("offset", 0))
        return {"data": rows[start : start + 2], "total": 3 if start else 6}

    api.on("things", things)
    paging = {"type": "offset", "limit": 2, "total_path": "$.total"}
    surface.create(connection, "things", path="/things", rows_path="$.data", pagination=paging)
    found, stamp = surface.read(f"{connection}.things")
    assert ([row["id"] for row in found], stamp["complete"], stamp["stop_reason"]) == ([*range(6)], True, "empty_page")


def test_row2_nothing_is_asked_of_another_origin_by_link_header_or_redirect(surface, connection, api, reading_server):
    # The same API under another name: what came there would be counted.
    away = api.url.replace("127.0.0.1", "localhost") + "/elsewhere"
    auth = {"type": "bearer", "token": "the-token-of-this-test"}
    body = {"name": f"{connection}_b", "base_url": api.url, "auth": auth, "access": "only_me"}
    assert reading_server.api.post("/connections", json=body).status_code == 201
    api.on("elsewhere", [{"id": 9}])
    api.on("body", {"data": [{"id": 1}], "next": away})
    api.on("header", lambda _: JSONResponse([{"id": 1}], headers={"Link": f'<{away}>; rel="next"'}))
    api.on("redirect", lambda _: RedirectResponse(away))
    ways = {"body": NEXT, "header": {"rows_path": "$", "pagination": {"type": "link_header"}}, "redirect": NONE}
    for name, settings in ways.items():
        surface.create(f"{connection}_b", name, path=f"/{name}", **settings)
        with pytest.raises(Failed, match=r"another host|is blocked"):
            surface.whole(f"{connection}_b.{name}")
    assert {asked["path"] for asked in api.asked} == set(ways)


def test_row2_a_cursor_without_end_ends_with_its_reason(surface, connection, api):
    def circle(asked):
        at = int(asked["query"].get("cursor", 0))
        return {"data": [{"id": at}], "next": (at + 1) % 4}

    paging = {"type": "cursor", "cursor_path": "$.next"}
    api.on("circle", circle)
    surface.create(connection, "circle", path="/circle", rows_path="$.data", pagination=paging)
    _, stamp = surface.read(f"{connection}.circle")
    assert (stamp["complete"], stamp["stop_reason"]) == (False, "repeated_cursor")
    assert "leads back to a page we had" in stamp["note"]
    with pytest.raises(Failed):
        surface.whole(f"{connection}.circle")


@pytest.fixture
def bounded(reading_server):
    """The server takes no more than a page of 64 MB as it comes and as it is joined."""
    folder = Path(f"/proc/{reading_server.process.pid}")
    if not folder.exists():
        pytest.skip("the peak of a process is asked of Linux")

    def megabytes() -> float:
        lines = (folder / "status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024

    (folder / "clear_refs").write_text("5")
    before = megabytes()
    yield
    assert megabytes() - before < 400


def test_row7_a_bomb_and_a_page_of_200_mb_are_told_and_take_no_memory(surface, connection, api, bounded):
    packed = gzip.compress(b"[" + b" " * (200 * MB) + b"]", compresslevel=1)

    async def large():
        for _ in range(200):
            yield b"[1]," * (MB // 4)

    packed_as = {"Content-Encoding": "gzip"}
    api.on("bomb", lambda _: Response(packed, media_type="application/json", headers=packed_as))
    api.on("large", lambda _: StreamingResponse(large(), media_type="application/json"))
    for name in ("bomb", "large"):
        surface.create(connection, name, path=f"/{name}", **NONE)
        with pytest.raises(Failed, match="answered more than 64 MB at once") as told:
            surface.whole(f"{connection}.{name}")
        assert told.value.code == "E-TOOBIG"
    # As large again the second time: nothing is asked twice.
    assert [asked["path"] for asked in api.asked] == ["bomb", "large"]
