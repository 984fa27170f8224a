"""A small REST API in one process: every paging style over the same rows, without a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

from keyturn.wire import Headers, Request, Response

URL = "https://api.example.com/v1/things"


def answer(body: Any, status: int = 200, **headers: str) -> Response:
    """A JSON response; header names are written with _."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return Response(status, Headers.of({"Content-Type": "application/json", **named}), raw)


@dataclass
class Api:
    """Rows behind one paging style. `most` is the API's own limit of rows per page; `asked` keeps every request."""

    style: str
    rows: list[Any]
    size: int = 100
    most: int = 1000
    past_end: int = 200
    asked: list[Request] = field(default_factory=list)

    def query(self, request: Request, name: str, usual: Any) -> Any:
        """A parameter of the query, of the type of `usual`."""
        found = parse_qs(urlsplit(request.url).query).get(name)
        return type(usual)(found[0]) if found else usual

    async def send(self, request: Request, **_: int) -> Response:
        """Answer one request."""
        self.asked.append(request)
        return getattr(self, self.style)(request)

    def part(self, start: int, size: int) -> tuple[list[Any], bool]:
        """Rows from `start`, and whether more follow."""
        size = min(size, self.most)
        return self.rows[start : start + size], start + size < len(self.rows)

    def none(self, request: Request) -> Response:
        return answer({"data": self.rows})

    def next_url(self, request: Request) -> Response:
        start = self.query(request, "from", 0)
        part, more = self.part(start, self.size)
        return answer({"data": part, "paging": {"next": f"things?from={start + self.size}" if more else None}})

    def link_header(self, request: Request) -> Response:
        start = self.query(request, "from", 0)
        part, more = self.part(start, self.size)
        link = f'<{URL}>; rel="first"' + (f', <{URL}?from={start + self.size}>; rel="next"' if more else "")
        return answer(part, Link=link)

    def page_number(self, request: Request) -> Response:
        page, size = self.query(request, "page", 1), self.query(request, "per_page", self.size)
        size = min(size, self.most)
        part, _ = self.part((page - 1) * size, size)
        if not part and page > 1 and self.past_end != 200:
            return answer({"detail": "Invalid page."}, self.past_end)
        return answer({"data": part, "page": page, "total_pages": -(-len(self.rows) // size)})

    def offset(self, request: Request) -> Response:
        start, size = self.query(request, "offset", 0), self.query(request, "limit", self.size)
        part, _ = self.part(start, size)
        return answer({"data": part, "offset": start, "limit": size, "total": len(self.rows)})

    def cursor(self, request: Request) -> Response:
        given = self.query(request, "cursor", "") or request.headers.get("x-cursor") or ""
        if request.body:
            given = orjson.loads(request.body).get("cursor", "")
        start = int(given.removeprefix("c") or 0)
        part, more = self.part(start, self.size)
        mark = f"c{start + self.size}" if more else None
        return answer({"data": part, "meta": {"next_cursor": mark, "has_more": more}})


@pytest.fixture(scope="session")
def make_api() -> Callable[..., Api]:
    """An API of a style and a number of rows, or given rows."""

    def make(style: str, rows: int | list[Any], **settings: Any) -> Api:
        given = [{"id": n, "name": f"row {n}"} for n in range(rows)] if isinstance(rows, int) else rows
        return Api(style, given, **settings)

    return make


@pytest.fixture(scope="session")
def respond() -> Callable[..., Response]:
    """`answer`: a JSON response."""
    return answer


@pytest.fixture(scope="session")
def get() -> Request:
    """The first request of everything here."""
    return Request("GET", URL, Headers.of({"Accept": "application/json"}))
