"""Room for what is heavy: so many bytes at once in this process, and who comes first is served first.

Nobody waits for room that only those behind them could make, so it goes on for ever as long as whoever holds some of a
room waits for no more of the same one. Coroutines and threads may share a room.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Lock


class Held:
    """So many bytes of a room, until they are given back; of any thread."""

    def __init__(self, room: Room, size_bytes: int) -> None:
        self._room, self.bytes = room, size_bytes
        self.is_over = False

    def resize(self, size_bytes: int) -> None:
        """It turned out to weigh that much; also more than there is, since it is there already."""
        self._room.change(self, size_bytes, last=False)

    def give_back(self) -> None:
        """It is gone. A second time changes nothing."""
        self._room.change(self, 0, last=True)


class Room:
    """Room for `most_bytes`. Who asks for more than that goes alone."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._used_bytes = self._holders = 0
        self._waiting: deque[tuple[int, Future[Held]]] = deque()
        self._lock = Lock()

    @property
    def used_bytes(self) -> int:
        """What is held just now."""
        return self._used_bytes

    async def take(self, size_bytes: int) -> Held:
        """Wait for room. Cancelled, it holds nothing and stands in nobody's way."""
        asked = self._ask(size_bytes)
        if asked.done():
            return asked.result()
        try:
            return await asyncio.wrap_future(asked)
        except asyncio.CancelledError:
            if asked.cancel():
                self._admit()
            else:
                asked.add_done_callback(lambda given: given.result().give_back())
            raise

    def offered(self, size_bytes: int) -> Held | None:
        """Room, if there is some just now and nobody waits for it."""
        with self._lock:
            if self._waiting or self._used_bytes + size_bytes > self.most_bytes:
                return None
            return self._hold(size_bytes)

    @contextmanager
    def taken(self, size_bytes: int) -> Iterator[None]:
        """Room for what is done inside; the thread waits for it."""
        held = self._ask(size_bytes).result()
        try:
            yield
        finally:
            held.give_back()

    def _ask(self, size_bytes: int) -> Future[Held]:
        asked: Future[Held] = Future()
        with self._lock:
            self._waiting.append((size_bytes, asked))
        self._admit()
        return asked

    def _admit(self) -> None:
        """Let in whoever is first, as far as there is room."""
        let_in: list[functools.partial[None]] = []
        with self._lock:
            while self._waiting:
                size_bytes, asked = self._waiting[0]
                if self._holders and self._used_bytes + size_bytes > self.most_bytes and not asked.cancelled():
                    break
                self._waiting.popleft()
                if asked.set_running_or_notify_cancel():
                    let_in.append(functools.partial(asked.set_result, self._hold(size_bytes)))
        # Outside: whoever waits is told, and may ask again at once.
        for tell in let_in:
            tell()

    def _hold(self, size_bytes: int) -> Held:
        self._holders += 1
        self._used_bytes += size_bytes
        return Held(self, size_bytes)

    def change(self, held: Held, size_bytes: int, *, last: bool) -> None:
        """What somebody holds weighs that from now on; `last`: and is over."""
        with self._lock:
            if held.is_over:
                return
            self._used_bytes += size_bytes - held.bytes
            self._holders -= last
            held.bytes, held.is_over = size_bytes, last
        self._admit()
