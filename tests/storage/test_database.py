"""Transactions and the rules that keep SQLite safe, on both databases."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest
import sqlalchemy as sa

from keyturn.errors import Conflict, Invalid, Unavailable
from keyturn.storage import accounts
from keyturn.storage.database import Database, db_now


def lock(tx) -> str:
    tx.execute(sa.text("lock table workspaces in exclusive mode"))
    return "locked"


def put(tx, name: str, value: object) -> None:
    accounts.set_deployment_value(tx, name, value)


async def test_a_transaction_is_whole_or_not_at_all(database):
    def half(tx) -> None:
        put(tx, "one", 1)
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        await database.run(half)
    assert await database.read(accounts.deployment_value, "one") is None
    await database.run(put, "one", 1)
    assert await database.read(accounts.deployment_value, "one") == 1


async def test_many_writers_lose_no_write(database):
    await database.run(put, "count", 0)

    def add(tx) -> None:
        if not database.is_sqlite:
            tx.execute(sa.text("select pg_advisory_xact_lock(1)"))
        put(tx, "count", accounts.deployment_value(tx, "count") + 1)

    await asyncio.gather(*(database.run(add) for _ in range(200)))
    assert await database.read(accounts.deployment_value, "count") == 200


@pytest.mark.postgres
async def test_who_stands_still_in_a_transaction_holds_no_row_for_ever(postgres_url, monkeypatch):
    monkeypatch.setattr("keyturn.storage.database._IDLE_MS", 300)
    stopped, other = Database(postgres_url), Database(postgres_url)
    standing = threading.Event()

    def stand(tx) -> None:
        lock(tx)
        standing.set()
        # As a process that was sent SIGSTOP does.
        time.sleep(2)
        tx.execute(sa.text("select 1"))

    try:
        held = asyncio.create_task(stopped.run(stand))
        await asyncio.to_thread(standing.wait, 10)
        assert await other.run(lock) == "locked"
        assert not held.done()
        with pytest.raises(Unavailable):
            await held
        assert await stopped.read(lambda tx: tx.execute(sa.text("select 1")).scalar_one()) == 1
    finally:
        stopped.close()
        other.close()


async def test_r11_threads_are_bounded(database):
    running, most, lock = 0, 0, threading.Lock()

    def slow(tx) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        tx.execute(sa.select(db_now()))
        with lock:
            running -= 1

    await asyncio.gather(*(database.read(slow) for _ in range(100)))
    assert most <= 8


async def test_f12_the_databases_clock_is_in_epoch_seconds_and_moves(database):
    def clock(tx) -> float:
        return tx.execute(sa.select(db_now())).scalar_one()

    first, second = await database.read(clock), await database.read(clock)
    assert 1.7e9 < first <= second < 4e9


async def test_what_is_there_already_is_a_conflict(database, workspaces):
    with pytest.raises(Conflict):
        await database.run(accounts.insert_member, workspaces[0], "ac_a", "editor", 2.0)


async def test_a_database_that_is_away_is_unavailable_and_says_no_password():
    away = Database("postgresql://keyturn:canary-password@127.0.0.1:1/none")
    with pytest.raises(Unavailable) as caught:
        await away.read(accounts.count_accounts_anywhere)
    assert "canary-password" not in f"{caught.value!r} {caught.value}"
    away.close()


SQLITE_RULES = {
    "journal_mode": "wal",
    "synchronous": 2,
    "wal_autocheckpoint": 0,
    "mmap_size": 0,
    "foreign_keys": 1,
    "secure_delete": 1,
}


@pytest.mark.parametrize(("rule", "expected"), SQLITE_RULES.items())
async def test_sqlite_keeps_its_rules_on_every_connection(tmp_path, rule, expected):
    made = Database(f"sqlite:///{tmp_path / 'rules.db'}")

    def asked(tx) -> object:
        return tx.exec_driver_sql(f"pragma {rule}").scalar()

    # The rule that a `mmap_size` of 0 is told as nothing where the library was built without it.
    assert (await made.run(asked) or 0) == expected
    assert (await made.read(asked) or 0) == expected
    made.close()


async def test_a_read_on_sqlite_cannot_write(tmp_path):
    made = Database(f"sqlite:///{tmp_path / 'read.db'}")
    with pytest.raises(Unavailable):
        await made.read(lambda tx: tx.exec_driver_sql("create table t (x)"))
    made.close()


async def test_closing_folds_the_log_into_the_file(tmp_path):
    made = Database(f"sqlite:///{tmp_path / 'fold.db'}")
    await made.run(lambda tx: tx.exec_driver_sql("create table t (x)"))
    assert (tmp_path / "fold.db-wal").stat().st_size > 0
    made.close()
    log = tmp_path / "fold.db-wal"
    assert not log.exists() or log.stat().st_size == 0


def test_a_commit_counts_where_the_log_cannot_be_folded_into_the_file(tmp_path):
    # In a process of its own: the limit is on every file that it writes, as a full disk is.
    path = tmp_path / "full.db"
    program = f"""
    import os, resource, sqlite3
    from keyturn.storage import database as module
    from keyturn.storage.database import Database
    path, made = {str(path)!r}, Database("sqlite:///{path}")

    def put(number, size):
        made.run_now(lambda tx: tx.exec_driver_sql("insert into t values (?, zeroblob(?))", (number, size)))

    made.run_now(lambda tx: tx.exec_driver_sql("create table t (x, y)"))
    put(0, 8 << 20)
    made._checkpoint("TRUNCATE")
    made._writes = 0
    before = os.stat(path).st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (before, resource.RLIM_INFINITY))
    for number in range(1, module._CHECKPOINT_EVERY + 10):
        put(number, 5000)
    assert os.stat(path).st_size == before, "the log was folded into the file"
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    put(0, 0)
    made.close()
    assert os.stat(path).st_size > before
    assert sqlite3.connect(path).execute("select count(*) from t").fetchone() == (module._CHECKPOINT_EVERY + 11,)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    ran = subprocess.run(command, env=dict(os.environ), check=False, timeout=60, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_a_commit_survives_a_kill(tmp_path):
    path = tmp_path / "kill.db"
    program = f"""
    import os, signal
    from keyturn.storage.database import Database
    database = Database("sqlite:///{path}")
    database.run_now(lambda tx: tx.exec_driver_sql("create table t (x)"))
    for number in range(50):
        database.run_now(lambda tx: tx.exec_driver_sql("insert into t values (?)", (number,)))
    os.kill(os.getpid(), signal.SIGKILL)
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], env=dict(os.environ), check=False, timeout=60
    )
    assert ran.returncode == -9
    again = Database(f"sqlite:///{path}")
    assert again.run_now(lambda tx: tx.exec_driver_sql("select count(*) from t").scalar()) == 50
    again.close()


async def test_writes_that_wait_for_their_turn_are_one_transaction_and_each_has_its_own_answer(database):
    begun = []

    def write(tx, names: list[str]) -> list[str]:
        begun.append(len(names))
        for name in names:
            put(tx, name, name)
        return [name.upper() for name in names]

    held = threading.Event()
    first = asyncio.create_task(database.run(lambda tx: held.wait(10)))
    await asyncio.sleep(0)
    names = [f"together_{number}" for number in range(20)]
    waiting = [asyncio.create_task(database.run_together(write, name)) for name in names]
    await asyncio.sleep(0)
    given_up = asyncio.create_task(database.run_together(write, "given_up"))
    await asyncio.sleep(0)
    if database.is_sqlite:
        given_up.cancel()
        await asyncio.wait({given_up})
        await asyncio.sleep(0)  # the loop tells the thread's side of it at its next turn
    held.set()
    assert await asyncio.gather(*waiting) == [name.upper() for name in names]
    await asyncio.gather(first, given_up, return_exceptions=True)
    for name in names:
        assert await database.read(accounts.deployment_value, name) == name
    if database.is_sqlite:
        assert begun == [20]
        assert await database.read(accounts.deployment_value, "given_up") is None


async def test_what_fails_together_fails_for_each(database):
    def fail(tx, items: list[int]) -> list[int]:
        raise Conflict("No.")

    found = await asyncio.gather(*(database.run_together(fail, number) for number in range(5)), return_exceptions=True)
    assert [type(error) for error in found] == [Conflict] * 5


async def test_the_one_character_that_a_database_may_not_hold_is_refused_with_a_sentence(database):
    def look(tx):
        return tx.execute(sa.text("select cast(:text as varchar)"), {"text": "a\0b"}).scalar_one()

    if database.is_sqlite:
        assert await database.read(look) == "a\0b"
        return
    with pytest.raises(Invalid, match="NUL"):
        await database.read(look)
