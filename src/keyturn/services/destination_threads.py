"""Threads of their own for what blocks: a slow bucket must not hold those that look up its address."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# Each of the imports that a process runs at once has one, which lands pages, beside the one of its turns.
_MOST = 100
_threads = ThreadPoolExecutor(_MOST, thread_name_prefix="destination")
_typing_threads = ThreadPoolExecutor(6, thread_name_prefix="typing")


async def in_thread(act: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """`act(…)` in a thread for a destination, like `asyncio.to_thread`."""
    return await _in(_threads, act, *args, **kwargs)


async def in_typing_thread(act: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """`act(…)` in a thread that types pages, which may have to wait for room."""
    return await _in(_typing_threads, act, *args, **kwargs)


async def _in(threads: ThreadPoolExecutor, act: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    return await _begun(threads, functools.partial(act, *args, **kwargs))


def _begun(threads: ThreadPoolExecutor, act: Callable[[], R]) -> asyncio.Future[R]:
    return asyncio.get_running_loop().run_in_executor(threads, contextvars.copy_context().run, act)


class Turns:
    """Acts one after another in a thread of their own. After one that failed none begins until that one succeeded.

    Each way into a thread and back through the event loop takes as long as typing a small page: here the thread finds
    its next act waiting.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="turns")
        self._added = self._done = 0

    def add(self, act: Callable[[], R]) -> Turn[R]:
        """Put it behind the others."""
        self._added += 1
        return Turn(self, act, self._added)

    def begin(self, turn: Turn[R]) -> asyncio.Future[tuple[R] | None]:
        """A try of a turn, which answers None while one before it has not succeeded."""
        return _begun(self._thread, functools.partial(self._run, turn))

    async def close(self) -> None:
        """Until nothing runs any more; what has not begun never does."""
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    def _run(self, turn: Turn[R]) -> tuple[R] | None:
        if turn.number != self._done + 1:
            return None
        answer = turn.act()
        self._done = turn.number
        return (answer,)


class Turn(Generic[R]):
    """One act of `Turns`, under way."""

    def __init__(self, turns: Turns, act: Callable[[], R], number: int) -> None:
        self.act, self.number = act, number
        self._turns = turns
        self._under_way: asyncio.Future[tuple[R] | None] | None = turns.begin(self)

    async def result(self) -> R:
        """What the act answers. Raises what it raised; asked once more, it is tried once more.

        Those before it are asked first: RuntimeError while one of them has not succeeded.
        """
        found = await self._tried() or await self._tried()
        if found is None:
            raise RuntimeError("A turn before this one has not succeeded.")
        return found[0]

    async def _tried(self) -> tuple[R] | None:
        self._under_way = under_way = self._under_way or self._turns.begin(self)
        # Not the future itself: whoever waits may be cancelled, and the act goes on.
        await asyncio.wait({under_way})
        self._under_way = None
        return under_way.result()
