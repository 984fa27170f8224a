"""Each way from one page to the next, one step at a time."""

from __future__ import annotations

import json

import pytest
from pydantic import TypeAdapter, ValidationError

from keyturn.errors import Invalid, UpstreamError
from keyturn.rest.paginators import (
    AutoPagination,
    CursorPagination,
    LinkHeaderPagination,
    NextUrlPagination,
    NoPagination,
    OffsetPagination,
    PageNumberPagination,
    Pagination,
    Seen,
    follow,
    link_of,
    query_integer,
)
from keyturn.wire import Headers, Request, Response

URL = "https://api.example.com/v1/things?status=open"
GET = Request("GET", URL, Headers.of({"Accept": "application/json"}))
POST = Request("POST", URL, Headers(), b'{"query": {"x": 1}}')


def seen(body, *, request=GET, number=1, rows=2, so_far=None, headers=()):
    so_far = rows * number if so_far is None else so_far
    return Seen(request, Response(200, Headers.of(headers)), body, number, rows, so_far)


def stops(paginator, found) -> str:
    following = paginator.next(found)
    assert following.request is None
    return following.stop_reason


def goes_to(paginator, found) -> str:
    following = paginator.next(found)
    assert following.stop_reason is None
    return following.request.url


@pytest.mark.parametrize("paginator", [NoPagination(), AutoPagination()])
def test_without_paging_one_page_is_all(paginator):
    assert paginator.first(GET) == GET
    assert stops(paginator, seen({})) == "no_next"


NEXT = NextUrlPagination(next_url_path="$.paging.next")


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ("https://api.example.com/v1/things?page=2", "https://api.example.com/v1/things?page=2"),
        ("https://API.example.com:443/v1/x", "https://API.example.com:443/v1/x"),
        ("/v1/things?page=2", "https://api.example.com/v1/things?page=2"),
        ("?page=2", "https://api.example.com/v1/things?page=2"),
        ("things/next", "https://api.example.com/v1/things/next"),
        (" /v1/x#part ", "https://api.example.com/v1/x"),
        ("//api.example.com/v1/y", "https://api.example.com/v1/y"),
        ("http://api.example.com/v1/z?page=2", "https://api.example.com/v1/z?page=2"),
        ("https://someone:else@api.example.com/v1/u", "https://api.example.com/v1/u"),
    ],
)
def test_a_next_link_is_followed_whole_or_relative_on_the_same_origin(link, url):
    assert goes_to(NEXT, seen({"paging": {"next": link}})) == url


@pytest.mark.parametrize("body", [{}, {"paging": {"next": None}}, {"paging": {"next": ""}}, {"paging": {"next": False}}, {"paging": None}, []])  # fmt: skip
def test_without_a_next_link_reading_ends(body):
    assert stops(NEXT, seen(body)) == "no_next"


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/v1/things",
        "https://api.example.com.evil.example/",
        "https://api.example.com:8443/v1/things",
        "http://api.example.com:8080/v1/things",
        "//evil.example/x",
        "https://api.example.com@evil.example/",
        "javascript:alert(1)",
        "ftp://api.example.com/x",
    ],
)
def test_the_token_never_goes_to_another_origin(link):
    with pytest.raises(UpstreamError, match="The token is not sent there, so we stopped") as caught:
        NEXT.next(seen({"paging": {"next": link}}))
    assert caught.value.message_code == "E-BLOCKED"
    assert caught.value.sent is False


def test_an_http_api_does_not_lead_to_https_elsewhere():
    with pytest.raises(UpstreamError, match="another host"):
        follow(Request("GET", "http://api.example.com/v1"), "https://api.example.com/v1")


@pytest.mark.parametrize("link", ["https://[broken/", "https://api.example.com:notaport/x"])
def test_a_link_that_is_no_address_is_told(link):
    with pytest.raises(UpstreamError, match="The link to the next page is no address"):
        NEXT.next(seen({"paging": {"next": link}}))


@pytest.mark.parametrize("link", [{"href": "/x"}, ["/x"], 2, True])
def test_a_next_link_of_another_kind_is_no_end_of_the_pages(link):
    with pytest.raises(UpstreamError, match=r"At \$\.paging\.next is no address"):
        NEXT.next(seen({"paging": {"next": link}}))


@pytest.mark.parametrize(
    ("header", "rel", "found"),
    [
        ('<https://a/2>; rel="next"', "next", "https://a/2"),
        ("<https://a/2>; rel=next", "next", "https://a/2"),
        ('<https://a/1>; rel="prev", <https://a/3>; rel="next"', "next", "https://a/3"),
        ('<https://a/2>; title="a, b; rel=x"; rel="NEXT last"', "next", "https://a/2"),
        ('<https://a/2?a=1,2;b=3>; rel="next"', "next", "https://a/2?a=1,2;b=3"),
        ('<https://a/2>;rel="more"', "more", "https://a/2"),
        ('<https://a/2>; rel="prev"', "next", None),
        ("nonsense", "next", None),
        ("", "next", None),
    ],
)
def test_link_headers_are_read_as_rfc_8288_writes_them(header, rel, found):
    assert link_of(Response(200, Headers.of({"Link": header})), rel) == found


def test_several_link_headers_are_all_read():
    headers = Headers.of([("Link", '<https://a/1>; rel="prev"'), ("link", '<https://a/3>; rel="next"')])
    assert link_of(Response(200, headers), "next") == "https://a/3"


def test_the_link_header_leads_to_the_next_page():
    paginator = LinkHeaderPagination()
    assert (
        goes_to(paginator, seen([], headers={"Link": '</v1/x?p=2>; rel="next"'})) == "https://api.example.com/v1/x?p=2"
    )
    assert stops(paginator, seen([])) == "no_next"


def test_numbered_pages_keep_the_other_parameters():
    paginator = PageNumberPagination(size_param="per_page", size=2)
    first = paginator.first(GET)
    assert first.url == f"{URL}&page=1&per_page=2"
    assert goes_to(paginator, seen({}, request=first)) == f"{URL}&per_page=2&page=2"


def test_numbered_pages_may_start_at_zero():
    paginator = PageNumberPagination(page_param="p", start=0, total_pages_path="$.pages")
    assert paginator.first(GET).url == f"{URL}&p=0"
    assert goes_to(paginator, seen({"pages": 2}, number=1)) == f"{URL}&p=1"
    assert stops(paginator, seen({"pages": 2}, number=2)) == "no_next"


@pytest.mark.parametrize(
    ("paginator", "found", "reason"),
    [
        (PageNumberPagination(), seen({}, rows=0), "empty_page"),
        (PageNumberPagination(total_pages_path="$.n"), seen({"n": 9}, rows=0), "empty_page"),
        (PageNumberPagination(total_pages_path="$.n"), seen({"n": "3"}, number=3), "no_next"),
        (PageNumberPagination(total_pages_path="$.n"), seen({"n": True}, rows=0), "empty_page"),
        (PageNumberPagination(size=100), seen({}, rows=7), "short_page"),
        (PageNumberPagination(size=100), seen({}, number=3, rows=99, so_far=299), "short_page"),
        (PageNumberPagination(size=500), seen({}, number=3, rows=99, so_far=299), "short_page"),
        (OffsetPagination(), seen({}, rows=0), "empty_page"),
        (OffsetPagination(limit=100), seen({}, rows=7), "short_page"),
        (OffsetPagination(total_path="$.t"), seen({"t": 4}, number=2), "total_reached"),
        (OffsetPagination(total_path="$.t"), seen({"t": 3}, rows=0), "empty_page"),
    ],
)
def test_counted_pages_end_for_a_reason(paginator, found, reason):
    assert stops(paginator, found) == reason


@pytest.mark.parametrize(
    ("paginator", "found"),
    [
        (PageNumberPagination(), seen({})),
        (PageNumberPagination(size=100), seen({}, rows=100)),
        (PageNumberPagination(size=500), seen({}, rows=100)),
        (PageNumberPagination(size=500), seen({}, number=2, rows=100, so_far=200)),
        (PageNumberPagination(total_pages_path="$.n"), seen({"n": 2})),
        (PageNumberPagination(total_pages_path="$.n", size=10), seen({"n": 2}, rows=7)),
        (OffsetPagination(total_path="$.t", limit=100), seen({"t": 99}, rows=7)),
        (OffsetPagination(total_path="$.t"), seen({"t": "soon"})),
        # More rows than there are said to be: the total is wrong.
        (OffsetPagination(total_path="$.t"), seen({"t": 3}, number=2)),
    ],
)
def test_counted_pages_go_on_where_there_may_be_more(paginator, found):
    assert paginator.next(found).request is not None


def test_the_offset_counts_the_rows_that_came():
    paginator = OffsetPagination(start=1, limit=500)
    assert paginator.first(GET).url == f"{URL}&offset=1&limit=500"
    assert goes_to(paginator, seen({}, rows=100)) == f"{URL}&offset=101"


def test_offsets_without_a_limit_parameter():
    paginator = OffsetPagination(offset_param="skip", limit_param=None, limit=10)
    assert paginator.first(GET).url == f"{URL}&skip=0"


CURSOR = CursorPagination(cursor_path="$.next", has_more_path="$.more")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"next": "c2", "more": False}, "has_more_false"),
        ({"next": None}, "no_next"),
        ({"next": ""}, "no_next"),
        ({"next": False}, "no_next"),
        ({"next": []}, "no_next"),
        ({}, "no_next"),
        ({"next": None, "more": "maybe"}, "no_next"),
    ],
)
def test_a_cursor_ends_where_the_api_says_so(body, reason):
    assert stops(CURSOR, seen(body)) == reason


@pytest.mark.parametrize("body", [{"more": True}, {"next": None, "more": True}, {"next": "", "more": True}])
def test_more_without_a_cursor_is_no_end(body):
    with pytest.raises(UpstreamError, match=r"says that there is more, but gives no cursor at \$\.next"):
        CURSOR.next(seen(body))


def test_a_cursor_goes_into_the_query():
    paginator = CursorPagination(cursor_path="$.next", cursor_param="after", size_param="limit", size=50)
    first = paginator.first(GET)
    assert first.url == f"{URL}&limit=50"
    assert goes_to(paginator, seen({"next": "a b&c=ü"}, request=first)) == f"{URL}&limit=50&after=a%20b%26c%3D%C3%BC"
    assert goes_to(CURSOR, seen({"next": 2**70})) == f"{URL}&cursor={2**70}"
    assert goes_to(CURSOR, seen({"next": 0})) == f"{URL}&cursor=0"


def test_a_cursor_goes_into_a_header():
    paginator = CursorPagination(cursor_path="$.next", cursor_param="X-Cursor", cursor_in="header")
    following = paginator.next(seen({"next": "c2"})).request
    assert following.headers.get("x-cursor") == "c2"
    assert following.url == URL


def test_a_cursor_in_a_header_cannot_break_out_of_it():
    paginator = CursorPagination(cursor_path="$.next", cursor_param="X-Cursor", cursor_in="header")
    with pytest.raises(UpstreamError, match="nothing that could be sent as a cursor"):
        paginator.next(seen({"next": "c2\r\nX-Admin: 1"}))


@pytest.mark.parametrize("cursor", ["c2", 7, 2**70, {"id": {"N": "5"}}, [1, "x"]])
def test_a_cursor_goes_into_the_body_as_the_value_it_is(cursor):
    paginator = CursorPagination(cursor_path="$.next", cursor_param="start", cursor_in="body")
    following = paginator.next(seen({"next": cursor}, request=POST)).request
    assert json.loads(following.body) == {"query": {"x": 1}, "start": cursor}
    assert json.loads(paginator.next(seen({"next": cursor})).request.body) == {"start": cursor}


@pytest.mark.parametrize("body", [b"[1]", b"not json", b'"x"'])
def test_a_body_without_fields_cannot_carry_a_cursor(body):
    paginator = CursorPagination(cursor_path="$.next", cursor_in="body")
    with pytest.raises(Invalid, match="body that is a JSON object") as caught:
        paginator.next(seen({"next": "c"}, request=Request("POST", URL, Headers(), body)))
    assert caught.value.problems[0].at == "pagination.cursor_in"


@pytest.mark.parametrize("cursor", [{"a": 1}, [1], True])
def test_what_is_no_cursor_is_no_end_of_the_pages(cursor):
    with pytest.raises(UpstreamError, match="nothing that could be sent as a cursor"):
        CURSOR.next(seen({"next": cursor}))


def test_numbers_of_the_request_itself_are_found():
    request = Request("GET", "https://a/x?limit=50&page=&q=z")
    assert query_integer(request, "limit") == 50
    assert query_integer(request, "page") is None
    assert query_integer(request, "q") is None
    assert query_integer(request, "none") is None


UNION = TypeAdapter(Pagination)
CONFIGURED = [
    {"type": "auto"},
    {"type": "none"},
    {"type": "next_url", "next_url_path": "$.next"},
    {"type": "link_header"},
    {
        "type": "page_number",
        "page_param": "page",
        "size_param": "size",
        "size": 5,
        "start": 0,
        "total_pages_path": "$.n",
    },
    {"type": "offset", "offset_param": "o", "limit_param": "l", "limit": 5, "start": 1, "total_path": "$.t"},
    {"type": "cursor", "cursor_path": "$.c", "cursor_param": "c", "cursor_in": "body", "has_more_path": "$.m"},
]


@pytest.mark.parametrize("settings", CONFIGURED, ids=lambda s: s["type"])
def test_the_fields_of_a_paginator_are_its_configuration(settings):
    found = UNION.validate_python({**settings, "max_pages": 3})
    assert found.type == settings["type"]
    assert UNION.validate_json(found.model_dump_json()) == found
    assert settings.items() <= found.model_dump().items()
    assert json.loads(found.model_dump_json())["max_pages"] == 3


@pytest.mark.parametrize(
    "settings",
    [
        {"type": "nothing_known"},
        {"type": "next_url"},
        {"type": "next_url", "next_url_path": "next"},
        {"type": "next_url", "next_url_path": "$.next["},
        {"type": "none", "extra": 1},
        {"type": "none", "max_pages": 0},
        {"type": "page_number", "page_param": "a&b"},
        {"type": "offset", "limit": 0},
        {"type": "cursor", "cursor_path": "$.c", "cursor_in": "cookie"},
    ],
)
def test_a_configuration_that_cannot_be_right_is_refused(settings):
    with pytest.raises(ValidationError):
        UNION.validate_python(settings)


def test_a_wrong_path_is_refused_in_words():
    with pytest.raises(ValidationError, match=r"is not a JSONPath \(RFC 9535\), for example \$\.data"):
        UNION.validate_python({"type": "next_url", "next_url_path": "$.next["})
