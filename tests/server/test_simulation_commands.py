"""`keyturn simulate refresh`: what it refuses, and that it says what came of a run."""

from __future__ import annotations

import json
import subprocess
import sys


def simulate(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "keyturn.main", "simulate", "refresh", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, env={"COLUMNS": "200"})


def test_a_run_is_told_as_json_and_ends_with_0_when_it_is_whole():
    ran = simulate("--json", "--kills", "1", "--grants", "3", "--pause", "0.5", "--seconds", "30")
    found = json.loads(ran.stdout)
    assert (ran.returncode, found["broken"]) == (0, {})
    assert all(found["invariants"].values())
    assert found["refreshes"] > 0


def test_another_kind_of_database_is_refused():
    ran = simulate("--database", "mysql://db/kt")
    assert (ran.returncode, "postgresql://" in ran.stderr) == (1, True)


def test_a_database_that_cannot_be_reached_is_said():
    ran = simulate("--database", "postgresql://u@127.0.0.1:1/kt")
    assert ran.returncode == 1
    assert "database is not reachable" in ran.stderr


def test_sqlite_serves_one_process():
    ran = simulate("--workers", "2")
    assert (ran.returncode, "PostgreSQL" in ran.stderr) == (1, True)
