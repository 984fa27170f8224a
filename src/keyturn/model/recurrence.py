"""When a schedule is due: local times of a timezone as moments, over the days on which its clocks change. Pure.

A local time that the clocks skip is due as much later as they skip (02:30 becomes 03:30); one that comes twice is due
the first time only. What runs in every hour goes by real hours: it misses none and doubles none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from croniter import croniter

Every = Literal["once", "hour", "day", "weekday", "week", "month", "cron"]
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# Clocks change by less than this everywhere.
_WIDEST_CHANGE = timedelta(hours=3)
_NEAR_SECONDS = 6 * 3600.0
_UNIX_DAYS = {name: (number + 1) % 7 for number, name in enumerate(WEEKDAYS)}


@lru_cache(1)
def timezones() -> tuple[str, ...]:
    """The names people may choose, UTC first."""
    return ("UTC", *sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/")))


def cron_of(every: Every, at: time, on: str | None, cron: str | None) -> str | None:
    """The cron line of a repetition; None for what happens once."""
    match every:
        case "once":
            return None
        case "hour":
            return f"{at.minute} * * * *"
        case "day":
            return f"{at.minute} {at.hour} * * *"
        case "weekday":
            return f"{at.minute} {at.hour} * * 1-5"
        case "week":
            return f"{at.minute} {at.hour} * * {_UNIX_DAYS[on or 'monday']}"
        case "month":
            return f"{at.minute} {at.hour} {'L' if on == 'last' else on or '1'} * *"
        case "cron":
            return cron


def runs_ever(cron: str) -> bool:
    """Whether a cron line of five fields means anything, and any day."""
    if len(cron.split()) != 5 or not croniter.is_valid(cron):
        return False
    # croniter draws R by lot each time it is asked, so that no two looks would agree.
    if any(part[:1] in "hrHR" for part in re.split(r"[\s,]+", cron.strip())):
        return False
    try:
        croniter(cron, datetime(2024, 1, 1)).get_next(datetime)  # noqa: DTZ001 - local times have no zone yet
    except ValueError:
        return False
    return True


class Recurrence:
    """The moments of one repetition, as epoch seconds."""

    def __init__(self, zone: str, cron: str | None, once: tuple[date, time] | None = None) -> None:
        self._zone, self._cron, self._once = ZoneInfo(zone), cron, once
        self._hourly = cron is not None and croniter.expand(cron)[0][1] == ["*"]

    def following(self, moment: float) -> float | None:
        """The first moment after `moment`; None when there is none any more."""
        if self._cron is None:
            found = self._only()
            return found if found > moment else None
        return self._nearest(moment, forward=True)

    def preceding(self, moment: float) -> float | None:
        """The last moment that is not after `moment`."""
        if self._cron is None:
            found = self._only()
            return found if found <= moment else None
        return self._nearest(moment, forward=False)

    def next_runs(self, moment: float, count: int = 5) -> list[float]:
        """The first moments after `moment`."""
        found: list[float] = []
        following = self.following(moment)
        while following is not None and len(found) < count:
            found.append(following)
            following = self.following(following)
        return found

    def _only(self) -> float:
        if self._once is None:
            raise AssertionError
        return datetime.combine(*self._once, tzinfo=self._zone).timestamp()

    def _nearest(self, moment: float, *, forward: bool) -> float | None:
        """Local times are walked; near a clock change from before the moment to well past the first that fits."""
        local = datetime.fromtimestamp(moment, self._zone).replace(tzinfo=None)
        early = _WIDEST_CHANGE if self._changes_near(moment) else timedelta(minutes=1)
        walk: Any = croniter(self._cron or "", local - early if forward else local + early)
        best: float | None = None
        while True:
            try:
                step = walk.get_next(datetime) if forward else walk.get_prev(datetime)
            except ValueError:  # croniter finds no further day
                return best
            fits = [at for at in self._moments(step) if (at > moment if forward else at <= moment)]
            best = (min if forward else max)(fits if best is None else [best, *fits], default=None)
            if best is not None:
                seen = datetime.fromtimestamp(best, self._zone).replace(tzinfo=None)
                if abs(step - seen) >= _WIDEST_CHANGE or not self._changes_near(best):
                    return best

    def _changes_near(self, moment: float) -> bool:
        """Whether the clocks change about then."""
        before, after = (datetime.fromtimestamp(moment + way, self._zone) for way in (-_NEAR_SECONDS, _NEAR_SECONDS))
        return before.utcoffset() != after.utcoffset()

    def _moments(self, local: datetime) -> Iterator[float]:
        """The moments of a local time: two where it comes twice and real hours count."""
        first, second = (local.replace(tzinfo=self._zone, fold=fold) for fold in (0, 1))
        yield first.timestamp()
        twice = (first.utcoffset() or timedelta()) > (second.utcoffset() or timedelta())
        if self._hourly and twice:
            yield second.timestamp()
