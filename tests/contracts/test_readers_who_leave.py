"""Readers who leave in the middle: their read ends with them, is on record as cut off, and lets go of what it held."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import httpx2
import pytest
from starlette.responses import JSONResponse

_SECONDS = 20
# More than there is room for at once, were each to keep its page.
_READERS = 12


@pytest.fixture
def endless(connection, api, reading_server):
    """The id of a table that never ends, and goes on for as long as somebody reads."""

    def things(asked):
        page = int(asked["query"].get("c", 0))
        time.sleep(0.02)
        return JSONResponse({"data": [{"id": page, "text": "x" * 1_000}] * 100, "next": page + 1})

    api.on("things", things)
    paging = {"type": "cursor", "cursor_path": "$.next", "cursor_param": "c"}
    body = {"connection_id": connection_id(reading_server, connection), "name": "things", "path": "/things",
            "rows_path": "$.data", "pagination": paging}  # fmt: skip
    answer = reading_server.api.post("/tables", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def connection_id(server, name):
    return next(item["id"] for item in server.api.get("/connections").json()["data"] if item["name"] == name)


def unfinished(server, table_id):
    """How many reads of the table are under way, for all that is on record; after a while if they do not end."""
    path = server.log_path.parent / "data" / "keyturn.db"
    ends_at = time.monotonic() + _SECONDS
    while True:
        with closing(sqlite3.connect(path)) as database:
            found = database.execute(
                "SELECT count(*), sum(finished_at IS NULL) FROM reads WHERE table_id = ?", (table_id,)
            ).fetchone()
        if not found[1] or time.monotonic() > ends_at:
            return found
        time.sleep(0.05)


def still_asked(api):
    """How often the API is asked in a second from now."""
    before = len(api.asked)
    time.sleep(1)
    return len(api.asked) - before


@pytest.mark.parametrize("format", ["arrow", "ndjson", "csv"])
def test_row5_who_leaves_in_the_middle_ends_the_read(endless, api, reading_server, format):
    for _ in range(_READERS):
        with reading_server.api.stream("GET", f"/tables/{endless}/rows", params={"format": format}) as answer:
            read_id = answer.headers["keyturn-read-id"]
            next(answer.iter_bytes())
    assert unfinished(reading_server, endless) == (_READERS, 0)
    assert still_asked(api) == 0
    stamp = reading_server.api.get(f"/reads/{read_id}").json()["completeness"]
    assert (stamp["complete"], stamp["stop_reason"]) == (False, "cancelled")


def test_row5_who_leaves_while_a_file_is_made_ends_the_read(endless, api, reading_server):
    for _ in range(_READERS):
        with pytest.raises(httpx2.TimeoutException):
            reading_server.api.get(f"/tables/{endless}/rows", params={"format": "parquet"}, timeout=0.2)
    assert unfinished(reading_server, endless) == (_READERS, 0)
    assert still_asked(api) == 0
    assert list((reading_server.log_path.parent / "data" / "tmp").iterdir()) == []


def test_row5_who_leaves_before_the_first_page_ends_the_read(endless, api, reading_server):
    whole = api.answers["things"]
    api.on("things", lambda asked: (time.sleep(0.5), whole(asked))[1])
    for _ in range(_READERS):
        with pytest.raises(httpx2.TimeoutException):
            reading_server.api.get(f"/tables/{endless}/rows", params={"format": "ndjson"}, timeout=0.1)
    assert unfinished(reading_server, endless) == (_READERS, 0)
    assert still_asked(api) == 0
