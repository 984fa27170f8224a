"""When a repetition is due, by walking every minute of a zone: slow and plain, and without the product's code.

The rules as the docs say them: a local time is due when the clocks show it, the first time if they show it twice; one
that they skip is due as much later as they skip; what runs in every hour is due both times.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Rule:
    """Which local times; `days` None: all days. `weekdays` count from Monday, 0."""

    minutes: frozenset[int]
    hours: frozenset[int] | None = None
    days: frozenset[int | str] | None = None
    months: frozenset[int] | None = None
    weekdays: frozenset[int] | None = None
    date: date | None = None

    def fits(self, local: datetime) -> bool:
        """Whether a local time is one of them."""
        if self.date is not None and local.date() != self.date:
            return False
        if local.minute not in self.minutes or not (self.hours is None or local.hour in self.hours):
            return False
        if self.months is not None and local.month not in self.months:
            return False
        last = calendar.monthrange(local.year, local.month)[1] == local.day
        asked = []
        if self.days is not None:
            asked.append(local.day in self.days or (last and "last" in self.days))
        if self.weekdays is not None:
            asked.append(local.weekday() in self.weekdays)
        return any(asked) if asked else True


def moments(rule: Rule, zone: str, start: float, end: float) -> list[float]:
    """Every moment after `start` and up to `end` at which it is due, in order."""
    place, due = ZoneInfo(zone), set[float]()
    # The walk begins a day early, so that it knows of every clock change that touches the first minute.
    at = int(start) // 60 * 60 - 86_400
    shown_until, offset = _local(at - 60, place)
    while at <= end:
        local, now = _local(at, place)
        skipped = max(timedelta(), now - offset)
        for minute in range(skipped // MINUTE):
            if rule.fits(local - skipped + MINUTE * minute):
                due.add(float(at + 60 * minute))
        if rule.fits(local) and (rule.hours is None or local > shown_until):
            due.add(float(at))
        shown_until, offset = max(shown_until, local), now
        at += 60
    return sorted(moment for moment in due if start < moment <= end)


def _local(at: int, place: ZoneInfo) -> tuple[datetime, timedelta]:
    shown = datetime.fromtimestamp(at, UTC).astimezone(place)
    return shown.replace(tzinfo=None), shown.utcoffset() or timedelta()
