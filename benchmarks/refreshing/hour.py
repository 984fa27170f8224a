"""100,000 grants with tokens of an hour, signed in evenly over one, and an outage of an hour, in simulated time.

The product's own arithmetic decides when each is due (`margins`) and how many a replica renews at once; time
and network are made up.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from dataclasses import fields, replace

from keyturn.jobs.refreshes import AT_ONCE
from keyturn.model.grants import Grant, margins

LIFE_SECONDS = 3600.0
# A fifth of a life before its end, and half of the jitter before that.
PERIOD_SECONDS = LIFE_SECONDS * 0.8 - 150.0
REPLICAS = 4
ANSWER_SECONDS = 0.2
HOURS = 8
OUTAGE = (3 * 3600.0, 4 * 3600.0)
SLOT_SECONDS = 300
_NOTHING = dict.fromkeys(field.name for field in fields(Grant))
_GRANT = Grant(**{**_NOTHING, "generation": 0, "attempts": 0})


def measure(grants: int) -> list[str]:
    """Load by slots of five minutes: each beside the mean, in even operation and after an outage of one hour."""
    # As they lie when it has gone on for long: evenly over the time from one renewal to the next.
    spread = _due(grants, spread_seconds=PERIOD_SECONDS)
    even = _load(spread, HOURS * 3600, outage=None)
    after = _load(spread, HOURS * 3600, outage=OUTAGE)
    lines = ["| when | mean/s | least | most | at once, most |", "|---|---|---|---|---|"]
    lines.append(_line("even", even[0], even[1], 3600, HOURS * 3600))
    lines.append(_line("the hour after an outage of one hour", after[0], after[1], OUTAGE[1], OUTAGE[1] + 3600))
    lines.append(_line("the three hours after that", after[0], after[1], OUTAGE[1] + 3600, HOURS * 3600))
    return lines


def _due(grants: int, *, spread_seconds: float) -> list[tuple[float, int, Grant]]:
    """When each grant is due for the first time: signed in evenly over `spread_seconds`."""
    chance = random.Random(1)
    found = [_renewed(_GRANT, number, chance.uniform(0, spread_seconds)) for number in range(grants)]
    heapq.heapify(found)
    return found


def _renewed(grant: Grant, number: int, at: float) -> tuple[float, int, Grant]:
    generation = grant.generation + 1
    windows = margins(grant_id=f"gr_{number}", generation=generation, requested_at=at, life_seconds=LIFE_SECONDS)
    due_at = windows.refresh_after or 0.0
    new = replace(grant, generation=generation, refresh_after=due_at, hard_at=windows.hard_at, last_ok_at=at)
    return due_at, number, new


def _load(
    due: list[tuple[float, int, Grant]], until: float, *, outage: tuple[float, float] | None
) -> tuple[Counter, Counter]:
    """Requests by slot, and the most at once by slot: replicas take what is due, a bounded number each at a time."""
    waiting, chance = list(due), random.Random(2)
    busy: list[float] = []
    sent: Counter[int] = Counter()
    at_once: Counter[int] = Counter()
    while waiting and waiting[0][0] < until:
        at, number, grant = heapq.heappop(waiting)
        if outage is not None and outage[0] <= at < outage[1]:
            # The breaker of the token host is open: nobody asks until it answers again, and then there are very many.
            at = outage[1]
            turn_at = grant.turn_at(at, chance.random())
            if turn_at is not None:
                heapq.heappush(waiting, (turn_at, number, replace(grant, refresh_after=turn_at)))
                continue
        while busy and busy[0] <= at:
            heapq.heappop(busy)
        if len(busy) >= REPLICAS * AT_ONCE:
            at = heapq.heappop(busy)
        heapq.heappush(busy, at + ANSWER_SECONDS)
        slot = int(at // SLOT_SECONDS)
        sent[slot] += 1
        at_once[slot] = max(at_once[slot], len(busy))
        heapq.heappush(waiting, _renewed(grant, number, at))
    return sent, at_once


def _line(name: str, sent: Counter, at_once: Counter, since: float, until: float) -> str:
    slots = range(int(since // SLOT_SECONDS), int(until // SLOT_SECONDS))
    counts = [sent[slot] for slot in slots]
    mean = sum(counts) / len(counts)
    most = max(at_once[slot] for slot in slots)
    least, highest = min(counts) / mean, max(counts) / mean
    return f"| {name} | {mean / SLOT_SECONDS:.1f} | {least - 1:+.0%} | {highest - 1:+.0%} | {most} |"
