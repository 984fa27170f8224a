"""The loop: request, response, rows, next, until there is a reason to stop; and the stamp that says which.

It is given one function, `send`, and knows neither tokens nor tables. A read never looks complete when it is not.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import orjson

from keyturn import core
from keyturn.errors import Invalid, KeyturnError, UpstreamError
from keyturn.rest.checkpoints import ASKED_MOST, NO_PAGE, Checkpoint, PageText, fingerprint, packed, unpacked
from keyturn.rest.envelopes import Envelope, cut, listed
from keyturn.rest.fetching import Ahead, Fetcher, OnWait, Send, Sleep, usual_ahead_bytes
from keyturn.rest.pace import Pace
from keyturn.rest.paginators import (
    EMPTY_PAGE,
    NO_NEXT,
    USUAL_SIZES,
    AutoPagination,
    NoPagination,
    OffsetPagination,
    PageNumberPagination,
    Pagination,
    Seen,
    integer,
)
from keyturn.rest.rows import at_path, parse_json, parse_readable, parse_rows, readable, rows_at, to_json
from keyturn.rest.stamps import Completeness, verdict
from keyturn.wire import Request, Response

__all__ = ["USUAL_SIZES", "Completeness", "Endpoint", "Page", "Reader", "Send", "verdict"]

ACCEPTED, NO_CONTENT, PARTIAL_CONTENT = 202, 204, 206
# Some APIs give a mark onward with pages that have no rows; so many of them in a row lead nowhere.
BARREN_PAGES = 1000


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What to read: the first request, where the rows are, how pages follow, and where a total is reported."""

    request: Request
    rows_path: str | None
    pagination: Pagination
    format: str = "json"
    total_path: str | None = None

    @property
    def name(self) -> str:
        """What a checkpoint must agree with: where is asked and how pages follow, not for which dates."""
        parts = urlsplit(self.request.url)
        asked = [self.request.method, parts.scheme, parts.netloc, parts.path, self.rows_path, self.format]
        text = orjson.dumps([*asked, self.pagination.model_dump(mode="json")])
        return hashlib.sha256(text).hexdigest()[:24]


@dataclass(slots=True)
class Page:
    """One page: `number` counts from 1; the first `count` of its rows are given out.

    `raw` is the JSON text of the list its rows are in, where the body could be cut; `rows` reads them.
    """

    number: int
    response: Response
    reported_total: int | None
    count: int
    raw: bytes | None
    checkpoint: Checkpoint
    _rows: list[Any] | None = field(default=None, repr=False)
    # How many rows it has, with those behind a cap.
    full_count: int | None = None

    @property
    def rows(self) -> list[Any]:
        """Its rows as they came. Raises `UpstreamError` if they are no JSON after all."""
        if self._rows is None:
            self._rows = parse_rows(self.raw or b"[]", self.response)
        return self._rows if len(self._rows) == self.count else self._rows[: self.count]


@dataclass(slots=True)
class _Body:
    """A response taken apart."""

    body: Any
    rows: list[Any] | None
    envelope: Envelope | None
    text: PageText

    @property
    def count(self) -> int:
        return self.envelope.count if self.envelope is not None else len(self.rows or ())


class Reader:
    """One read of an endpoint. Iterate `pages()`; `completeness` is final when the iteration has ended.

    `ahead` is how many pages may be asked for before they are due, as far as `ahead_bytes` go; `resume_from` goes on
    where a checkpoint was taken, and the counts go on with it.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        send: Send,
        *,
        max_rows: int | None = None,
        on_wait: OnWait | None = None,
        system: str = "The API",
        sleep: Sleep = asyncio.sleep,
        pace: Pace | None = None,
        ahead: int = 0,
        ahead_bytes: Callable[[], int] = usual_ahead_bytes,
        resume_from: Checkpoint | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.completeness = Completeness()
        self.has_more = False
        self._max_rows = max_rows
        self._max_pages = endpoint.pagination.max_pages
        self._fetcher = Fetcher(send, pace=pace, on_wait=on_wait, system=system, sleep=sleep)
        self._ahead = Ahead(self._fetcher, ahead, ahead_bytes)
        self._planned: list[Request] = []
        self._asked: dict[str, None] = {}
        self._last_page = NO_PAGE
        self._barren = 0
        self._name = endpoint.name
        self._plain = endpoint.format == "json" and not any(map(self._looks_into_rows, self._paths()))
        self._first: Request | None = endpoint.pagination.first(endpoint.request)
        self._resumed_end: str | None = None
        if resume_from is not None:
            self._resume(resume_from)

    @property
    def paging(self) -> bool:
        """Whether a way to the next page is set."""
        return not isinstance(self.endpoint.pagination, NoPagination | AutoPagination)

    @property
    def held(self) -> int:
        """How often the API asked to wait."""
        return self._fetcher.pace.held

    def start(self) -> None:
        """Ask for the first page before its turn."""
        if self._first is not None:
            self._ahead.ask([self._first], 0)

    def drop(self) -> None:
        """Forget what was asked before its turn."""
        self._ahead.drop()

    def limit(self, *, rows: int | None, pages: int | None) -> None:
        """Read at most so many, where this is one of many endpoints that are read under one cap."""
        self._max_rows, self._max_pages = rows, pages

    async def fetch(self, request: Request) -> Response:
        """One request, tried again as `retries` says. Raises what the last try ended with."""
        return await self._fetcher.fetch(request)

    async def pages(self) -> AsyncGenerator[Page]:
        """The pages in order. Raises what `send` raises, `UpstreamError`, `LimitReached`; the stamp then says error."""
        try:
            async for page in self._pages():
                given = [page]
                del page
                yield given.pop()
        except Exception as error:
            self._end("error")
            if isinstance(error, KeyturnError):
                error.details.setdefault("completeness", self.completeness.as_dict())
            raise
        except (GeneratorExit, asyncio.CancelledError):
            if self.completeness.stop_reason is None:
                self._end("cancelled")
            raise
        finally:
            self._ahead.drop()

    def stop(self, reason: str) -> None:
        """The stamp says so, whatever it said before: `error`, what came could not be read after all; `cancelled`."""
        self._end(reason)

    def _resume(self, checkpoint: Checkpoint) -> None:
        if checkpoint.endpoint != self._name:
            raise Invalid("The table asks something else than when it was left. Start the read anew.", at="resume_from")
        self.completeness = Completeness(checkpoint.rows, checkpoint.pages, checkpoint.reported_total)
        self._asked = dict.fromkeys(checkpoint.asked)
        self._last_page = checkpoint.last_page
        self._resumed_end = checkpoint.stop_reason
        self._first = None
        if checkpoint.next_request is not None:
            request = unpacked(checkpoint.next_request)
            missing = [(k, v) for k, v in self.endpoint.request.headers.items if request.headers.get(k) is None]
            headers = replace(request.headers, items=(*missing, *request.headers.items))
            self._first = replace(request, headers=headers)

    async def _pages(self) -> AsyncIterator[Page]:
        request = self._first
        if request is None:
            self._end(self._resumed_end or NO_NEXT)
        while request is not None:
            self._asked[fingerprint(request)] = None
            response = await self._page(request)
            if response is None:
                self._end(EMPTY_PAGE)
                return
            found = await self._taken_apart(response)
            # The rows are compared, not the bodies: a link to the next page differs even where nothing else does.
            if found.text == self._last_page and (found.count or self._barren >= BARREN_PAGES):
                self._end("repeated_page")
                return
            self._last_page = found.text
            self._barren = 0 if found.count else self._barren + 1
            before = self.completeness.rows
            self.completeness = count = self._counted(found.count, self._total(found.body, response))
            if (sunset := response.headers.get("sunset")) is not None:  # RFC 8594
                self.completeness = count = replace(count, sunset=sunset[:100])
            seen = Seen(request, response, found.body, count.pages, found.count, before + found.count)
            kept = count.rows - before
            failure: KeyturnError | None = None
            try:
                request = self._following(seen, kept)
            except KeyturnError as error:
                failure = error
            else:
                self._ask_ahead(request, seen)
            # Rows that are here are given out before a way onward that is blocked is told.
            raw = found.envelope.rows if found.envelope is not None else None
            checkpoint = self._checkpoint(request)
            total = count.reported_total
            given = [Page(count.pages, response, total, kept, raw, checkpoint, found.rows, found.count)]
            # A page weighs megabytes: it is not held here while the next one is on its way.
            del found, response, seen, raw
            yield given.pop()
            if failure is not None:
                raise failure

    async def _taken_apart(self, response: Response) -> _Body:
        if response.status == NO_CONTENT:
            return _Body(None, [], None, NO_PAGE)
        if len(response.body) < core.SHORT_BYTES:
            return self._cut_or_parsed(response)
        return await asyncio.to_thread(self._cut_or_parsed, response)

    def _cut_or_parsed(self, response: Response) -> _Body:
        path, format_ = self.endpoint.rows_path, self.endpoint.format
        response = readable(response, format_)
        envelope = cut(response.body, path) if format_ == "json" else None
        if envelope is not None and self._plain:
            try:
                around = parse_json(envelope.around)
            except (ValueError, RecursionError):
                around = None
            if around is not None:
                return _Body(around, None, envelope, PageText(envelope.rows))
        body = parse_readable(response, format_)
        rows = rows_at(body, path)
        if response.status == ACCEPTED and not isinstance(at_path(body, path or "$"), list):
            raise UpstreamError(
                "The API answered 202: it has taken the request, and its rows are not there yet. Read the place "
                "that it names for them.",
                message_code="E-NOTDATA",
                status=ACCEPTED,
            )
        if format_ == "ndjson" and path in {None, "$"}:
            envelope = listed(response.body)
        # With their text, what a key hides that is there twice is found, and types are read the fast way.
        whole = envelope is not None and envelope.count == len(rows)
        return _Body(body, rows, envelope if whole else None, PageText(to_json(rows)))

    def _paths(self) -> list[str]:
        fields = self.endpoint.pagination.model_dump()
        named = [str(value) for name, value in fields.items() if name.endswith("_path") and value]
        return [*named, *filter(None, [self.endpoint.total_path])]

    def _looks_into_rows(self, path: str) -> bool:
        """Whether a setting's path may lead into the rows, for example a cursor that is the last row's id."""
        rows_path = self.endpoint.rows_path or "$"
        plain = not any(mark in path for mark in ("..", "*", "?")) and "[" not in path
        return rows_path == "$" or path.startswith(rows_path + ".") or not plain

    async def _page(self, request: Request) -> Response | None:
        """The response, or None where an API says 404 to the page after its last one."""
        try:
            return await self._ahead.take(request)
        except UpstreamError as error:
            numbered = isinstance(self.endpoint.pagination, PageNumberPagination | OffsetPagination)
            if numbered and self.completeness.pages and error.message_code == "E-NOTFOUND":
                return None
            raise

    def _ask_ahead(self, request: Request | None, seen: Seen) -> None:
        if request is None:
            self._ahead.drop()
            return
        most = self._ahead.most + 1
        if self._max_rows is not None and seen.page_rows:
            most = -(-(self._max_rows - seen.rows_so_far) // seen.page_rows)
        if self._max_pages is not None:
            most = min(most, self._max_pages - seen.page_number)
        # Each page adds one to those that were told by the pages before it, as long as what follows is what they said.
        planned = self._planned if self._planned[:1] == [request] else [request]
        planned += self.endpoint.pagination.ahead(seen, len(planned), most)
        self._ahead.ask(planned[:most], len(seen.response.body))
        self._planned = planned[1:]

    def _checkpoint(self, request: Request | None) -> Checkpoint:
        stamp = self.completeness
        stored = None
        if request is not None:
            known = set(self.endpoint.request.headers.items)
            own = tuple(pair for pair in request.headers.items if pair not in known)
            stored = packed(replace(request, headers=replace(request.headers, items=own)))
        return Checkpoint(
            endpoint=self._name,
            next_request=stored,
            pages=stamp.pages,
            rows=stamp.rows,
            reported_total=stamp.reported_total,
            last_page=self._last_page,
            asked=tuple(islice(reversed(self._asked), ASKED_MOST))[::-1] if self._remembers else (),
            stop_reason=stamp.stop_reason,
        )

    @property
    def _remembers(self) -> bool:
        """Counted pages never lead back, so nothing has to be remembered of them."""
        return not isinstance(self.endpoint.pagination, PageNumberPagination | OffsetPagination)

    def _counted(self, rows: int, total: int | None) -> Completeness:
        stamp = self.completeness
        count = stamp.rows + rows
        return replace(
            stamp,
            rows=count if self._max_rows is None else min(count, self._max_rows),
            pages=stamp.pages + 1,
            reported_total=total if total is not None else stamp.reported_total,
        )

    def _following(self, seen: Seen, kept: int) -> Request | None:
        """The request of the next page; or None, and the stamp then has its reason."""
        paginator, most = self.endpoint.pagination, self._max_pages
        full = self._max_rows is not None and seen.rows_so_far >= self._max_rows
        try:
            following = paginator.next(seen)
        except KeyturnError:
            if not full:
                raise
            self.has_more = True
            self._end("max_rows")
            return None
        request, reason = following.request, following.stop_reason
        if full:
            self.has_more = request is not None or kept < seen.page_rows
            request, reason = None, "max_rows" if self.has_more else reason
        elif request is not None and fingerprint(request) in self._asked:
            request, reason = None, "repeated_cursor"
        elif request is not None and most is not None and seen.page_number >= most:
            request, reason = None, "max_pages"
        if request is None:
            self._end(reason or NO_NEXT)
        return request

    def _total(self, body: Any, response: Response) -> int | None:
        if response.status == PARTIAL_CONTENT and self.endpoint.total_path is None:
            # `items 0-24/3573`: a part of so many (RFC 9110 §14.4, as PostgREST and others page).
            told = integer((response.headers.get("content-range") or "").rpartition("/")[2])
            if told is not None:
                return told
        path = self.endpoint.total_path or getattr(self.endpoint.pagination, "total_path", None)
        return integer(at_path(body, path)) if path else None

    def _end(self, reason: str) -> None:
        self.completeness = self.completeness.ended(reason, paging=self.paging)
