"""Refreshes: one attempt to renew a grant's token set, its deadlines, and when to come again. Pure; no token in it."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Literal

# `sent` is written before anything is: whoever finds it after a crash must assume the request left.
Stage = Literal["sent", "answered", "committed", "failed", "unknown"]
# Why it is made: its time has come, the API rejected the token, a person asked, a crash left one without an answer,
# or a refused client or a host that was away is looked at again.
Purpose = Literal["due", "rejected", "asked", "recovery", "probe"]

CONFIRM_SECONDS = 60.0
_CONFIRM_SPREAD_SECONDS = 30.0
_LEAST_SECONDS = 1.0
_MOST_SECONDS = 600.0
_MOST_WHILE_GOOD_SECONDS = 30.0
_RETRY_AFTER_MOST_SECONDS = 86_400.0
# After a lost answer the token may be spent and the server's grace is running: for so long we ask again without delay,
# and so often at most without regard to the host's breaker.
_GRACE_SECONDS = 60.0
GRACE_ATTEMPTS = 20
_MOST_IN_GRACE_SECONDS = 3.0
# A host is given up for a while after so many failures in a row, at first for this long.
HOST_FAILURES = 5
_HOST_LEAST_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long an answer may take in all, and how long the lease lasts that covers it."""

    answer_seconds: float
    lease_seconds: float

    def shorter(self, other: Deadlines) -> Deadlines:
        """The shorter of both."""
        return min(self, other, key=lambda deadlines: deadlines.lease_seconds)


# For servers that take a used refresh token again for a few seconds only: a crash is noticed sooner.
SHORT_GRACE = Deadlines(8.0, 12.0)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to renew a grant once. `abandoned`: attempts of others that were found without an answer."""

    attempt_id: str
    epoch: int
    deadlines: Deadlines
    purpose: Purpose
    taken_at: float
    abandoned: tuple[str, ...] = ()
    probes_host: bool = False

    def probing(self) -> Lease:
        """The same lease, for a token host whose breaker is open."""
        return replace(self, probes_host=True)

    def covers_an_answer(self, now: float) -> bool:
        """Whether a whole answer still fits into it. Both times are of this process's monotonic clock."""
        return self.deadlines.lease_seconds - (now - self.taken_at) >= self.deadlines.answer_seconds


@dataclass(frozen=True, slots=True)
class Attempt:
    """One token request as it was written down. Times are epoch seconds by the database."""

    id: str
    workspace_id: str
    grant_id: str
    from_generation: int
    token_hash: str
    purpose: Purpose
    stage: Stage
    owner: str
    epoch: int
    deadline: float
    outcome: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class Past:
    """What earlier attempts at the same generation ended in. `crashes`: those whose process gave no word.

    `unknown_since` is by when the first answer that was lost should have come, in epoch seconds. `late`: an answer
    came after its lease had passed on, and no other was stored, so that answer is the generation after this one.
    """

    unknown: bool = False
    refused: bool = False
    crashes: int = 0
    unknown_since: float | None = None
    late: bool = False

    def in_grace(self, now: float) -> bool:
        """Whether the token may be spent since a moment ago: who waits longer than the server's grace has lost it."""
        return self.unknown_since is not None and now < self.unknown_since + _GRACE_SECONDS

    @classmethod
    def of(cls, attempts: list[Attempt]) -> Past:
        """From the attempts at one generation."""
        lost = [attempt.deadline for attempt in attempts if attempt.stage == "unknown"]
        stages = {attempt.stage for attempt in attempts}
        return cls(
            unknown_since=min(lost, default=None),
            unknown=bool(lost),
            refused=any(attempt.outcome == "grant_dead" for attempt in attempts),
            crashes=sum(attempt.stage in {"sent", "unknown"} and attempt.code is None for attempt in attempts),
            late="answered" in stages and "committed" not in stages,
        )


def pause_seconds(attempts: int, *, still_good: bool, retry_after_seconds: float | None = None) -> float:
    """How long to wait after `attempts` failures: as the server says, else by full jitter from 1 s to 10 min.

    While the access token is still good at most 30 s: there is something to lose.
    """
    if retry_after_seconds is not None:
        return min(max(retry_after_seconds, _LEAST_SECONDS), _RETRY_AFTER_MOST_SECONDS)
    most = _MOST_WHILE_GOOD_SECONDS if still_good else _MOST_SECONDS
    return _LEAST_SECONDS + random.uniform(0, min(most, 2.0 ** min(attempts, 10)) - _LEAST_SECONDS)  # noqa: S311


def pause_in_grace_seconds() -> float:
    """How long to wait after an answer that was lost, or after whatever came instead of the next one."""
    return random.uniform(_LEAST_SECONDS, _MOST_IN_GRACE_SECONDS)  # noqa: S311 - jitter


def confirm_seconds() -> float:
    """How long to wait before `invalid_grant` is believed."""
    return CONFIRM_SECONDS + random.uniform(0, _CONFIRM_SPREAD_SECONDS)  # noqa: S311 - jitter


def host_pause_seconds(failures: int) -> float:
    """How long a token host is left alone after so many failures in a row: 10 s to 10 min, by half jitter."""
    whole = min(_MOST_SECONDS, _HOST_LEAST_SECONDS * 2.0 ** min(max(failures - HOST_FAILURES, 0), 10))
    return whole / 2 + random.uniform(0, whole / 2)  # noqa: S311 - jitter
