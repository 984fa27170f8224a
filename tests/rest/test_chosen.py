"""What somebody chose is checked against the endpoint: the paging by page 2, the key by the rows."""

from __future__ import annotations

import json

import pytest

from keyturn.rest.detect import detect
from keyturn.rest.paginators import NextUrlPagination, NoPagination, PageNumberPagination
from keyturn.wire import Headers, Request, Response

pytestmark = pytest.mark.anyio
URL = "https://api.example.com/orders"


async def send(request: Request) -> Response:
    page = 2 if "page=2" in request.url else 1
    rows = [{"id": page * 100 + n, "kind": "a" if n else "b"} for n in range(4)]
    body = {"data": rows, "next": f"{URL}?page=2" if page == 1 else None}
    return Response(200, Headers.of({"content-type": "application/json"}), json.dumps(body).encode())


async def said(**chosen):
    found = await detect(Request("GET", URL, Headers.of({})), send, **chosen)
    return [(item.at, item.sentence, item.doubt) for item in found.evidence]


async def test_a_paging_that_brings_page_1_again_is_wrong():
    wrong = PageNumberPagination(page_param="seite")
    assert ("pagination", "Page 2 is the same as page 1, so paging is wrong.", True) in await said(pagination=wrong)


async def test_a_paging_that_works_is_proved():
    right = NextUrlPagination(next_url_path="$.next")
    assert ("pagination", "Page 2 differs: 0 of 4 ids repeat", False) in await said(pagination=right)


async def test_a_key_that_rows_share_is_told():
    found = await said(pagination=NoPagination(), primary_key=("kind",))
    assert ("primary_key", "3 of 4 sampled rows share a kind.", True) in found


async def test_a_key_of_its_own_is_told_too():
    assert ("primary_key", "4 of 4 sampled rows have their own id", False) in await said(primary_key=("id",))
