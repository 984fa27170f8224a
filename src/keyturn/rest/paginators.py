"""The ways in which one page leads to the next: a class each, whose fields are its configuration.

A new one is a class here and its name in `Pagination`; the form, the API's schema and the command line follow.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urljoin, urlsplit, urlunsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from keyturn.errors import Invalid, UpstreamError
from keyturn.rest.rows import at_path, check_path, to_json
from keyturn.wire import Request, Response, origin_of, with_query

NO_NEXT = "no_next"
EMPTY_PAGE = "empty_page"
SHORT_PAGE = "short_page"
TOTAL_REACHED = "total_reached"
HAS_MORE_FALSE = "has_more_false"

# What many APIs give when they are not asked for a size, or are asked for more than they give.
USUAL_SIZES = frozenset({10, 20, 25, 30, 50, 100, 200, 250, 500, 1000, 2000, 5000, 10_000})


_COUNT = re.compile(r"[0-9]{1,18}")


def _readable(path: str) -> str:
    try:
        return check_path(path)
    except Invalid as error:
        raise PydanticCustomError("jsonpath", "{message}", {"message": error.message}) from None


JsonPath = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^\$"), AfterValidator(_readable)]
Parameter = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\s&=#?]+$")]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a paginator may look at: the page just read and the counts so far (this page included)."""

    request: Request
    response: Response
    body: Any
    page_number: int
    page_rows: int
    rows_so_far: int


@dataclass(frozen=True, slots=True)
class Next:
    """Either the request of the next page, or the reason why there is none."""

    request: Request | None
    stop_reason: str | None = None


class _Paginator(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    max_pages: int | None = Field(default=None, ge=1, le=10_000_000, title="Pages at most")

    def first(self, request: Request) -> Request:
        """The request of the first page."""
        return request

    def next(self, seen: Seen) -> Next:
        """What follows the page that was seen."""
        raise NotImplementedError

    def behind(self, request: Request, *, pages: int, rows: int) -> Request | None:  # noqa: ARG002
        """The request of the page behind so many pages, which hold so many rows; None where only a page leads there."""
        return None

    def ahead(self, seen: Seen, known: int, most: int) -> list[Request]:  # noqa: ARG002
        """The requests that will follow if every page is as full as this one, behind those that are `known`, up to
        `most` with them; none where each page names the next.
        """
        return []


class AutoPagination(_Paginator):
    """Found out at the first read, with proof."""

    type: Literal["auto"] = "auto"

    def next(self, seen: Seen) -> Next:  # noqa: ARG002
        """Detection replaces this before a read; alone it reads one page."""
        return Next(None, NO_NEXT)


class NoPagination(_Paginator):
    """One page is all there is."""

    type: Literal["none"] = "none"

    def next(self, seen: Seen) -> Next:  # noqa: ARG002
        """Nothing follows."""
        return Next(None, NO_NEXT)


class NextUrlPagination(_Paginator):
    """The body holds the next page's address, whole or relative."""

    type: Literal["next_url"] = "next_url"
    next_url_path: JsonPath = Field(title="Next link at", description="For example $.paging.next")

    def next(self, seen: Seen) -> Next:
        """Follow the link, on the same origin only."""
        link = at_path(seen.body, self.next_url_path)
        if link is None or link is False or (isinstance(link, str) and not link.strip()):
            return Next(None, NO_NEXT)
        if not isinstance(link, str):
            raise UpstreamError(f"At {self.next_url_path} is no address. Choose the place of the next page's link.")
        return Next(follow(seen.request, link.strip()))


class LinkHeaderPagination(_Paginator):
    """The `Link` header (RFC 8288) names the next page."""

    type: Literal["link_header"] = "link_header"
    rel: Annotated[str, Field(min_length=1, max_length=100)] = Field(default="next", title="Relation")

    def next(self, seen: Seen) -> Next:
        """Follow the link of that relation, on the same origin only."""
        link = link_of(seen.response, self.rel)
        return Next(None, NO_NEXT) if link is None else Next(follow(seen.request, link))


class PageNumberPagination(_Paginator):
    """Pages are numbered."""

    type: Literal["page_number"] = "page_number"
    page_param: Parameter = Field(default="page", title="Page parameter")
    size_param: Parameter | None = Field(default=None, title="Size parameter")
    size: int | None = Field(default=None, ge=1, le=1_000_000, title="Rows per page")
    start: int = Field(default=1, ge=0, le=1_000_000, title="First page")
    total_pages_path: JsonPath | None = Field(default=None, title="Number of pages at")

    def first(self, request: Request) -> Request:
        """The first page's number and, if set, the size."""
        return _with(request, {self.page_param: self.start, **_sized(self.size_param, self.size)})

    def next(self, seen: Seen) -> Next:
        """The next number, until the pages are counted through or a page is empty or short."""
        total_pages = integer(at_path(seen.body, self.total_pages_path)) if self.total_pages_path else None
        if total_pages is not None:
            if seen.page_number >= total_pages:
                return Next(None, NO_NEXT)
        elif seen.page_rows == 0:
            return Next(None, EMPTY_PAGE)
        elif _is_short(seen, self.size):
            return Next(None, SHORT_PAGE)
        if seen.page_rows == 0:
            return Next(None, EMPTY_PAGE)
        return Next(self.behind(seen.request, pages=seen.page_number, rows=seen.rows_so_far))

    def behind(self, request: Request, *, pages: int, rows: int) -> Request:  # noqa: ARG002
        """The number after so many pages."""
        return _with(request, {self.page_param: self.start + pages})

    def ahead(self, seen: Seen, known: int, most: int) -> list[Request]:
        """The numbers up to the last, where the API counts its pages."""
        last = integer(at_path(seen.body, self.total_pages_path)) if self.total_pages_path else None
        numbers = range(seen.page_number + known, min(last or 0, seen.page_number + most))
        return [self.behind(seen.request, pages=number, rows=0) for number in numbers]


class OffsetPagination(_Paginator):
    """Rows are counted: so many from there."""

    type: Literal["offset"] = "offset"
    offset_param: Parameter = Field(default="offset", title="Offset parameter")
    limit_param: Parameter | None = Field(default="limit", title="Limit parameter")
    limit: int | None = Field(default=None, ge=1, le=1_000_000, title="Rows per page")
    start: int = Field(default=0, ge=0, le=1_000_000, title="First offset")
    total_path: JsonPath | None = Field(default=None, title="Total at")

    def first(self, request: Request) -> Request:
        """The first offset and, if set, the limit."""
        return _with(request, {self.offset_param: self.start, **_sized(self.limit_param, self.limit)})

    def next(self, seen: Seen) -> Next:
        """The offset after the rows so far, until the total is reached or a page is empty or short.

        A total that more rows have passed is wrong, so the pages are believed, not it.
        """
        if seen.page_rows == 0:
            return Next(None, EMPTY_PAGE)
        total = integer(at_path(seen.body, self.total_path)) if self.total_path else None
        if total is not None and seen.rows_so_far <= total:
            if seen.rows_so_far == total:
                return Next(None, TOTAL_REACHED)
        elif _is_short(seen, self.limit):
            return Next(None, SHORT_PAGE)
        return Next(self.behind(seen.request, pages=seen.page_number, rows=seen.rows_so_far))

    def behind(self, request: Request, *, pages: int, rows: int) -> Request:  # noqa: ARG002
        """The offset after so many rows."""
        return _with(request, {self.offset_param: self.start + rows})

    def ahead(self, seen: Seen, known: int, most: int) -> list[Request]:
        """The offsets up to the total, where the API reports one."""
        total = integer(at_path(seen.body, self.total_path)) if self.total_path else None
        if not total or not seen.page_rows:
            return []
        offsets = range(seen.rows_so_far, total, seen.page_rows)
        return [self.behind(seen.request, pages=0, rows=offset) for offset in offsets[known:most]]


class CursorPagination(_Paginator):
    """The body holds a mark to ask onward from."""

    type: Literal["cursor"] = "cursor"
    cursor_path: JsonPath = Field(title="Cursor at", description="For example $.next_cursor")
    cursor_param: Parameter = Field(default="cursor", title="Cursor parameter")
    cursor_in: Literal["query", "body", "header"] = Field(default="query", title="Send it in")
    has_more_path: JsonPath | None = Field(default=None, title="Has more at")
    size_param: Parameter | None = Field(default=None, title="Size parameter")
    size: int | None = Field(default=None, ge=1, le=1_000_000, title="Rows per page")

    def first(self, request: Request) -> Request:
        """The size, if set."""
        return _with(request, _sized(self.size_param, self.size))

    def next(self, seen: Seen) -> Next:
        """Ask onward from the cursor, unless the API says that there is no more."""
        has_more = at_path(seen.body, self.has_more_path) if self.has_more_path is not None else None
        if has_more is False:
            return Next(None, HAS_MORE_FALSE)
        cursor = at_path(seen.body, self.cursor_path)
        if cursor is None or cursor is False or cursor in ("", [], {}):
            if has_more is True:
                raise UpstreamError(
                    f"The API says that there is more, but gives no cursor at {self.cursor_path}. Check Pages."
                )
            return Next(None, NO_NEXT)
        if self.cursor_in == "body":
            return Next(self._in_body(seen.request, cursor))
        text = str(cursor)
        if isinstance(cursor, dict | list | bool) or (self.cursor_in == "header" and not text.isprintable()):
            raise UpstreamError(f"At {self.cursor_path} is nothing that could be sent as a cursor. Check Pages.")
        if self.cursor_in == "header":
            return Next(seen.request.with_header(self.cursor_param, text))
        return Next(_with(seen.request, {self.cursor_param: text}))

    def _in_body(self, request: Request, cursor: Any) -> Request:
        try:
            body = json.loads(request.body or b"{}")
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise Invalid("A cursor can only be put into a body that is a JSON object.", at="pagination.cursor_in")
        return replace(request, body=to_json({**body, self.cursor_param: cursor}))


Pagination = Annotated[
    AutoPagination
    | NoPagination
    | NextUrlPagination
    | LinkHeaderPagination
    | PageNumberPagination
    | OffsetPagination
    | CursorPagination,
    Field(discriminator="type"),
]


def follow(request: Request, link: str) -> Request:
    """The request with a link's address. Raises `UpstreamError` on another origin: no token goes there.

    A plain-http link of an https API with default ports is taken as https: proxies that end TLS make such links.
    """
    try:
        url = urljoin(request.url, link)
        if url.startswith("http://") and origin_of(request.url) == origin_of("https" + url[4:]):
            url = "https" + url[4:]
        origin = origin_of(url)
    except ValueError:
        raise UpstreamError("The link to the next page is no address. Check Pages.", sent=False) from None
    if origin != origin_of(request.url):
        raise UpstreamError(
            f"The next page is on {urlsplit(url).hostname}, another host than {urlsplit(request.url).hostname}. "
            "The token is not sent there, so we stopped.",
            message_code="E-BLOCKED",
            sent=False,
        )
    parts = urlsplit(url)
    return replace(request, url=urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="")))


def link_of(response: Response, rel: str) -> str | None:
    """The target of a relation in the `Link` headers (RFC 8288 §3)."""
    for header in response.headers.get_all("link"):
        for match in re.finditer(r"<([^>]*)>((?:\s*;\s*[^;,\"]+(?:\"[^\"]*\")?)*)", header):
            for parameter in re.finditer(r";\s*([\w*!#$&+.^`|~-]+)\s*=\s*(?:\"([^\"]*)\"|([^\s;,\"]+))", match[2]):
                if parameter[1].lower() == "rel" and rel.lower() in (parameter[2] or parameter[3]).lower().split():
                    return match[1].strip()
    return None


def query_integer(request: Request, name: str) -> int | None:
    """A number in the request's own query."""
    values = parse_qs(urlsplit(request.url).query).get(name)
    return integer(values[0]) if values else None


def _with(request: Request, params: dict[str, Any]) -> Request:
    return replace(request, url=with_query(request.url, params)) if params else request


def _is_short(seen: Seen, size: int | None) -> bool:
    """Whether a page has fewer rows than a page holds, which is less than `size` where the API gives less."""
    if size is None:
        return False
    if seen.page_number > 1:
        size = min(size, (seen.rows_so_far - seen.page_rows) // (seen.page_number - 1))
    elif seen.page_rows in USUAL_SIZES:
        return False  # most likely the API's own limit: page 2 will tell
    return seen.page_rows < size


def _sized(name: str | None, size: int | None) -> dict[str, int]:
    return {name: size} if name and size else {}


def integer(value: Any) -> int | None:
    """A whole number that is not negative, also one in digits."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if value >= 0 else None
    if isinstance(value, str) and _COUNT.fullmatch(value.strip()):
        return int(value)
    return None
