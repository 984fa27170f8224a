"""How pages follow: found with proof, set by hand, and what leads nowhere or elsewhere, over all four surfaces."""

from __future__ import annotations

import json

import pytest
from starlette.responses import JSONResponse

from surfaces import Failed

# Of each way: the parameter that page 1 would have with its first value, what page n is, and what is found.
PAGED = {
    "next": ("p", 1, lambda n: {"next": f"?p={n + 1}" if n < 3 else None},
             {"type": "next_url", "next_url_path": "$.next"}, "no_next"),
    "link": ("p", 1, lambda n: Headers(Link=f'<?p={n + 1}>; rel="next"') if n < 3 else {},
             {"type": "link_header", "rel": "next"}, "no_next"),
    "page": ("page", 1, lambda n: {"page": n, "total_pages": 3},
             {"type": "page_number", "page_param": "page", "start": 1, "total_pages_path": "$.total_pages"}, "no_next"),
    "page of 0": ("page", 0, lambda n: {"page": n - 1, "pages": 3},
                  {"type": "page_number", "start": 0, "total_pages_path": "$.pages"}, "no_next"),
    "offset": ("offset", 0, lambda n: {"offset": n - 1, "limit": 1, "total": 3},
               {"type": "offset", "offset_param": "offset", "limit_param": "limit", "limit": 1, "start": 0,
                "total_path": "$.total"}, "total_reached"),
    "total alone": ("offset", 0, lambda n: {"total": 3}, {"type": "offset", "offset_param": "offset"}, "total_reached"),
    "start index": ("startIndex", 1, lambda n: {"startIndex": n, "itemsPerPage": 1, "totalResults": 3},
                    {"type": "offset", "offset_param": "startIndex", "limit_param": "count", "start": 1},
                    "total_reached"),
    "cursor": ("cursor", 1, lambda n: {"next_cursor": str(n + 1) if n < 3 else None},
               {"type": "cursor", "cursor_path": "$.next_cursor", "cursor_param": "cursor"}, "no_next"),
    "token": ("page_token", 1, lambda n: {"next_page_token": str(n + 1), "has_more": n < 3},
              {"type": "cursor", "cursor_param": "page_token", "has_more_path": "$.has_more"}, "has_more_false"),
}  # fmt: skip


class Headers(dict):
    """What page n says in its headers."""


@pytest.mark.parametrize("way", PAGED)
def test_row2_paging_is_detected_with_proof_and_followed(surface, connection, api, way):
    param, first, page, settings, reason = PAGED[way]

    def things(asked):
        number = int(asked["query"].get(param, first)) - first + 1
        said = page(number)
        body = {"data": [{"id": number}] if number <= 3 else []}
        return JSONResponse(body, headers=said) if isinstance(said, Headers) else JSONResponse(body | said)

    api.on("things", things)
    found = surface.detect(connection, "/things")
    assert found["table"]["pagination"]["type"] == settings["type"]
    assert any("Page 2 differs" in item["sentence"] for item in found["evidence"])
    made = surface.create(connection, "things", path="/things")
    assert {name: made["pagination"][name] for name in settings} == settings
    api.asked.clear()
    rows, stamp = surface.read(f"{connection}.things")
    assert [row["id"] for row in rows] == [1, 2, 3]
    assert (stamp["complete"], stamp["stop_reason"], len(api.asked)) == (True, reason, 3)
    surface.update(f"{connection}.things", pagination={"max_pages": 2})
    rows, stamp = surface.read(f"{connection}.things")
    assert (len(rows), stamp["stop_reason"], stamp["complete"]) == (2, "max_pages", False)


def test_row2_what_only_looks_like_paging_is_said_and_not_set(surface, connection, api):
    # It says which page it is, and whatever is asked gives the same one.
    api.on("things", {"data": [{"id": 1}, {"id": 2}], "page": 1, "total_pages": 9})
    found = surface.detect(connection, "/things")
    assert found["table"]["pagination"]["type"] == "none"
    assert any("page 2 is the same as page 1, so that is not it" in item["sentence"] for item in found["evidence"])


def test_row2_a_next_link_to_another_origin_a_repeated_page_and_an_endless_cursor_are_never_complete(
    surface, connection, api
):
    links = {"away": "https://evil.example/x", "again": "?p=1"}
    for name, link in links.items():
        api.on(name, lambda asked, link=link: {"data": [{"id": asked["query"].get("p", "0")}], "next": link})
        paging = {"type": "next_url", "next_url_path": "$.next"}
        surface.create(connection, name, path=f"/{name}", rows_path="$.data", pagination=paging)
    with pytest.raises(Failed, match="another host"):
        surface.whole(f"{connection}.away")
    stamp = surface.read(f"{connection}.again")[1]
    assert (stamp["complete"], stamp["stop_reason"]) == (False, "repeated_cursor")
    api.on("same", lambda asked: {"data": [{"id": 1}], "next": f"?p={int(asked['query'].get('p', 0)) + 1}"})
    surface.create(connection, "same", path="/same", rows_path="$.data", pagination=paging)
    stamp = surface.read(f"{connection}.same")[1]
    assert (stamp["complete"], stamp["stop_reason"]) == (False, "repeated_page")


ALL = list(range(1, 6))


def by_offset(asked):
    start, limit = int(asked["query"].get("from", 0)), int(asked["query"].get("n", 2))
    return JSONResponse({"data": [{"id": n} for n in ALL[start : start + limit]], "total": len(ALL)})


def by_page(asked):
    page, size = int(asked["query"]["page"]), int(asked["query"]["size"])
    return JSONResponse({"data": [{"id": n} for n in ALL[page * size : page * size + size]], "pages": 3})


def by_cursor(mark):
    def answer(asked):
        at = int(mark(asked) or 0)
        body = {"data": [{"id": n} for n in ALL[at : at + 2]], "meta": {"next": str(at + 2), "more": at + 2 < len(ALL)}}
        return JSONResponse(body)

    return answer


def by_next(asked):
    at = int(asked["query"].get("at", 0))
    onward = {"next": f"/next?at={at + 2}"} if at + 2 < len(ALL) else {}
    return JSONResponse({"data": [{"id": n} for n in ALL[at : at + 2]], **onward})


def by_index(asked):
    """The first row is 1, and how many there are is not said."""
    start, count = int(asked["query"]["startIndex"]), int(asked["query"].get("count", 3))
    return JSONResponse({"data": [{"id": n} for n in ALL[start - 1 : start - 1 + count]]})


def by_link(asked):
    at = int(asked["query"].get("at", 0))
    links = {"Link": f'</first>; rel=first, <link?at={at + 2}>; rel="later"'} if at + 2 < len(ALL) else {}
    return JSONResponse({"data": [{"id": n} for n in ALL[at : at + 2]]}, headers=links)


CURSOR = {"type": "cursor", "cursor_path": "$.meta.next", "cursor_param": "c", "has_more_path": "$.meta.more"}
WAYS = {
    "offset": (by_offset, {"type": "offset", "offset_param": "from", "limit_param": "n", "limit": 2,
                           "total_path": "$.total"}, {}, "total_reached"),
    "page": (by_page, {"type": "page_number", "page_param": "page", "size_param": "size", "size": 2, "start": 0,
                       "total_pages_path": "$.pages"}, {}, "no_next"),
    "query": (by_cursor(lambda asked: asked["query"].get("c")), {**CURSOR, "cursor_in": "query"}, {}, "has_more_false"),
    "header": (by_cursor(lambda asked: asked["headers"].get("c")), {**CURSOR, "cursor_in": "header"}, {},
               "has_more_false"),
    "body": (by_cursor(lambda asked: json.loads(asked["body"]).get("c")), {**CURSOR, "cursor_in": "body"},
             {"method": "POST"}, "has_more_false"),
    "index": (by_index, {"type": "offset", "offset_param": "startIndex", "limit_param": "count", "limit": 2, "start": 1},
              {}, "short_page"),
    "link": (by_link, {"type": "link_header", "rel": "later"}, {}, "no_next"),
    "next": (by_next, {"type": "next_url", "next_url_path": "$.next"}, {}, "no_next"),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_row2_a_way_of_paging_set_by_hand_asks_for_each_page_once_and_says_why_it_ended(surface, connection, api, way):
    answer, paging, more, reason = WAYS[way]
    api.on(way, answer)
    surface.create(connection, way, path=f"/{way}", rows_path="$.data", pagination=paging, **more)
    rows, stamp = surface.read(f"{connection}.{way}")
    # A page that is not full proves nothing where no total is told.
    proved = None if reason == "short_page" else True
    assert ([row["id"] for row in rows], stamp["complete"], stamp["stop_reason"]) == (ALL, proved, reason)
    assert (stamp["pages"], len(api.asked)) == (3, 3)
