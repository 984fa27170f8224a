"""Imports that survive everything: killed and stalled at random, without database, disk, token, or an end to the limits.

`make soak` does 200 of each; `make test` a sample of it. `SOAK_REPORT` names a file for what came out, in JSON.
"""

from __future__ import annotations

import os

import pytest

from crashes import Fire
from destination_fires import KINDS, DatabaseFire, PartitionedFire
from weather import Cut, errors, folder_away, limit_hit, stalled, tokens_end

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
COUNT = int(os.environ.get("SOAK_IMPORTS", "200")) if SOAK else 6
MOST_READ_TWICE = 0.05
WORKERS = {"sqlite": 1, "postgresql": 3}
SEED = int(os.environ.get("SOAK_SEED", "3"))


def told(report, what: str, *, most: float = MOST_READ_TWICE, **more: object) -> None:
    print(report.line(what))
    report.write(what, seed=SEED, **more)
    assert report.whole == report.imports
    assert report.kills
    assert report.taken_over
    if SOAK:
        assert report.read_twice < most


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_killed_at_random_every_import_ends_whole(world, request, kind):
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    fire = Fire(world, url, workers=WORKERS[kind], seed=SEED)
    told(fire.burn(COUNT), f"killed, {kind}")


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_killed_while_all_else_fails_too(small_disk, world, request, kind):
    faults = [tokens_end, limit_hit, errors, small_disk, folder_away, stalled]
    url = served_url = None
    if kind == "postgresql":
        url = request.getfixturevalue("postgres_url")
        served_url, relay = request.getfixturevalue("cut_url")
        faults.append(Cut(relay, "database_away"))
    folder = small_disk.path / "files"
    folder.mkdir()
    fire = Fire(
        world, url, workers=WORKERS[kind], seed=SEED, folder=folder, faults=tuple(faults),
        served_url=served_url,
    )  # fmt: skip
    told(fire.burn(COUNT), f"killed, everything fails, {kind}", disk_is_mounted=small_disk.is_mounted)


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("kind", KINDS)
def test_killed_while_rows_go_into_a_database_that_goes_away(world, warehouse, request, kind):
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    faults = (tokens_end, limit_hit, errors, Cut(warehouse.relay, "destination_away"), stalled)
    fire = DatabaseFire(world, url, workers=WORKERS[kind], seed=SEED, faults=faults)
    fire.place = warehouse
    # Not measured since pages are kept in hand while the destination is away.
    told(fire.burn(COUNT), f"killed, into PostgreSQL, {kind}", most=1.0)
    assert warehouse.rows("select count(*) from keyturn_pages") == [(0,)]


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("kind", KINDS)
def test_killed_while_folders_of_files_are_made(small_disk, world, request, kind):
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    faults = (tokens_end, limit_hit, errors, small_disk, folder_away, stalled)
    folder = small_disk.path / "files"
    folder.mkdir()
    fire = PartitionedFire(world, url, workers=WORKERS[kind], seed=SEED, folder=folder, faults=faults)
    # The 5 % are not measured with hundreds of them.
    told(fire.burn(COUNT), f"killed, folders, {kind}", most=1.0, disk_is_mounted=small_disk.is_mounted)
    # Neither pages nor versions that nobody has are left.
    assert not list(folder.glob(".part-*"))
    assert all(len(list(path.glob("*.json"))) == 1 for path in folder.glob(".versions-*"))
