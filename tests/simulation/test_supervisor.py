"""The whole of it, small: grants are renewed while processes are killed, and every invariant holds."""

from __future__ import annotations

import os

import pytest

from keyturn.errors import Conflict
from keyturn.model.accounts import Account
from keyturn.server.simulation_commands import log_of_worker
from keyturn.simulation.plan import Plan
from keyturn.simulation.report import Report
from keyturn.simulation.supervisor import Supervisor
from keyturn.storage import accounts
from keyturn.storage.database import Database

# `make soak` does the long runs of docs/operations/refresh.md; `make test` a small one of each kind.
SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
SMALL = {
    "grants": 6,
    "kills": 3,
    "calm_seconds": 4.0,
    "seconds": 60.0,
    "life_seconds": 8.0,
    "deadline_seconds": 4.0,
    "lease_seconds": 6.0,
}


async def run(folder, **changes) -> Report:
    plan = Plan(**{**SMALL, **changes})
    report = await Supervisor(plan, folder, log=log_of_worker, say=print).run()
    print(report.row())
    return report


def whole(report: Report, *, kills: int) -> None:
    assert report.broken == {}
    assert sum(report.kills.values()) >= kills
    assert (report.lost, report.replayed) == (0, 0)


@pytest.mark.timeout(900)
async def test_killed_on_sqlite_no_grant_is_lost(tmp_path):
    long = {"kills": 200, "grants": 60, "seconds": 800.0}
    kills = 200 if SOAK else SMALL["kills"]
    whole(await run(tmp_path, **(long if SOAK else {})), kills=kills)


@pytest.mark.timeout(3500)
async def test_killed_on_postgresql_no_grant_is_lost(tmp_path, postgres_url):
    long = {"kills": 1000, "refreshes": 100_000, "grants": 140, "workers": 4, "seconds": 3300.0}
    kills = 1000 if SOAK else SMALL["kills"]
    whole(await run(tmp_path, database_url=postgres_url, **(long if SOAK else {"workers": 2})), kills=kills)


async def test_a_database_that_is_in_use_is_left_alone(tmp_path, postgres_url):
    database = Database(postgres_url)
    database.run_now(accounts.insert_account, Account("ac_ana", "Ana", "ana@example.com", 1.0), "hash")
    database.close()
    with pytest.raises(Conflict, match="empty"):
        await run(tmp_path, database_url=postgres_url)
