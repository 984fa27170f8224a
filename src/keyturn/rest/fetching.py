"""One page's request, tried again as `retries` says and paced with its neighbours; and requests asked ahead of time."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import urlsplit

from keyturn.errors import KeyturnError, LimitReached, UpstreamError
from keyturn.rest.pace import Pace
from keyturn.rest.retries import LONGEST_SECONDS, retry_after_seconds, wait_after_error, wait_after_response
from keyturn.wire import Request, Response

# Given a request; one asked ahead of its turn comes with `max_bytes` too, the most its answer may be.
Send = Callable[..., Awaitable[Response]]
# Seconds, the reason in words, and its kind: `rate_limit`, or `own_cap` for what was set here.
OnWait = Callable[[float, str, str], Awaitable[None]]
# A turn under the own cap that is nearer is nothing to tell of.
_TOLD_TURN_SECONDS = 5.0
Sleep = Callable[[float], Awaitable[None]]
# Bytes of pages that may lie in memory before they are due, as large as the last one; and how much each may grow.
AHEAD_BYTES = 24 << 20
AHEAD_LEAST_BYTES, AHEAD_TIMES = 4 << 20, 4


def usual_ahead_bytes() -> int:
    """What one read may have lying there, where nobody says how many there are."""
    return AHEAD_BYTES


class Fetcher:
    """Sends requests of one read; `pace` is shared with the other readers of the connection."""

    def __init__(
        self, send: Send, *, pace: Pace | None = None, on_wait: OnWait | None = None, system: str, sleep: Sleep
    ) -> None:
        self.pace = pace or Pace()
        self._send, self._on_wait, self._system, self._sleep = send, on_wait, system, sleep

    async def fetch(self, request: Request, **limits: int) -> Response:
        """The answer, 2xx. Raises what the last try ended with. `limits` go to `send`."""
        attempt = 1
        while True:
            await self._pass_gate(waited=attempt > 1)
            try:
                response = await self._send(request, **limits)
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
                    raise _refused(self._system, request, response)
                open_at = None
                if response.status == 429:
                    self.pace.hold(wait)
                    await self.pace.tell(wait)
                    open_at = self.pace.open_at
                await self._wait(wait, f"{self._system} asked us to wait ({response.status}).")
                if open_at is not None:
                    self.pace.release(open_at)
            attempt += 1

    async def _pass_gate(self, *, waited: bool) -> None:
        """Wait while another reader was told to, or until this one's turn under the cap has come."""
        await self.pace.look()
        closed = self.pace.closed_seconds()
        if closed > 0.001 and not waited:
            open_at = self.pace.open_at
            await self._wait(closed, f"{self._system} asked us to wait (429).")
            self.pace.release(open_at)
        turn = await self.pace.turn()
        if turn > 0:
            if self._on_wait is not None and turn >= _TOLD_TURN_SECONDS:
                reason = (
                    f"At most {self.pace.per_second:g} requests a second are asked of {self._system}, as was set here."
                )
                await self._on_wait(turn, reason, "own_cap")
            await self._sleep(turn)

    async def _wait(self, seconds: float, reason: str) -> None:
        if self._on_wait is not None and seconds >= 0.5:
            await self._on_wait(seconds, reason, "rate_limit")
        await self._sleep(seconds)


class Ahead:
    """Requests asked before their turn, at most `most` at once; fewer while the API holds us back or pages are big."""

    def __init__(self, fetcher: Fetcher, most: int, most_bytes: Callable[[], int]) -> None:
        self.most = most
        self._most_bytes = most_bytes
        self._fetcher = fetcher
        self._window = min(1, most)
        self._tasks: dict[Request, asyncio.Task[Response]] = {}
        self._held = fetcher.pace.held

    def ask(self, requests: Iterable[Request], page_bytes: int) -> None:
        """Ask for what will be wanted next, as far as the window goes."""
        room = self._most_bytes() // max(1, page_bytes)
        most = max(AHEAD_LEAST_BYTES, AHEAD_TIMES * page_bytes)
        for request in requests:
            if len(self._tasks) >= min(self._window, room):
                return
            if request not in self._tasks:
                self._tasks[request] = asyncio.create_task(self._fetcher.fetch(request, max_bytes=most))

    async def take(self, request: Request) -> Response:
        """The answer to a request, asked ahead or now."""
        held = self._fetcher.pace.held
        self._window = min(self.most, 1) if held != self._held else min(self.most, self._window * 2)
        self._held = held
        task = self._tasks.pop(request, None)
        if task is None:
            self.drop()  # what was asked ahead is not what follows
            return await self._fetcher.fetch(request)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()
            raise
        except UpstreamError as error:
            if error.message_code != "E-TOOBIG":
                raise
        # Pages have grown: this one is larger than what may wait, and no others wait beside it.
        self.drop()
        self._window = min(self.most, 1)
        return await self._fetcher.fetch(request)

    def drop(self) -> None:
        """Forget what nobody will take."""
        for task in self._tasks.values():
            task.cancel()
            task.add_done_callback(_looked_at)
        self._tasks.clear()


def _looked_at(task: asyncio.Task[Response]) -> None:
    if not task.cancelled():
        task.exception()


def _refused(system: str, request: Request, response: Response) -> KeyturnError:
    path = urlsplit(request.url).path
    status = response.status
    code: str | None = None
    if status == 404:
        sentence, code = f"404 at {path}. Check the path; the connection itself works.", "E-NOTFOUND"
    elif status in {401, 403}:
        sentence = (
            f"{system} answered {status}: this account may not read {path}. Ask for the permission or scope; "
            "reconnecting will not help by itself."
        )
        code = "E-FORBIDDEN"
    elif status == 429:
        seconds = retry_after_seconds(response, now=time.time()) or 60.0
        told = f"{seconds:.0f} s" if seconds < LONGEST_SECONDS else "more than a year"
        sentence = f"{system} asks us to wait {told} (429). Try again then; nothing was changed."
        return LimitReached(sentence, retry_after_seconds=seconds, message_code="E-RATE")
    elif status >= 500:
        sentence, code = f"{system} is having trouble ({status}). Try again later.", "E-UPSTREAM"
    elif status == 304:
        sentence = (
            f"{system} answered 304 at {path}: nothing new since we last asked. Leave conditions (If-…) out of Headers."
        )
    elif 300 <= status < 400:
        sentence = f"{system} answered {status} at {path}: it leads elsewhere. Use the path it names."
    else:
        sentence = f"{system} answered {status} at {path}. Look at the request."
    return UpstreamError(sentence, message_code=code, status=status, sent=True)
