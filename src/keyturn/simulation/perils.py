"""Where a worker comes to harm: around its token request and the transaction that stores the answer.

The product's own door and database, with a look around the corner at each of the five points. Nothing in the
product knows of it.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from multiprocessing.connection import Connection as Pipe
from typing import Any, Concatenate, ParamSpec, TypeVar

from keyturn.egress import Egress, EgressSettings
from keyturn.errors import UpstreamError
from keyturn.simulation.plan import Deed, Point
from keyturn.storage.database import Database, Tx
from keyturn.wire import Request, Response

P = ParamSpec("P")
R = TypeVar("R")

# Holds one item from the moment an answer came until the transaction that stores it.
_answered: ContextVar[list[bool] | None] = ContextVar("simulation_answered", default=None)
# How many transactions a call has made: the fast path makes one at most.
transactions: ContextVar[list[int] | None] = ContextVar("simulation_transactions", default=None)


class Perils:
    """What is to be done to this process, at which point. The supervisor arms it, the next token request meets it."""

    def __init__(self, pipe: Pipe, seed: int) -> None:
        self.pipe = pipe
        self.armed: tuple[Deed, Point] | None = None
        self.longest_transaction_seconds = 0.0
        self._chance = random.Random(seed)  # noqa: S311 - a moment is drawn, not a secret
        self._lock = threading.Lock()

    def arm(self, deed: Deed, point: Point) -> None:
        """From now on, whoever comes to `point` meets `deed`."""
        self.armed = (deed, point)

    def at(self, point: Point) -> None:
        """Somebody came to `point`."""
        if self.take(point):
            self.do()

    def take(self, point: Point) -> bool:
        """Whether it is armed for `point`; nobody else meets it there then."""
        with self._lock:
            if self.armed is None or self.armed[1] != point:
                return False
            self._deed, self.armed = self.armed[0], None
            return True

    def do(self) -> None:
        """The deed itself."""
        if self._deed == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self._deed == "stop":
            self.pipe.send(("stopping", time.time()))
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            # The supervisor takes the database away before this goes on, and says so.
            self.pipe.send(("cut", time.time()))
            if self.pipe.poll(5):
                self.pipe.recv()

    def soon(self, most_seconds: float) -> None:
        """The deed at some moment within `most_seconds`, whatever this process does meanwhile."""
        timer = threading.Timer(self._chance.uniform(0, most_seconds), self.do)
        timer.daemon = True
        timer.start()


class PerilousEgress(Egress):
    """The door out; its token requests pass three of the points."""

    def __init__(self, settings: EgressSettings, perils: Perils, token_url: str) -> None:
        super().__init__(settings)
        self._perils = perils
        self._token_url = token_url

    async def send(self, request: Request, **limits: Any) -> Response:
        """As the door does."""
        if request.url != self._token_url:
            return await super().send(request, **limits)
        self._perils.at("after lease")
        if self._perils.take("after send"):
            asyncio.get_running_loop().call_later(0.004, self._perils.do)
        asked_at = time.time()
        try:
            response = await super().send(request, **limits)
        except UpstreamError:
            self._perils.pipe.send(("unheard", asked_at))
            raise
        self._perils.at("after answer")
        _answered.set([True])
        return response


class PerilousDatabase(Database):
    """The database; the transaction that stores an answer passes the other two points."""

    def __init__(self, url: str, perils: Perils, **more: Any) -> None:
        super().__init__(url, **more)
        self._perils = perils

    def run_now(self, fn: Callable[Concatenate[Tx, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """As the database does."""
        answered = _answered.get()
        if not answered:
            return super().run_now(self._watched(fn), *args, **kwargs)
        answered.pop()
        result = super().run_now(self._watched(fn, stores=True), *args, **kwargs)
        self._perils.at("after commit")
        return result

    async def read(self, fn: Callable[Concatenate[Tx, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """As the database does."""
        _count()
        return await super().read(self._watched(fn), *args, **kwargs)

    async def run(self, fn: Callable[Concatenate[Tx, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """As the database does."""
        _count()
        return await super().run(fn, *args, **kwargs)

    def _watched(self, fn: Callable[Concatenate[Tx, P], R], *, stores: bool = False) -> Callable[Concatenate[Tx, P], R]:
        def watched(tx: Tx, *args: P.args, **kwargs: P.kwargs) -> R:
            began_at = time.monotonic()
            result = fn(tx, *args, **kwargs)
            took = time.monotonic() - began_at
            self._perils.longest_transaction_seconds = max(took, self._perils.longest_transaction_seconds)
            if stores and self._perils.take("mid commit"):
                self._perils.soon(0.004)
            return result

        return watched


def _count() -> None:
    counted = transactions.get()
    if counted is not None:
        counted[0] += 1
