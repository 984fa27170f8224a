"""The loop: request, response, rows, next, until there is a reason to stop; and the stamp that says which.

It is given one function, `send`, and knows neither tokens nor tables. A read never looks complete when it is not.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from keyturn.errors import KeyturnError, LimitReached, UpstreamError
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
)
from keyturn.rest.retries import retry_after_seconds, wait_after_error, wait_after_response
from keyturn.rest.rows import at_path, parse_body, rows_at
from keyturn.wire import Request, Response

Send = Callable[[Request], Awaitable[Response]]
OnWait = Callable[[float, str], Awaitable[None]]
Sleep = Callable[[float], Awaitable[None]]

NO_CONTENT = 204
_PROVED = frozenset({"no_next", "has_more_false", "total_reached"})
_UNPROVED = frozenset({"empty_page", "short_page"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What to read: the first request, where the rows are, how pages follow, and where a total is reported."""

    request: Request
    rows_path: str | None
    pagination: Pagination
    format: str = "json"
    total_path: str | None = None


@dataclass(frozen=True, slots=True)
class Completeness:
    """The stamp. `complete`: True when proved, False when not, None when it stopped with nothing to compare."""

    rows: int = 0
    pages: int = 0
    reported_total: int | None = None
    stop_reason: str | None = None
    complete: bool | None = None
    truncated: bool = False
    note: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-safe, with the names other programs hold on to."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Page:
    """One page: `number` counts from 1; `rows` are its rows as they came."""

    number: int
    rows: list[Any]
    response: Response
    reported_total: int | None


class Reader:
    """One read of an endpoint. Iterate `pages()`; `completeness` is final when the iteration has ended."""

    def __init__(
        self,
        endpoint: Endpoint,
        send: Send,
        *,
        max_rows: int | None = None,
        on_wait: OnWait | None = None,
        system: str = "The API",
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.endpoint = endpoint
        self.completeness = Completeness()
        self.has_more = False
        self._send, self._max_rows, self._on_wait = send, max_rows, on_wait
        self._system, self._sleep = system, sleep

    async def pages(self) -> AsyncIterator[Page]:
        """The pages in order. Raises what `send` raises, `UpstreamError`, `LimitReached`; the stamp then says error."""
        try:
            async for page in self._pages():
                yield page
        except Exception as error:
            self._end("error")
            if isinstance(error, KeyturnError):
                error.details.setdefault("completeness", self.completeness.as_dict())
            raise
        except (GeneratorExit, asyncio.CancelledError):
            if self.completeness.stop_reason is None:
                self._end("cancelled")
            raise

    async def _pages(self) -> AsyncIterator[Page]:
        request: Request | None = self.endpoint.pagination.first(self.endpoint.request)
        asked: set[bytes] = set()
        before: list[Any] = []
        while request is not None:
            asked.add(_fingerprint(request))
            response = await self._page(request)
            if response is None:
                self._end(EMPTY_PAGE)
                return
            body = parse_body(response) if response.status != NO_CONTENT else None
            rows = rows_at(body, self.endpoint.rows_path) if response.status != NO_CONTENT else []
            # The rows are compared, not the bodies: a link to the next page differs even where nothing else does.
            if rows and rows == before:
                self._end("repeated_page")
                return
            before = rows
            count = self._counted(rows, self._total(body))
            kept = len(rows) if self._max_rows is None else count.rows - self.completeness.rows
            self.completeness = count
            failure: KeyturnError | None = None
            try:
                request = self._following(
                    Seen(request, response, body, count.pages, len(rows), count.rows), kept, asked
                )
            except KeyturnError as error:
                failure = error
            # Rows that are here are given out before a way onward that is blocked is told.
            yield Page(count.pages, rows[:kept], response, count.reported_total)
            if failure is not None:
                raise failure

    async def _page(self, request: Request) -> Response | None:
        """The response, or None where an API says 404 to the page after its last one."""
        try:
            return await self.fetch(request)
        except UpstreamError as error:
            numbered = isinstance(self.endpoint.pagination, PageNumberPagination | OffsetPagination)
            if numbered and self.completeness.pages and error.message_code == "E-NOTFOUND":
                return None
            raise

    def _counted(self, rows: list[Any], total: int | None) -> Completeness:
        stamp = self.completeness
        count = stamp.rows + len(rows)
        return replace(
            stamp,
            rows=count if self._max_rows is None else min(count, self._max_rows),
            pages=stamp.pages + 1,
            reported_total=total if total is not None else stamp.reported_total,
        )

    def _following(self, seen: Seen, kept: int, asked: set[bytes]) -> Request | None:
        """The request of the next page; or None, and the stamp then has its reason."""
        paginator = self.endpoint.pagination
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
        elif request is not None and _fingerprint(request) in asked:
            request, reason = None, "repeated_cursor"
        elif request is not None and paginator.max_pages is not None and seen.page_number >= paginator.max_pages:
            request, reason = None, "max_pages"
        if request is None:
            self._end(reason or NO_NEXT)
        return request

    async def fetch(self, request: Request) -> Response:
        """One request, tried again as `retries` says. Raises what the last try ended with."""
        attempt = 1
        while True:
            try:
                response = await self._send(request)
            except KeyturnError as error:
                wait = wait_after_error(error, attempt, chance=random.random)
                if wait is None:
                    raise
                await self._wait(wait, error.message)
            else:
                if 200 <= response.status < 300:
                    return response
                wait = wait_after_response(response, attempt, now=time.time(), chance=random.random)
                if wait is None:
                    raise self._refused(request, response)
                await self._wait(wait, f"{self._system} asked us to wait ({response.status}).")
            attempt += 1

    async def _wait(self, seconds: float, reason: str) -> None:
        if self._on_wait is not None and seconds >= 0.5:
            await self._on_wait(seconds, reason)
        await self._sleep(seconds)

    def _refused(self, request: Request, response: Response) -> KeyturnError:
        path = urlsplit(request.url).path
        status = response.status
        if status == 404:
            sentence, code = f"404 at {path}. Check the path; the connection itself works.", "E-NOTFOUND"
        elif status in {401, 403}:
            sentence = (
                f"{self._system} answered {status}: this account may not read {path}. Ask for the permission or scope; "
                "reconnecting will not help by itself."
            )
            code = "E-FORBIDDEN"
        elif status == 429:
            seconds = retry_after_seconds(response, now=time.time()) or 60.0
            sentence = f"{self._system} asks us to wait {seconds:.0f} s (429). Try again then; nothing was changed."
            return LimitReached(sentence, retry_after_seconds=seconds, message_code="E-RATE")
        elif status >= 500:
            sentence, code = f"{self._system} is having trouble ({status}). Try again later.", "E-UPSTREAM"
        elif 300 <= status < 400:
            sentence, code = (
                f"{self._system} answered {status} at {path}: it leads elsewhere. Use the path it names.",
                None,
            )
        else:
            sentence, code = f"{self._system} answered {status} at {path}. Look at the request.", None
        return UpstreamError(sentence, message_code=code, status=status, sent=True)

    def _total(self, body: Any) -> int | None:
        path = self.endpoint.total_path or getattr(self.endpoint.pagination, "total_path", None)
        value = at_path(body, path) if path else None
        if isinstance(value, str) and value.isdigit():
            value = int(value)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def _end(self, reason: str) -> None:
        stamp = self.completeness
        complete, note = verdict(
            reason,
            rows=stamp.rows,
            pages=stamp.pages,
            reported_total=stamp.reported_total,
            paging=not isinstance(self.endpoint.pagination, NoPagination | AutoPagination),
        )
        truncated = reason == "max_rows"
        self.completeness = replace(stamp, stop_reason=reason, complete=complete, truncated=truncated, note=note)


def verdict(
    reason: str, *, rows: int, pages: int, reported_total: int | None, paging: bool
) -> tuple[bool | None, str | None]:
    """Whether a read was complete, and a sentence when it was not. None: it stopped by itself, nothing to compare."""
    if reason == "max_rows":
        return None, None
    if reason in _PROVED | _UNPROVED and reported_total is not None:
        if rows >= reported_total:
            return True, None
        return False, f"The API reported {reported_total:,} rows and {rows:,} came."
    if not paging and pages == 1 and rows in USUAL_SIZES:
        return False, f"We got exactly {rows:,} rows and no paging is set, so there are probably more."
    if reason in _PROVED:
        return True, None
    if reason in _UNPROVED:
        return None, None
    return False, _why_not(reason, rows, pages)


def _why_not(reason: str, rows: int, pages: int) -> str:
    if reason == "repeated_page":
        return (
            f"Page {pages + 1} is identical to page {pages}, so we stopped. {rows:,} rows were kept and marked "
            "Incomplete; check Pages."
        )
    if reason == "repeated_cursor":
        return f"Page {pages} leads back to a page we had, so we stopped. {rows:,} rows were kept; check Pages."
    if reason == "max_pages":
        return f"Reading stopped at the limit of {pages:,} pages that is set for this table."
    return f"Reading ended after {rows:,} rows ({reason})."


def _fingerprint(request: Request) -> bytes:
    headers = "\n".join(f"{k.lower()}:{v}" for k, v in request.headers.items)
    text = f"{request.method} {request.url}\n{headers}\n".encode()
    return hashlib.sha256(text + (request.body or b"")).digest()
