"""Threads of their own for what blocks: a slow bucket must not hold those that look up its address."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# Each of the imports that a process runs at once has at most two: one adds a page, one lands those before.
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
    call = functools.partial(contextvars.copy_context().run, act, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(threads, call)
