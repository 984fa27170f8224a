"""The report: counts, percentiles, and words for people and machines."""

from __future__ import annotations

import json

import pytest

from keyturn.simulation.issuer import Ledger, Post
from keyturn.simulation.judge import INVARIANTS, Evidence, GrantSeen, Harm
from keyturn.simulation.plan import Plan
from keyturn.simulation.report import HEADINGS, Report, percentile
from keyturn.simulation.worker import Told


def report(**changes) -> Report:
    posts = [Post(0, 1, "w0.1", 10.0, "rotated", "lost", 2), Post(0, 1, "w0.1", 10.5, "repeated", "ok", 3)]
    seen = Evidence(
        Ledger(posts=posts), [GrantSeen(0, "active", None, 2, 3)], [Harm("w0.1", "unheard", "", 10.0)], 0.0, 1
    )
    for name, value in changes.items():
        setattr(seen, name, value)
    return Report.of(Plan(), seen, Told(waits=[0.1, 0.2]), {"kill mid commit": 2, "stopping": 1}, 12.0)


def test_it_counts():
    found = report()
    assert (found.refreshes, found.requests, found.repeated, found.replayed, found.lost) == (2, 2, 1, 0, 0)
    assert (found.kills["mid commit"], found.stopped, found.unknown, found.cut_off) == (2, 1, 4, 1)


def test_as_json_it_says_of_each_invariant_whether_it_holds():
    found = json.loads(json.dumps(report(leaks=["a log"]).as_json()))
    assert found["invariants"] == {name: name != "I6" for name in INVARIANTS}
    assert found["broken"] == {"I6": ["a log"]}


def test_its_row_has_a_cell_for_each_heading():
    assert report().row().count("|") == len(HEADINGS) + 1


def test_for_people_what_is_broken_stands_below_its_invariant():
    lines = report(leaks=["a log"]).lines()
    at = next(number for number, line in enumerate(lines) if line.startswith("✗ I6"))
    assert lines[at + 1].strip() == "a log"
    assert sum(line.startswith("✓") for line in lines) == len(INVARIANTS) - 1


@pytest.mark.parametrize(("share", "value"), [(50, 51.0), (95, 96.0), (99, 100.0)])
def test_percentiles(share, value):
    assert percentile([float(n) for n in range(1, 101)], share) == value


def test_the_percentile_of_nothing_is_zero():
    assert percentile([], 99) == 0.0
