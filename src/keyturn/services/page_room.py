"""Room for the pages of all reads of this process: taken before a page is asked for, given back when it is typed.

Without it fifty imports would have fifty pages of megabytes in memory, whatever that is; with it some wait for a
moment. What is asked for before its turn is bounded by itself (`one_ahead.ahead_bytes`) and takes no room here: a page
that lies there waits for one that is due, and that one must not wait for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from keyturn.columns.pages import VALUES_TIMES
from keyturn.room import Held, Room

if TYPE_CHECKING:
    from keyturn.rest.reader import Page
    from keyturn.wire import Request, Response

# A constant: where a gigabyte is there, no number of imports and no size of pages takes it (docs/benchmarks.md), and
# more would make none of them faster, since two cores type fewer pages at once than have room.
ROOM_BYTES = 128 << 20
# What a page of a table weighs of which none has come yet, most likely less: until it is here fewer are asked for.
UNKNOWN_BYTES = 16 << 20
_KNOWN_MOST = 10_000
_room = Room(ROOM_BYTES)
_weights: dict[str, int] = {}


class PageRoom:
    """What one read holds: at most the page that it asks for, and the one before while that is typed.

    Whoever asks for a page lets go of what came before it and gave none: nobody holds room while it waits for more
    but for a page that is given out, and that one is typed all the same.
    """

    def __init__(self, table_id: str) -> None:
        self._table_id = table_id
        self._asked: Held | None = None
        self._given: list[Held] = []

    def around(self, send: Callable[..., Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
        """`send`, which waits for room first. It waits for nothing while an end system has asked it to wait."""

        async def in_room(request: Request, **limits: int) -> Response:
            if limits:
                return await send(request, **limits)
            self._let_go()
            self._asked = held = await _room.take(_weights.get(self._table_id, UNKNOWN_BYTES))
            try:
                response = await send(request)
            except BaseException:
                held.give_back()
                raise
            held.resize(len(response.body))
            if not 200 <= response.status < 300:
                held.give_back()
            return response

        return in_room

    def given(self, page: Page) -> Held | None:
        """What a page holds that is given out; None for one that was asked for before its turn."""
        held, self._asked = self._asked, None
        weight = len(page.raw) if page.raw is not None else VALUES_TIMES * len(page.response.body)
        if len(_weights) >= _KNOWN_MOST:
            _weights.clear()
        _weights[self._table_id] = weight
        if held is not None:
            held.resize(weight)
            self._given = [*(other for other in self._given if not other.is_over), held]
        return held

    def close(self) -> None:
        """The read has ended: all of it."""
        self._let_go()
        for held in self._given:
            held.give_back()

    def _let_go(self) -> None:
        if self._asked is not None:
            self._asked.give_back()
            self._asked = None
