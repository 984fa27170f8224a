"""A schedule: when a table is imported again, and what happens when that could not be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time
from functools import lru_cache
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, model_validator

from keyturn.errors import Problem
from keyturn.model.imports import Destination, TableImport
from keyturn.model.recurrence import WEEKDAYS, Every, Recurrence, cron_of, runs_ever
from keyturn.model.validation import CleanText, wrong

EVERY_LABELS: dict[str, str] = {
    "once": "Once",
    "hour": "Every hour",
    "day": "Every day",
    "weekday": "Every weekday",
    "week": "Every week",
    "month": "Every month",
    "cron": "Cron",
}
MISSED_LABELS: dict[str, str] = {"run_once": "Run once when back", "skip": "Skip"}
RUNNING_LABELS: dict[str, str] = {"run_once": "Run once when that has ended", "skip": "Skip"}
CLOCK_CHANGES = (
    "Clock changes: a time that comes twice runs once; a time that is skipped runs as much later (02:30 at 03:30)."
)
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


def _time_of_day(value: str) -> str:
    if not _TIME.fullmatch(value):
        raise wrong("Write a time as 06:00.")
    return value.zfill(5)


# Names whose meaning differs from machine to machine, or that have none.
_NO_PLACES = {"localtime", "Factory", "posixrules"}


@lru_cache(1)
def _zone_names() -> set[str]:
    # Looking through their files takes tens of milliseconds, and each schedule is checked at each look.
    return available_timezones() - _NO_PLACES


def _zone(value: str) -> str:
    if value not in _zone_names():
        raise wrong("Choose a timezone, for example Europe/Berlin.")
    return value


class ScheduleSettings(TableImport):
    """What the schedule dialog holds: an import, and when it is run."""

    name: Annotated[CleanText, Field(min_length=1, max_length=80)] | None = Field(
        default=None, title="Name", description="Left empty: the table’s."
    )
    every: Every = Field(default="day", title="Repeat")
    at: Annotated[CleanText, AfterValidator(_time_of_day)] = Field(
        default="06:00", title="At", description="Every hour: its minutes count."
    )
    on: CleanText | None = Field(
        default=None,
        title="On",
        description="Every week: a weekday. Every month: 1 to 31 (a month without that day is left out) or last. "
        "Once: a date, 2027-03-28.",
    )
    cron: CleanText | None = Field(
        default=None,
        max_length=200,
        title="Cron",
        description="Five fields: minute hour day month weekday. With a day and a weekday, either of them is enough.",
    )
    timezone: Annotated[CleanText, AfterValidator(_zone)] = Field(
        default="UTC", title="Timezone", description=CLOCK_CHANGES
    )
    if_missed: Literal["run_once", "skip"] = Field(
        default="run_once", title="If a run is missed", description="Skipping is shown as Skipped, not Failed."
    )
    if_running: Literal["run_once", "skip"] = Field(
        default="skip", title="If still running", description="Skipping is shown as Skipped, not Failed."
    )

    @model_validator(mode="before")
    @classmethod
    def _what_counts(cls, raw: Any) -> Any:
        """A day that the repetition has no use for, and a cron line without Cron, are left over from another one."""
        if not isinstance(raw, Mapping):
            return raw
        # What is no text, and so no repetition, is told where the field is checked.
        every = str(raw.get("every", "day"))
        idle = {*(() if every in _DAYS else ("on",)), *(() if every == "cron" else ("cron",))}
        return {name: value for name, value in raw.items() if name not in idle}

    @model_validator(mode="after")
    def _repeats(self) -> ScheduleSettings:
        if self.every == "cron" and not self.cron:
            raise wrong("Write five fields, for example 0 6 * * 1-5.", at="cron")
        if self.cron and not runs_ever(self.cron):
            raise wrong("This cron never runs. It has five fields: minute hour day month weekday.", at="cron")
        if self.every in _DAYS and (self.every == "once" or self.on):
            _DAYS[self.every](self.on or "")
        return self

    @property
    def recurrence(self) -> Recurrence:
        """When it is due."""
        at = time.fromisoformat(self.at)
        once = (date.fromisoformat(self.on or ""), at) if self.every == "once" else None
        return Recurrence(self.timezone, cron_of(self.every, at, self.on, self.cron), once)

    @property
    def when(self) -> dict[str, Any]:
        """The settings that say when."""
        return self.model_dump(mode="json", include={"every", "at", "on", "cron", "timezone"})

    @property
    def as_import(self) -> dict[str, Any]:
        """What an import of it is asked for with."""
        return self.model_dump(mode="json", include=set(TableImport.model_fields))

    @property
    def words(self) -> str:
        """When, for people: `Every week on monday at 06:00, Europe/Berlin`."""
        told = EVERY_LABELS[self.every]
        if self.every == "cron":
            told = f"Cron {self.cron}"
        elif self.every == "hour":
            told += f" at minute {int(self.at[3:])}"
        else:
            told += f" on {_on_in_words(self.every, self.on)}" if self.every in {"once", "week", "month"} else ""
            told += f" at {self.at}"
        return f"{told}, {self.timezone}"


def _on_in_words(every: str, on: str | None) -> str:
    if every == "week":
        return (on or "monday").capitalize()
    if every == "month":
        return "the last day" if on == "last" else f"day {on or 1}"
    return on or ""


def _weekday(value: str) -> None:
    if value not in WEEKDAYS:
        raise wrong("Choose a weekday: monday to sunday.", at="on")


def _day_of_month(value: str) -> None:
    if value != "last" and not (value.isascii() and value.isdigit() and 1 <= int(value) <= 31):
        raise wrong("Choose a day from 1 to 31, or last.", at="on")


def _date(value: str) -> None:
    try:
        found = date.fromisoformat(value)
    except ValueError:
        raise wrong("Write a date as 2027-03-28.", at="on") from None
    # In another timezone its last hours are in a year that has no date.
    if found.year == date.max.year:
        raise wrong("Choose a date before the year 9999.", at="on")


_DAYS = {"week": _weekday, "month": _day_of_month, "once": _date}


@dataclass(frozen=True, slots=True)
class UnreadableSettings:
    """Stored settings that this version cannot read: a timezone that is gone, a value that a newer one wrote.

    `found` is what is stored, and `problems` say what is wrong with it, field by field.
    """

    table_id: str
    found: Mapping[str, Any]
    problems: tuple[Problem, ...]

    @property
    def known(self) -> dict[str, Any]:
        """What is stored under names that we know: what a merge patch that mends it begins with."""
        known = {name: value for name, value in self.found.items() if name in ScheduleSettings.model_fields}
        place = known.get("destination")
        if isinstance(place, Mapping):
            known["destination"] = {name: value for name, value in place.items() if name in Destination.model_fields}
        return known

    @property
    def words(self) -> str:
        """What is wrong and how to fix it, for people."""
        what = " ".join(f"{item.at}{self._stands(item.at)}: {item.message}" for item in self.problems)
        return f"This version of Keyturn cannot read it. {what} Open the schedule, choose that anew and save it."

    def _stands(self, at: str) -> str:
        # Only the names of choices: what else is typed may be long, or nobody else's business.
        value = self.found.get(at) if at in {"timezone", "every", "mode", "if_missed", "if_running"} else None
        return f" {value[:80]}" if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class Schedule:
    """One schedule. Times are epoch seconds; `next_at` is None when it will not run any more.

    `held`: it is due and waits for its connection to be reconnected, or for settings that can be read. `last` is
    `{at, outcome, why, import_id}` of the last time it was due; outcome `started` or `skipped`.
    """

    id: str
    workspace_id: str
    name: str
    settings: ScheduleSettings | UnreadableSettings
    table_name: str
    paused: bool
    held: bool
    next_at: float | None
    last: dict[str, Any] | None
    created_by: str
    created_by_name: str
    created_at: float
    updated_at: float

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What this version cannot read of it; it is held until that is mended."""
        return self.settings.problems if isinstance(self.settings, UnreadableSettings) else ()

    @property
    def status(self) -> str:
        """`paused`, `held`, `over` or `active`."""
        if self.paused:
            return "paused"
        if self.held or self.problems:
            return "held"
        return "over" if self.next_at is None else "active"

    @property
    def label(self) -> str:
        """The status in words."""
        if self.problems:
            return "Paused, cannot be read" if self.paused else "Held, cannot be read"
        words = {"paused": "Paused", "held": "Held until reconnected", "over": "Over", "active": "Active"}
        return words[self.status]

    @property
    def destination_id(self) -> str | None:
        """The destination its imports go to, if that is one that a Workspace Admin made."""
        if not isinstance(self.settings, UnreadableSettings):
            return self.settings.destination.destination_id
        place = self.settings.found.get("destination")
        return place.get("destination_id") if isinstance(place, Mapping) else None

    def next_runs(self, count: int) -> list[float]:
        """Its next moments, epoch seconds; none while it is paused, over or unreadable."""
        if self.next_at is None or self.paused or isinstance(self.settings, UnreadableSettings):
            return []
        return [self.next_at, *self.settings.recurrence.next_runs(self.next_at, count - 1)]
