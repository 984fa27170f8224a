"""Imports that survive everything: killed, taken over, cancelled, resumed, without database, disk or token."""

from __future__ import annotations

import os

import pytest

from crashes import Fire, disk_away, limits_and_errors, short_tokens

# `make soak` does it all; `make test` a sample of it.
SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
COUNT = 200 if SOAK else 6


def told(report, what: str) -> None:
    print(report.line(what))
    assert report.whole == report.imports
    if SOAK:
        assert report.read_twice_each_time < 0.05


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_killed_at_random_every_import_ends_whole(world, request, kind):
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    fire = Fire(world, url, workers=1 if url is None else 3, seed=3)
    told(fire.burn(COUNT), f"killed, {kind}")


@pytest.mark.timeout(1500)
def test_killed_while_tokens_end_limits_hit_and_the_disk_goes_away(world, postgres_url, tmp_path):
    folder = tmp_path / "lake"
    folder.mkdir()
    faults = (short_tokens, limits_and_errors, disk_away(folder))
    fire = Fire(world, postgres_url, workers=3 if SOAK else 2, seed=5, folder=folder, faults=faults)
    told(fire.burn(COUNT), "killed, with short tokens, limits, errors, a disk that goes away")
