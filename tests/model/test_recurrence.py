"""When schedules are due: over clock changes, missing days, and any moment one may ask at."""

from __future__ import annotations

import itertools
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from keyturn.model.recurrence import Recurrence, runs_ever, timezones
from minute_walk import Rule, moments

BERLIN = "Europe/Berlin"


def moment(text: str, zone: str = BERLIN, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def local(moments: list[float], zone: str = BERLIN) -> list[str]:
    return [datetime.fromtimestamp(at, ZoneInfo(zone)).strftime("%m-%d %H:%M %Z") for at in moments]


def test_a_time_that_is_skipped_runs_as_much_later_and_once():
    runs = Recurrence(BERLIN, "30 2 * * *").next_runs(moment("2027-03-27 12:00"), 2)
    assert local(runs) == ["03-28 03:30 CEST", "03-29 02:30 CEST"]


def test_a_time_that_comes_twice_runs_the_first_time_only():
    runs = Recurrence(BERLIN, "30 2 * * *").next_runs(moment("2027-10-30 12:00"), 2)
    assert local(runs) == ["10-31 02:30 CEST", "11-01 02:30 CET"]


@pytest.mark.parametrize("day", ["2027-03-28", "2027-10-31"])
def test_every_hour_goes_by_real_hours_over_a_clock_change(day):
    runs = Recurrence(BERLIN, "15 * * * *").next_runs(moment(f"{day} 00:00"), 8)
    assert {after - before for before, after in itertools.pairwise(runs)} == {3600.0}


def test_half_hours_of_an_hour_that_comes_twice_are_in_their_order():
    runs = Recurrence(BERLIN, "*/30 * * * *").next_runs(moment("2027-10-31 01:45"), 6)
    assert {after - before for before, after in itertools.pairwise(runs)} == {1800.0}


def test_a_clock_that_changes_by_half_an_hour():
    runs = Recurrence("Australia/Lord_Howe", "0 * * * *").next_runs(
        moment("2027-04-04 00:00", "Australia/Lord_Howe"), 4
    )
    assert local(runs, "Australia/Lord_Howe")[0] == "04-04 01:00 +11"
    assert runs == sorted(set(runs))


def test_the_last_day_of_the_month_and_a_day_that_february_lacks():
    last = Recurrence("UTC", "0 6 L * *").next_runs(moment("2027-01-15 00:00", "UTC"), 2)
    assert local(last, "UTC") == ["01-31 06:00 UTC", "02-28 06:00 UTC"]
    thirtieth = Recurrence("UTC", "0 6 30 * *").next_runs(moment("2027-01-15 00:00", "UTC"), 2)
    assert local(thirtieth, "UTC") == ["01-30 06:00 UTC", "03-30 06:00 UTC"]


def test_once_is_once():
    once = Recurrence(BERLIN, None, (date(2027, 3, 1), time(6)))
    at = moment("2027-03-01 06:00")
    assert once.next_runs(at - 1) == [at]
    assert (once.following(at), once.preceding(at), once.preceding(at - 1)) == (None, at, None)


@pytest.mark.parametrize(
    "line", ["0 6 31 2 *", "x", "", "0 6 * *", "* * * * * *", "@daily", "61 * * * *", "R * * * *", "0 R(0-5) * * *"]
)
def test_a_cron_line_that_never_runs_is_known(line):
    assert not runs_ever(line)


CRONS = st.sampled_from(["30 2 * * *", "15 * * * *", "0 6 * * 1-5", "*/20 2-3 * * *", "0 0 L * *", "5 1,2,3 * * 0"])


@given(
    cron=CRONS,
    zone=st.sampled_from(
        [BERLIN, "America/St_Johns", "Australia/Lord_Howe", "UTC", "Africa/Casablanca", "Asia/Kolkata"]
    ),
    at=st.integers(1_767_225_600, 1_830_297_600),
)
def test_what_follows_and_what_precedes_agree_at_any_moment(cron, zone, at):
    found, now = Recurrence(zone, cron), float(at)
    before, after = found.preceding(now), found.following(now)
    assert before <= now < after
    assert found.following(before) == after
    assert found.preceding(after) == after
    assert found.preceding(after - 0.001) == before


@st.composite
def fields(draw, low: int, high: int, names: tuple[str, ...] = ()):
    """One field of a cron line as it may be written, and the numbers it means; None for all."""
    first = draw(st.integers(low, high - 1))
    last, step = draw(st.integers(first + 1, high)), draw(st.integers(2, 7))
    listed = draw(st.lists(st.integers(low, high), min_size=1, max_size=4, unique=True))
    kinds = [
        ("*", None),
        (f"*/{step}", range(low, high + 1, step)),
        (f"{first}-{last}", range(first, last + 1)),
        (f"{first}-{last}/{step}", range(first, last + 1, step)),
        (",".join(map(str, listed)), listed),
    ]
    if last - first > 1:
        kinds.append((f"{last}-{first}", [*range(last, high + 1), *range(low, first + 1)]))
    if names:
        kinds.append((",".join(names[number - low] for number in listed), listed))
    text, numbers = draw(st.sampled_from(kinds))
    every = numbers is None or set(numbers) >= set(range(low, high + 1))
    return text, None if every and numbers is None else frozenset(numbers), every


MONTHS = ("JAN", "feb", "mar", "apr", "MAY", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "MON", "tue", "wed", "thu", "fri", "sat")
CHANGES = [
    ("Europe/Berlin", "2027-03-28"), ("Europe/Berlin", "2027-10-31"), ("America/New_York", "2027-03-14"),
    ("America/New_York", "2027-11-07"), ("Australia/Lord_Howe", "2027-04-04"), ("Australia/Lord_Howe", "2027-10-03"),
    ("Africa/Cairo", "2027-04-30"), ("Antarctica/Troll", "2027-03-28"), ("Africa/Casablanca", "2027-02-07"),
    ("America/St_Johns", "2027-11-07"), ("America/Santiago", "2027-09-05"), ("Asia/Kolkata", "2027-03-28"),
]  # fmt: skip


@given(
    minute=fields(0, 59), hour=fields(0, 23), day=fields(1, 31), month=fields(1, 12, MONTHS), weekday=fields(0, 6, DAYS),
    change=st.sampled_from(CHANGES), before=st.integers(0, 3 * 86_400),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_any_cron_line_is_due_at_the_minutes_that_a_walk_through_all_minutes_finds(
    minute, hour, day, month, weekday, change, before
):
    zone, changed_on = change
    cron = " ".join(field[0] for field in (minute, hour, day, month, weekday))
    assume(runs_ever(cron))
    weekdays = None if weekday[2] else frozenset((number - 1) % 7 for number in weekday[1])
    rule = Rule(
        minute[1] or frozenset(range(60)),
        None if hour[2] else hour[1],
        None if day[0] == "*" else day[1],
        month[1],
        weekdays,
    )
    start = moment(f"{changed_on} 12:00", zone) - before
    end = start + 4 * 86_400
    expected = moments(rule, zone, start, end)
    found, at = [], Recurrence(zone, cron).following(start)
    recurrence = Recurrence(zone, cron)
    while at is not None and at <= end and len(found) <= len(expected):
        found.append(at)
        at = recurrence.following(at)
    assert found == expected, (cron, zone, changed_on)
    assert (recurrence.preceding(end) == expected[-1]) if expected else True


@pytest.mark.parametrize("hours", ["*", "*/1", "0-23"])
def test_every_hour_however_it_is_written_goes_by_real_hours(hours):
    runs = Recurrence(BERLIN, f"15 {hours} * * *").next_runs(moment("2027-10-31 00:00"), 5)
    assert {after - before for before, after in itertools.pairwise(runs)} == {3600.0}


def test_no_moment_is_left_out_or_doubled_in_a_year():
    found = Recurrence(BERLIN, "30 2 * * *")
    at, runs = moment("2027-01-01 00:00"), []
    while (at := found.following(at)) < moment("2028-01-01 00:00"):
        runs.append(at)
    assert len(runs) == 365
    assert all(
        timedelta(hours=22) < timedelta(seconds=b - a) < timedelta(hours=26) for a, b in itertools.pairwise(runs)
    )


def test_timezones_to_choose_from_are_places():
    assert timezones()[0] == "UTC"
    assert {BERLIN, "America/New_York"} <= set(timezones())
