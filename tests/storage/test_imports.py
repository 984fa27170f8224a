"""Claims of imports: one holder at a time, fenced, fair between workspaces, one at each place."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from keyturn.errors import Conflict
from keyturn.storage import imports as rows
from keyturn.storage.database import db_now

SETTINGS = {"table_id": "tb", "destination": {"type": "parquet", "url": "x.parquet"}, "mode": "replace"}


@pytest.fixture
def ask(database, workspaces, row):
    """`ask(id, workspace, at, place)` puts a queued import in."""

    def tables(tx) -> None:
        for name in ("a", "b"):
            row(tx, "connections", id=f"cn_{name}", workspace_id=f"ws_{name}", owner_id=f"ac_{name}", name=name)
            row(tx, "tables", id=f"tb_{name}", workspace_id=f"ws_{name}", connection_id=f"cn_{name}", name="orders",
                created_by=f"ac_{name}")  # fmt: skip

    database.run_now(tables)

    def put(import_id: str, workspace: str = "a", at: float = 1.0, place: str | None = None) -> str:
        values = {"id": import_id, "table_id": f"tb_{workspace}", "settings": SETTINGS, "place": place or import_id,
                  "created_by": f"ac_{workspace}", "created_at": at}  # fmt: skip
        database.run_now(rows.insert, f"ws_{workspace}", values)
        return import_id

    return put


def claimed(database, owner: str = "w1", seconds: float = 60, but=()) -> tuple[str, int] | None:
    found = database.run_now(rows.claim_anywhere, owner=owner, seconds=seconds, but=but)
    return None if found is None else (found[0].id, found[1])


def test_each_import_is_claimed_once_while_its_lease_lasts(database, ask):
    ask("one", at=1), ask("two", at=2)
    assert [claimed(database), claimed(database), claimed(database)] == [("one", 1), ("two", 1), None]


def test_a_lease_that_is_over_is_taken_and_its_former_holder_writes_nothing(database, ask):
    ask("one")
    assert claimed(database, seconds=-1) == ("one", 1)
    assert claimed(database, "w2") == ("one", 2)
    write = {"seconds": 60.0, "values": {"rows": 7}}
    assert not database.run_now(rows.progress, "ws_a", "one", 1, **write)
    assert not database.run_now(rows.finish, "ws_a", "one", 1, {"status": "complete"})
    assert not database.run_now(rows.park, "ws_a", "one", 1, seconds=1.0, attempts=1, waiting={})
    assert database.run_now(rows.progress, "ws_a", "one", 2, **write)
    assert database.run_now(rows.get, "ws_a", "one").rows == 7


def test_a_process_leaves_what_it_runs_itself_though_its_lease_is_over(database, ask):
    ask("one"), ask("two", at=2)
    assert claimed(database, seconds=-1) == ("one", 1)
    assert claimed(database, seconds=-1, but=["one"]) == ("two", 1)
    assert claimed(database, but=["one", "two"]) is None
    assert claimed(database, "w2") == ("one", 2)


def test_a_workspace_with_many_does_not_keep_another_waiting(database, ask):
    for number in range(3):
        ask(f"a{number}", "a", at=number)
    ask("b0", "b", at=9)
    assert [claimed(database)[0] for _ in range(4)] == ["a0", "b0", "a1", "a2"]


def test_several_are_claimed_together_as_fairly_as_one_by_one(database, ask):
    for number in range(3):
        ask(f"a{number}", "a", at=number)
    ask("b0", "b", at=9), ask("late", "b", at=10, place="b0")

    def many(most: int, but=()) -> list[tuple[str, int]]:
        found = database.run_now(rows.claim_many_anywhere, owner="w1", seconds=60, most=most, but=but)
        return [(item.id, epoch) for item, epoch in found]

    assert many(0) == []
    assert many(2) == [("a0", 1), ("b0", 1)]
    assert many(10, but=["a2"]) == [("a1", 1)]
    assert many(10) == [("a2", 1)]


def test_two_imports_at_one_place_run_one_after_the_other(database, ask):
    ask("one", at=1, place="/x"), ask("two", at=2, place="/x")
    assert claimed(database) == ("one", 1)
    assert claimed(database) is None
    with pytest.raises(Conflict):  # as if another process had looked in the same moment
        database.run_now(lambda tx: tx.execute(rows.imports.update().values(status="running")))
    database.run_now(rows.finish, "ws_a", "one", 1, {"status": "complete"})
    assert claimed(database) == ("two", 1)


def test_a_parked_import_is_taken_when_its_time_has_come(database, ask):
    ask("one")
    claimed(database)
    assert database.run_now(rows.park, "ws_a", "one", 1, seconds=60.0, attempts=1, waiting={"kind": "destination"})
    assert claimed(database) is None
    past = rows.imports.update().values(next_attempt_at=db_now() - 1)
    database.run_now(lambda tx: tx.execute(past))
    assert claimed(database) == ("one", 2)
    assert database.run_now(rows.get, "ws_a", "one").attempts == 1


def test_cancelling_ends_at_once_what_nobody_holds_and_asks_who_holds_it(database, ask):
    ask("queued"), ask("held", at=2)
    assert database.run_now(rows.request_cancel, "ws_a", "queued", 5.0)
    assert database.run_now(rows.get, "ws_a", "queued").status == "cancelled"
    assert claimed(database) == ("held", 1)
    assert database.run_now(rows.request_cancel, "ws_a", "held", 5.0)
    assert database.run_now(rows.get, "ws_a", "held").status == "running"
    assert not database.run_now(rows.progress, "ws_a", "held", 1, seconds=60.0, values={})
    assert not database.run_now(rows.park, "ws_a", "held", 1, seconds=1.0, attempts=1, waiting={})


def test_an_import_that_has_ended_is_queued_again_with_its_pages_or_anew(database, ask):
    ask("one")
    claimed(database)
    kept = {"read": {}, "segments": []}
    database.run_now(rows.progress, "ws_a", "one", 1, seconds=60.0, values={"checkpoint": kept, "pages": 3})
    assert not database.run_now(rows.queue_again, "ws_a", "one", anew=False)
    database.run_now(rows.finish, "ws_a", "one", 1, {"status": "failed", "error": {"code": "x"}})
    found = database.run_now(rows.get, "ws_a", "one")
    assert (found.may_resume, found.resumes_at_page) == (True, 4)
    assert database.run_now(rows.queue_again, "ws_a", "one", anew=False)
    assert database.run_now(rows.checkpoint, "ws_a", "one") == kept
    claimed(database)
    database.run_now(rows.finish, "ws_a", "one", 2, {"status": "cancelled"})
    database.run_now(rows.queue_again, "ws_a", "one", anew=True)
    assert database.run_now(rows.checkpoint, "ws_a", "one") is None
    assert database.run_now(lambda tx: tx.execute(sa.select(rows.imports.c.pages)).scalar_one()) == 0


def test_the_whole_ones_of_a_table_are_found_behind_any_number_that_failed(database, ask):
    ask("whole", at=1)
    for number in range(60):
        ask(f"failed-{number}", at=2 + number)

    def end(tx) -> None:
        tx.execute(sa.update(rows.imports).values(status="failed", place=None))
        tx.execute(sa.update(rows.imports).where(rows.imports.c.id == "whole").values(status="complete"))

    database.run_now(end)
    assert [item.id for item in database.run_now(rows.all_of, "ws_a", 50, "tb_a", "complete")] == ["whole"]
