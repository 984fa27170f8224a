"""How fast one connection is read: one gate for all its readers, closed while the API asks to wait."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """A gate. Times are seconds of `clock`, which only ever goes forward.

    `per_second` is the reader's own cap of requests; None is no cap.
    """

    def __init__(self, *, per_second: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
        self.held = 0
        self._clock = clock
        self._open_at = 0.0
        self._slot_at = 0.0

    @property
    def open_at(self) -> float:
        """When the gate opens, by `clock`."""
        return self._open_at

    def hold(self, seconds: float) -> None:
        """Nobody asks again before that many seconds have passed."""
        self.held += 1
        self._open_at = max(self._open_at, self._clock() + seconds)

    def release(self, open_at: float) -> None:
        """Somebody waited until then, and nothing was asked since: the gate is open."""
        if self._open_at == open_at:
            self._open_at = 0.0

    def turn_seconds(self) -> float:
        """How long until the next request's turn under the cap. Takes that turn."""
        if self.per_second is None:
            return 0.0
        now = self._clock()
        slot = max(now, self._slot_at)
        self._slot_at = slot + 1.0 / self.per_second
        return slot - now

    def closed_seconds(self) -> float:
        """How long the API asked us to wait, from now."""
        return max(0.0, self._open_at - self._clock())
