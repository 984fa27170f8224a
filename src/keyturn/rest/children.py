"""An endpoint read once for each row of another: the parent's rows in order, the pages of each, one stamp over all.

One page of the parent's rows, reduced to the values that are asked with, is all that is kept of it; a checkpoint holds
them too, so that a read goes on inside a row of the parent, whatever became of the parent meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from keyturn.errors import Invalid, KeyturnError, UpstreamError
from keyturn.rest.checkpoints import Checkpoint
from keyturn.rest.fetching import usual_ahead_bytes
from keyturn.rest.keyed import keyed
from keyturn.rest.reader import Endpoint, Page, Reader
from keyturn.rest.stamps import Completeness, verdict
from keyturn.rest.tallies import Tally
from keyturn.wire import Response

# Children of which the first page may be asked for before their turn.
_AHEAD_MOST = 8
_FAMILY = "family"
# What an API answers where there is no such thing.
MISSING = frozenset({404, 410})


class Source(Protocol):
    """What the parent's rows come from: a reader of either kind."""

    @property
    def completeness(self) -> Completeness:
        """Its stamp so far."""
        ...

    @property
    def paging(self) -> bool:
        """Whether a way to the next page is set."""
        ...

    def pages(self) -> AsyncGenerator[Page]:
        """Its pages in order."""
        ...


@dataclass(frozen=True, slots=True)
class ParentRow:
    """A row to read for. `values` are asked with, None where one is missing; `identity` tells one that comes twice."""

    values: tuple[Any, ...] | None
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """How two endpoints belong together. `keys` are what the values are called in each child row.

    `name` is what a checkpoint must agree with; `parent_name` stands in sentences. `child` gets the values, the moment
    of the read in epoch seconds, and where to go on.
    """

    name: str
    parent_name: str
    keys: tuple[str, ...]
    parent: Callable[[Checkpoint | None], Source]
    rows_of: Callable[[Page], list[ParentRow]]
    child: Callable[[tuple[Any, ...], float, Checkpoint | None], Reader]
    max_pages: int | None = None
    ahead_bytes: Callable[[], int] = usual_ahead_bytes


class ChildrenReader:
    """One read of all children, as `Reader` is one of an endpoint: the caps and the stamp are those of the whole.

    A child whose first page answers 404 is counted, and the read goes on. `now` is epoch seconds.
    """

    def __init__(
        self, family: Family, *, now: float, max_rows: int | None = None, resume_from: Checkpoint | None = None
    ) -> None:
        self.family, self.has_more = family, False
        self.endpoint: Endpoint | None = None
        self._now, self._max_rows = now, max_rows
        self._final: Completeness | None = None
        self._tally = Tally()
        self._page: list[ParentRow] = []
        self._packed: list[list[Any]] = []
        self._row = 0
        self._after: Mapping[str, Any] | None = None
        self._current: Reader | None = None
        self._started: dict[int, Reader] = {}
        self._window, self._held = 1, 0
        self._given = False
        self._child_point: Checkpoint | None = None
        if resume_from is not None:
            self._resume(resume_from)
        self._source = family.parent(None if self._after is None else Checkpoint.from_dict(self._after))

    @property
    def completeness(self) -> Completeness:
        """The stamp so far; final when the pages have ended."""
        if self._final is not None:
            return self._final
        return self._tally.with_child(None if self._current is None else self._current.completeness)

    @property
    def paging(self) -> bool:
        """Rows of the parent follow each other as pages do."""
        return True

    def stop(self, reason: str) -> None:
        """The stamp says so, whatever it said before: `error`, what came could not be read after all; `cancelled`."""
        self._end(reason)

    async def pages(self) -> AsyncGenerator[Page]:
        """The pages in order, as `Reader.pages`; those without rows before the first with some are passed over."""
        empty: Page | None = None
        try:
            async with aclosing(self._pages()) as pages:
                async for page in pages:
                    if page.count or self._given:
                        self._given = True
                        yield page
                    else:
                        empty = page
            if not self._given:
                yield empty or self._nothing(204)
        except Exception as error:
            self._end("error")
            if isinstance(error, KeyturnError):
                error.details["completeness"] = self.completeness.as_dict()
            raise
        except (GeneratorExit, asyncio.CancelledError):
            if self._final is None:
                self._end("cancelled")
            raise
        finally:
            for reader in self._started.values():
                reader.drop()

    def _resume(self, checkpoint: Checkpoint) -> None:
        state = checkpoint.values.get(_FAMILY)
        if checkpoint.endpoint != self.family.name or state is None:
            raise Invalid("The table asks something else than when it was left. Start the read anew.", at="resume_from")
        self._packed, self._row, self._after, self._now = state["page"], state["row"], state["after"], state["now"]
        self._page = [ParentRow(None if values is None else tuple(values), name) for values, name in self._packed]
        self._tally = Tally.of(state["tally"])
        self._child_point = None if state["child"] is None else Checkpoint.from_dict(state["child"])
        self._given = checkpoint.rows > 0

    async def _pages(self) -> AsyncGenerator[Page]:
        async with aclosing(self._rows()) as rows:
            async for row in rows:
                if self._is_full():
                    return
                if row.values is None:
                    self._tally.without_value += 1
                    continue
                async with aclosing(self._pages_for(row.values)) as pages:
                    async for page in pages:
                        yield page
                if self._final is not None:
                    return
        parent = self._source.completeness.less(self._tally.repeated, 0, paging=self._source.paging)
        self._final = self._tally.whole(parent, self.family.parent_name)

    async def _rows(self) -> AsyncGenerator[ParentRow]:
        """The parent's rows; where this one stands is in `_page`, `_row` and, for the rest, `_after`."""
        async with aclosing(self._source.pages()) as pages:
            while True:
                while self._row < len(self._page):
                    yield self._page[self._row]
                    self._row += 1
                page = await anext(pages, None)
                if page is None:
                    return
                rows = self._new(await asyncio.to_thread(self.family.rows_of, page))
                self._page, self._row, self._after = rows, 0, page.checkpoint.as_dict()
                self._packed = [[row.values and list(row.values), row.identity] for row in rows]
                del page, rows  # it weighs megabytes, and its children may take hours

    def _new(self, rows: list[ParentRow]) -> list[ParentRow]:
        """The rows that did not come already, on this page or the one before: lists move while they are paged."""
        seen = {row.identity for row in self._page if row.identity is not None}
        found = []
        for row in rows:
            if row.identity in seen:
                self._tally.repeated += 1
                continue
            if row.identity is not None:
                seen.add(row.identity)
            found.append(row)
        return found

    async def _pages_for(self, values: tuple[Any, ...]) -> AsyncGenerator[Page]:
        tally, stamp = self._tally, self.completeness
        point, self._child_point = self._child_point, None
        if point is None:
            tally.parent_rows += 1
        reader = self._started.pop(self._row, None) or self.family.child(values, self._now, point)
        most_rows = None if self._max_rows is None else self._max_rows - stamp.rows
        most_pages = None if self.family.max_pages is None else self.family.max_pages - stamp.pages
        reader.limit(rows=most_rows, pages=most_pages)
        self._current, self.endpoint = reader, reader.endpoint
        size = 0
        try:
            async with aclosing(reader.pages()) as pages:
                async for page in pages:
                    size = max(size, len(page.response.body))
                    if page.checkpoint.next_request is None:
                        self._start_ahead(reader, size, most_pages)
                    keys = dict(zip(self.family.keys, values, strict=True))
                    yield await keyed(page, keys, self._checkpoint(page.checkpoint))
        except UpstreamError as error:
            if error.details.get("status") not in MISSING or reader.completeness.pages:
                raise
            tally.not_found += 1
            self._current = None
            yield self._nothing(404)
            return
        self._close(reader)

    def _close(self, reader: Reader) -> None:
        """A child ended by itself, or by a cap of the whole."""
        self._current, stamp = None, reader.completeness
        where = urlsplit(reader.endpoint.request.url).path
        self._tally.add(stamp, paging=reader.paging, where=where)
        self.has_more = reader.has_more
        if stamp.stop_reason in {"max_rows", "max_pages"}:
            self._end(stamp.stop_reason)

    def _is_full(self) -> bool:
        """Whether a cap of the whole was reached, and there is one more row of the parent."""
        stamp = self.completeness
        if self._child_point is not None:
            return False
        if self._max_rows is not None and stamp.rows >= self._max_rows:
            self.has_more = True
            self._end("max_rows")
        elif self.family.max_pages is not None and stamp.pages >= self.family.max_pages:
            self._end("max_pages")
        return self._final is not None

    def _start_ahead(self, reader: Reader, page_bytes: int, most_pages: int | None) -> None:
        """Ask for the first pages of the children that follow: more and more, fewer while the API holds us back."""
        if self._max_rows is not None or most_pages is not None:
            return
        held = reader.held
        self._window = 1 if held != self._held else min(_AHEAD_MOST, self._window * 2)
        self._held = held
        window = min(self._window, max(1, self.family.ahead_bytes() // max(1, page_bytes)))
        for number in range(self._row + 1, min(self._row + 1 + window, len(self._page))):
            values = self._page[number].values
            if values is not None and number not in self._started:
                self._started[number] = self.family.child(values, self._now, None)
                self._started[number].start()

    def _nothing(self, status: int) -> Page:
        """A page without rows, so that it is remembered how far the read has come."""
        done = self._checkpoint(None)
        return Page(done.pages, Response(status), None, 0, b"[]", done, [])

    def _checkpoint(self, child: Checkpoint | None) -> Checkpoint:
        """Where the read stands: inside the child of this row of the parent, or behind it."""
        stamp = self.completeness
        state = {
            "after": self._after,
            "page": self._packed,
            "row": self._row if child is not None else min(self._row + 1, len(self._page)),
            "child": None if child is None else child.as_dict(),
            "tally": self._tally.as_dict(),
            "now": self._now,
        }
        return Checkpoint(
            endpoint=self.family.name,
            next_request=None,
            pages=stamp.pages,
            rows=stamp.rows,
            stop_reason=stamp.stop_reason,
            values={_FAMILY: state},
        )

    def _end(self, reason: str) -> None:
        stamp = self._tally.with_child(None if self._current is None else self._current.completeness)
        complete, note = verdict(reason, rows=stamp.rows, pages=stamp.pages, reported_total=None, paging=True)
        truncated = reason == "max_rows"
        self._final = replace(stamp, stop_reason=reason, complete=complete, note=note, truncated=truncated)
