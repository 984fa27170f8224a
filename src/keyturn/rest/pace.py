"""How fast one connection is read: one gate for all its readers, closed while the API asks to wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Gate:
    """What the readers of one connection share in one process: until when it is closed, and how often it was."""

    open_at: float = 0.0
    held: int = 0


class Pace:
    """One reader's pace at a gate. Times are seconds of `clock`, which only ever goes forward.

    `per_second` is the own cap of requests; None is no cap. `look`, `tell` and `turn` are where readers in other
    processes are heard of; here there are none.
    """

    def __init__(
        self, *, per_second: float | None = None, gate: Gate | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.per_second = per_second
        self._gate = gate or Gate()
        self._clock = clock
        self._slot_at = 0.0

    @property
    def held(self) -> int:
        """How often the API asked to wait."""
        return self._gate.held

    @property
    def open_at(self) -> float:
        """When the gate opens, by `clock`."""
        return self._gate.open_at

    def hold(self, seconds: float) -> None:
        """Nobody asks again before that many seconds have passed."""
        self._gate.held += 1
        self._gate.open_at = max(self._gate.open_at, self._clock() + seconds)

    def release(self, open_at: float) -> None:
        """Somebody waited until then, and nothing was asked since: the gate is open."""
        if self._gate.open_at == open_at:
            self._gate.open_at = 0.0

    def closed_seconds(self) -> float:
        """How long the API asked us to wait, from now."""
        return max(0.0, self._gate.open_at - self._clock())

    async def look(self) -> None:
        """Learn what others were told."""

    async def tell(self, seconds: float) -> None:
        """Let others know of a wait."""

    async def turn(self) -> float:
        """How long until the next request's turn under the cap. Takes that turn."""
        if self.per_second is None:
            return 0.0
        now = self._clock()
        slot = max(now, self._slot_at)
        self._slot_at = slot + 1.0 / self.per_second
        return slot - now
