"""Looking a page ahead: the next is on its way while one is looked at, as long as few reads are under way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from keyturn.errors import KeyturnError
from keyturn.rest.fetching import AHEAD_BYTES

if TYPE_CHECKING:
    from keyturn.rest.reader import Page

T = TypeVar("T")
# Up to so many reads of this process look ahead. Where there are more, the others are work enough while one waits, and
# a page that lies ready is memory, and is asked for again after a crash.
FEW = 4
# Bodies of all reads of this process that may lie in memory before they are due.
_AHEAD_BYTES = 4 * AHEAD_BYTES
_under_way: set[str] = set()


@contextmanager
def under_way(read_id: str) -> Iterator[None]:
    """A read that takes part in the count, from its first page to its last."""
    _under_way.add(read_id)
    try:
        yield
    finally:
        _under_way.discard(read_id)


def looks_ahead() -> bool:
    """Whether so few reads are under way that a page more of each may lie in memory."""
    return len(_under_way) <= FEW


def ahead_bytes() -> int:
    """How much of one read may lie in memory before it is due: all of them share."""
    return min(AHEAD_BYTES, _AHEAD_BYTES // max(1, len(_under_way)))


async def one_ahead(source: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """The same, each begun while the one before it is looked at. Raises what `source` does.

    Nothing is held here that was given out: a page's body and its rows weigh many times what is made of them.
    """
    following: asyncio.Task[T | None] | None = None
    try:
        while (item := await (following or anext(source, None))) is not None:
            following = asyncio.create_task(anext(source, None)) if looks_ahead() else None
            given, item = [item], None
            yield given.pop()
    finally:
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        await source.aclose()


async def light(pages: AsyncGenerator[Page]) -> AsyncGenerator[Page]:
    """The same without the bodies that rows were cut out of: they would lie in memory twice."""
    async with aclosing(pages):
        async for page in pages:
            if page.raw is not None:
                page.response = replace(page.response, body=b"")
            given = [page]
            del page
            yield given.pop()


async def ended_after(source: AsyncGenerator[T], drained: Callable[[], Awaitable[None]]) -> AsyncGenerator[T]:
    """The same, which has its end or its failure only when `drained` has."""
    async with aclosing(source):
        try:
            async for item in source:
                yield item
        except KeyturnError:
            await drained()
            raise
        await drained()
