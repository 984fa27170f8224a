from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from keyturn.model.audit import AuditEntry, Who, verify
from keyturn.storage import audit
from keyturn.storage.database import Database


def entry(verb: str = "table.created", at: float | None = None) -> AuditEntry:
    return AuditEntry(time.time() if at is None else at, Who("person", "ac_1", "Ana"), verb, "tb_1")


def chain_of(database: Database, workspace_id: str = "ws_1") -> list[dict]:
    return database.run_now(lambda tx: list(audit.lines_of(tx, workspace_id)))


def test_entries_of_one_transaction_are_linked_in_order(database):
    def write(tx) -> None:
        for number in range(3):
            audit.append(tx, "ws_1", entry(f"table.t{number}"))
        audit.append(tx, "ws_2", entry("table.other"))

    database.run_now(write)
    lines = chain_of(database)
    assert [line["verb"] for line in lines] == ["table.t0", "table.t1", "table.t2"]
    chain = verify(lines)
    assert chain.whole
    assert database.run_now(audit.head, "ws_1") == (3, chain.head_hash)
    assert verify(chain_of(database, "ws_2")).entries == 1


def test_what_is_rolled_back_leaves_no_entry_and_no_gap(database):
    def fail(tx) -> None:
        audit.append(tx, "ws_1", entry("table.never"))
        raise RuntimeError

    for _ in range(3):
        with pytest.raises(RuntimeError):
            database.run_now(fail)
        database.run_now(audit.append, "ws_1", entry())
    lines = chain_of(database)
    assert [line["seq"] for line in lines] == [1, 2, 3]
    assert "table.never" not in {line["verb"] for line in lines}


def test_writers_side_by_side_make_one_chain(database):
    def write(number: int) -> None:
        database.run_now(audit.append, "ws_1", entry(f"table.t{number}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(120)))
    lines = chain_of(database)
    chain = verify(lines)
    assert (chain.whole, chain.entries) == (True, 120)
    assert {line["verb"] for line in lines} == {f"table.t{number}" for number in range(120)}


@pytest.mark.parametrize("statement", ["update audit_entries set verb = 'x'", "delete from audit_entries"])
def test_r8_the_database_itself_refuses_changes(database, statement):
    database.run_now(audit.append, "ws_1", entry())
    with pytest.raises(sa.exc.DBAPIError, match="append-only"):
        database.run_now(lambda tx: tx.execute(sa.text(statement)))
    assert verify(chain_of(database)).entries == 1


def test_only_what_is_older_than_a_year_is_pruned_and_the_rest_still_holds(database):
    now = time.time()
    for days in (500, 400, 380, 20, 1):
        database.run_now(audit.append, "ws_1", entry(at=now - days * 86400))
    assert database.run_now(audit.prune_anywhere, now - 366 * 86400) == 3
    chain = verify(chain_of(database))
    assert (chain.whole, chain.first_seq, chain.entries) == (True, 4, 2)
    with pytest.raises(sa.exc.DBAPIError, match="append-only"):
        database.run_now(audit.prune_anywhere, now)


def test_entries_are_found_by_noun_verb_subject_and_time(database):
    for number, verb in enumerate(["connection.created", "connection.refreshed", "table.created"]):
        database.run_now(audit.append, "ws_1", entry(verb, at=1000.0 + number))

    def verbs(**wanted) -> list[str]:
        found = database.run_now(audit.newest, "ws_1", limit=10, **wanted)
        return [line["verb"] for line in found]

    assert verbs() == ["table.created", "connection.refreshed", "connection.created"]
    assert verbs(verb="connection.") == ["connection.refreshed", "connection.created"]
    assert verbs(verb="connection_") == []
    assert verbs(verb="connection.created") == ["connection.created"]
    assert verbs(since=1001.0, until=1002.0) == ["connection.refreshed"]
    assert verbs(before_seq=2) == ["connection.created"]
    assert verbs(actor_id="ac_2") == []


def test_a_row_whose_columns_say_something_else_than_its_line_is_found(database):
    database.run_now(audit.append, "ws_1", entry())
    assert database.run_now(audit.stray_anywhere) == []

    def forge(tx) -> None:
        line = tx.execute(sa.select(audit.audit_entries)).one()._asdict()
        tx.execute(audit.audit_entries.insert().values(**{**line, "seq": 2}))

    database.run_now(forge)
    assert database.run_now(audit.stray_anywhere) == [("ws_1", 2)]
