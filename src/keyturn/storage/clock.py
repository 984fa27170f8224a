"""What time it is by the database, known without asking it each time: every time that replicas share is written in it.

On PostgreSQL the server's clock is looked at now and then and carried on by this process's monotonic clock, so that
a machine whose own clock is wrong still agrees with the others. SQLite has no clock but ours: it never steps back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_SLOWER = 0.95
_BELIEVED_SECONDS = 86_400.0


class DatabaseClock:
    """The server's clock in epoch seconds. Until it was looked at, our own."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._seen: tuple[float, float] | None = None

    def __call__(self) -> float:
        """Epoch seconds."""
        seen = self._seen
        return self._wall() if seen is None else seen[0] + time.monotonic() - seen[1]

    def look(self, now: float, at: float) -> None:
        """The database said `now` at `at`, by our monotonic clock."""
        self._seen = (now, at)

    def not_before(self, at: float) -> None:
        """Something was written at that time: of a clock that is our own, it cannot be earlier now."""

    @property
    def ahead_seconds(self) -> float:
        """How far the database's clock is ahead of this machine's."""
        return self() - self._wall()


class SteadyClock(DatabaseClock):
    """Our own clock with a watermark: when it is set back, ours goes on a little slower until both agree again.

    Only a little (5 %), so that lives and leases still mean what they say.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__(wall)
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._last, self._at = wall(), monotonic()

    def __call__(self) -> float:
        """Epoch seconds, never less than before."""
        with self._lock:
            wall, at = self._wall(), self._monotonic()
            self._last = max(wall, self._last + _SLOWER * max(0.0, at - self._at))
            self._at = at
            return self._last

    def not_before(self, at: float) -> None:
        """Something was written at that time, so it cannot be earlier now; a day ahead was a wrong clock then."""
        with self._lock:
            if at - self._wall() < _BELIEVED_SECONDS:
                self._last = max(self._last, at)
