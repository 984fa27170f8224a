"""How fast one connection is read: one gate for all its readers, closed while the API asks to wait."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from keyturn.wire import Response

_POLICY = re.compile(r"(?:^\s*|;\s*q\s*=\s*)([0-9]{1,9})\s*(?:;|$)", re.ASCII)
_WINDOW = re.compile(r";\s*w\s*=\s*([0-9]{1,9})\s*(?:;|$)", re.ASCII)


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


def allowance(response: Response) -> tuple[int, float] | None:
    """How many requests an API lets pass in how many seconds, where it says so; of several policies the slowest.

    Read from `RateLimit-Policy` (`"name";q=100;w=60`, and `100;w=60` of earlier drafts) and from `RateLimit-Limit`
    with such a policy in it: draft-ietf-httpapi-ratelimit-headers. A limit without a window says nothing of a pace.
    """
    found: list[tuple[int, float]] = []
    for name in ("ratelimit-policy", "ratelimit-limit"):
        for policy in ",".join(response.headers.get_all(name)).split(","):
            quota, window = _POLICY.search(policy), _WINDOW.search(policy)
            if quota and window and int(quota[1]) and int(window[1]):
                found.append((int(quota[1]), float(window[1])))
    return min(found, key=lambda policy: policy[0] / policy[1], default=None)
