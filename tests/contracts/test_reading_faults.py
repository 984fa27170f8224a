"""What end systems do in the middle of a read, over all four surfaces."""

from __future__ import annotations

import json

import pytest
from starlette.responses import JSONResponse

from surfaces import Failed


def paged(bent):
    """Six pages of three rows; `bent` is what the quantity is on the fourth."""

    def answer(asked):
        page = int(asked["query"].get("p", 1))
        rows = [{"id": 3 * page + n, "quantity": bent if (page, n) == (4, 1) else n} for n in range(3)]
        return JSONResponse({"data": rows, "next": f"?p={page + 1}" if page < 6 else None})

    return answer


NEXT = {"path": "/things", "rows_path": "$.data", "pagination": {"type": "next_url", "next_url_path": "$.next"}}


def read_to_the_end(surface, name):
    """A stream that was begun in other types cannot go on in new ones: it says so, and is never taken for whole."""
    try:
        return surface.read(name)
    except Failed as failed:
        if failed.code != "E-SCHEMA":
            raise
        return surface.read(name)


@pytest.mark.parametrize("bent", ["two", {"value": 2}, 2**63, 2.5], ids=["text", "object", "overflow", "fraction"])
def test_row5_a_type_that_changes_in_the_middle_loses_no_value_and_is_told(surface, connection, api, bent):
    api.on("things", paged(0))
    name = f"{connection}.things"
    surface.create(connection, "things", **NEXT)
    surface.read(name)
    api.on("things", paged(bent))
    rows, stamp = read_to_the_end(surface, name)
    assert ([row["id"] for row in rows], stamp["complete"]) == ([*range(3, 21)], True)
    found = rows[10]["quantity"]
    if isinstance(bent, dict):
        found = json.loads(found) if isinstance(found, str) else found
    assert found == bent or str(found) == str(bent)
    told = [change for seen in surface.history(name) for change in seen["changes"] if change["column"] == "quantity"]
    assert [(change["kind"], change["before"]) for change in told] == [("type_changed", "int64")]


@pytest.mark.parametrize("policy", ["ask", "ignore"])
def test_row6_by_policy_what_does_not_fit_in_the_middle_is_listed_with_row_and_value(surface, connection, api, policy):
    api.on("things", paged(0))
    name = f"{connection}.things"
    surface.create(connection, "things", when_columns_change=policy, **NEXT)
    surface.read(name)
    api.on("things", paged("two"))
    rows, stamp, rejects = surface.read_with_rejects(name)
    assert (len(rows), stamp["rejected"], rows[10]["quantity"]) == (18, 1, None)
    assert [(item["row"], item["column"], item["value"]) for item in rejects] == [(11, "quantity", '"two"')]


def test_row2_rows_that_are_inserted_while_paging_come_once_where_there_is_a_key(surface, connection, api):
    there = [{"id": n} for n in range(10)]

    def things(asked):
        page = int(asked["query"]["page"])
        if page == 3 and len(there) == 10:
            there[:0] = [{"id": -1}]
        return JSONResponse({"data": there[2 * page - 2 : 2 * page]})

    api.on("things", things)
    paging = {"type": "page_number", "page_param": "page", "size_param": "n", "size": 2}
    surface.create(connection, "things", path="/things", rows_path="$.data", pagination=paging, primary_key=["id"])
    rows, stamp = surface.read(f"{connection}.things")
    assert [row["id"] for row in rows] == list(range(10))
    assert (stamp["duplicates"], stamp["rows"]) == (1, 10)


@pytest.mark.parametrize("times", [3])
def test_row9_an_end_system_that_fails_three_times_is_asked_again_and_nothing_is_lost(surface, connection, api, times):
    good, failed = paged(0), []

    def things(asked):
        if asked["query"].get("p") == "4" and len(failed) < times:
            failed.append(asked)
            return JSONResponse({}, 500, headers={"Retry-After": "0"})
        return good(asked)

    api.on("things", things)
    surface.create(connection, "things", **NEXT)
    rows, stamp = surface.read(f"{connection}.things")
    assert ([row["id"] for row in rows], stamp["complete"]) == (list(range(3, 21)), True)
    assert len(api.asked) == 6 + times


def test_row9_an_import_that_failed_goes_on_from_the_page_it_had_reached(surface, connection, api):
    good, broken = paged(0), [True]

    def things(asked):
        return JSONResponse({}, 400) if asked["query"].get("p") == "5" and broken else good(asked)

    api.on("things", things)
    surface.create(connection, "things", **NEXT)
    begun = surface.begin(f"{connection}.things", f"{connection}.parquet")
    ended = surface.ended(begun)
    assert (ended["status"], ended["completeness"]["stop_reason"]) == ("failed", "error")
    assert ended["completeness"]["complete"] is False
    broken.clear()
    api.asked.clear()
    item = surface.resumed(begun)
    assert (item["status"], item["rows"], item["completeness"]["pages"]) == ("complete", 18, 6)
    assert [asked["query"].get("p") for asked in api.asked] == ["5", "6"]
