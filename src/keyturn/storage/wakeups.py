"""Waking who waits for a row to change, in this process by an event and on PostgreSQL across replicas by NOTIFY.

A wake-up is a hint and may be lost (a pooler in transaction mode swallows LISTEN): who waits looks again by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import sqlalchemy as sa
import structlog

log = structlog.get_logger(__name__)

CHANNEL = "keyturn_wakeups"
# Where a transaction collects what it wakes.
WOKEN = "keyturn_woken"
_LOOK_SECONDS = 1.0
_AGAIN_SECONDS = 5.0
Heard = Callable[[str], None]
Woken = Callable[[float], Awaitable[None]]


def notify(tx: sa.Connection, key: str) -> None:
    """Wake who waits for `key`, here and on other replicas, when this transaction commits."""
    tx.info.setdefault(WOKEN, set()).add(key)
    if tx.dialect.name == "postgresql":
        tx.execute(sa.select(sa.func.pg_notify(CHANNEL, key)))


class Wakeups:
    """Who waits for what, by key. The listener's thread starts with the first one that waits."""

    def __init__(self, url: sa.URL | None) -> None:
        self._url = url
        self._waiting: dict[str, set[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = {}
        self._heard: list[Heard] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def on_wake(self, heard: Heard) -> None:
        """Let `heard(key)` be called at each wake-up, in whatever thread."""
        self._heard.append(heard)

    def wake(self, key: str) -> None:
        """Wake who waits for `key` in this process."""
        for heard in self._heard:
            heard(key)
        with self._lock:
            waiting = list(self._waiting.get(key, ()))
        for loop, event in waiting:
            # A loop that was closed meanwhile has nobody left to wake.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(event.set)

    @contextlib.contextmanager
    def watching(self, key: str) -> Iterator[Woken]:
        """Hear of `key` from here on, so that a change between a look and the wait for the next one is not missed.

        What it gives waits until `key` is woken, or was since the wait before, at most that many seconds.
        """
        self.listen()
        woken = asyncio.Event()
        mine = (asyncio.get_running_loop(), woken)
        with self._lock:
            self._waiting.setdefault(key, set()).add(mine)

        async def wait(seconds: float) -> None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), seconds)
            woken.clear()

        try:
            yield wait
        finally:
            with self._lock:
                left = self._waiting.get(key, set())
                left.discard(mine)
                if not left:
                    self._waiting.pop(key, None)

    def listen(self) -> None:
        """Hear what other replicas say, from now on."""
        if self._url is None or self._thread is not None:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="db-listen", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Hear no more."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(_LOOK_SECONDS * 3)

    def _run(self) -> None:
        import psycopg

        address = self._url.set(drivername="postgresql").render_as_string(hide_password=False) if self._url else ""
        while not self._closing.is_set():
            try:
                with psycopg.connect(address, autocommit=True, connect_timeout=5) as listener:
                    listener.execute(f"LISTEN {CHANNEL}")
                    self._hear(listener)
            except psycopg.Error as error:
                log.info("wakeups_wait_for_database", error=type(error).__name__)
                self._closing.wait(_AGAIN_SECONDS)

    def _hear(self, listener: Any) -> None:
        while not self._closing.is_set():
            until = time.monotonic() + _LOOK_SECONDS
            for said in listener.notifies(timeout=_LOOK_SECONDS):
                self.wake(said.payload)
                if self._closing.is_set() or time.monotonic() > until:
                    break
