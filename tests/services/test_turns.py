"""Acts take turns in one thread: each once, in their order, whatever fails and is tried again."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.services.destination_threads import Turns


@given(st.lists(st.integers(0, 3), max_size=12), st.integers(1, 4))
def test_any_failures_leave_the_order_as_it_was(failures, ahead):
    done: list[int] = []

    def act(number: int, left: list[int]) -> int:
        if left:
            left.pop()
            raise OSError(number)
        done.append(number)
        return number

    async def patiently(turn):
        while True:
            try:
                return await turn.result()
            except OSError:
                await asyncio.sleep(0)

    async def everybody():
        turns, given_out, answers = Turns(), [], []
        for number, count in enumerate(failures):
            given_out.append(turns.add(lambda number=number, left=[0] * count: act(number, left)))
            while len(given_out) > ahead:
                answers.append(await patiently(given_out.pop(0)))
        answers += [await patiently(turn) for turn in given_out]
        await turns.close()
        return answers

    assert asyncio.run(everybody()) == done == list(range(len(failures)))


async def test_behind_one_that_failed_nothing_begins():
    turns, done = Turns(), []

    def fail() -> None:
        raise OSError

    first, second = turns.add(fail), turns.add(lambda: done.append(2))
    with pytest.raises(OSError):
        await first.result()
    with pytest.raises(RuntimeError, match="before this one"):
        await second.result()
    await turns.close()
    assert done == []


async def test_whoever_stops_waiting_may_ask_again_and_close_waits_for_what_runs():
    turns, go_on, done = Turns(), threading.Event(), []

    def act() -> str:
        go_on.wait(30)
        done.append(1)
        return "answer"

    turn = turns.add(act)
    waiting = asyncio.ensure_future(turn.result())
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.wait({waiting})
    go_on.set()
    assert await turn.result() == "answer"
    await turns.close()
    assert done == [1]
