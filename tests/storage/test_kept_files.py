"""Files of imports: one row for each path, taken for removal once, and locked against who puts another there."""

from __future__ import annotations

import threading

import pytest

from keyturn.model.kept_files import FileLimits, KeptFile
from keyturn.storage import imports as import_rows
from keyturn.storage import kept_files as rows

PLACE = "/data/files/ws_a/x.csv"


def kept(path: str = "x.csv", import_id: str = "one", **more) -> KeptFile:
    told = {"table_id": "tb_a", "created_by": "ac_a", "bytes": 5, "whole": True, "asked_at": 1.0, "finished_at": 2.0}
    return KeptFile(path=path, import_id=import_id, **told | more)


@pytest.fixture
def there(database, workspaces, row):
    """A table, and the finished import of `x.csv`."""

    def write(tx) -> None:
        row(tx, "connections", id="cn_a", workspace_id="ws_a", owner_id="ac_a", name="a")
        row(tx, "tables", id="tb_a", workspace_id="ws_a", connection_id="cn_a", name="orders", created_by="ac_a")
        files = [{"name": "x.csv", "bytes": 5, "sha256": "0"}]
        imported(tx, row, "one", status="complete", files=files, finished_at=2.0)
        rows.put(tx, "ws_a", kept())

    database.run_now(write)


def imported(tx, row, import_id: str, **known) -> None:
    settings = {"table_id": "tb_a", "destination": {"type": "csv", "url": "x.csv"}, "mode": "replace"}
    told = {"place": PLACE, "files": [], "attempts": 0, "lease_epoch": 0, "settings": settings, **known}
    row(tx, "imports", id=import_id, workspace_id="ws_a", table_id="tb_a", created_by="ac_a", **told)


def test_a_newer_file_takes_the_row_of_the_one_at_its_path(database, there):
    database.run_now(rows.put, "ws_a", kept(import_id="two", bytes=7))
    assert [(f.import_id, f.bytes) for f in database.run_now(rows.all_of, "ws_a")] == [("two", 7)]
    assert database.run_now(rows.at, "ws_a", ["x.csv", "y.csv"])["x.csv"].import_id == "two"
    assert database.run_now(rows.all_of, "ws_a", "tb_b") == []


def test_limits_are_none_until_they_are_set(database, workspaces):
    assert database.run_now(rows.limits, "ws_a") == FileLimits()
    database.run_now(rows.set_limits, "ws_a", FileLimits(keep_days=3))
    database.run_now(rows.set_limits, "ws_b", FileLimits(max_total_bytes=3))
    assert database.run_now(rows.limits, "ws_a", lock=True).keep_days == 3
    assert database.run_now(rows.that_remove_anywhere) == [("ws_a", FileLimits(keep_days=3))]


def test_a_file_is_taken_for_removal_once_and_its_import_says_so_at_once(database, there):
    assert database.run_now(rows.mark_removed, "ws_a", kept(), 9.0)
    assert not database.run_now(rows.mark_removed, "ws_a", kept(), 10.0)
    assert database.run_now(import_rows.get, "ws_a", "one").files_removed_at == 9.0
    ((workspace_id, file),) = database.run_now(rows.marked_anywhere)
    assert (workspace_id, file.removed_at) == ("ws_a", 9.0)
    assert database.run_now(rows.lock_marked, "ws_a", file, [PLACE])
    database.run_now(rows.forget, "ws_a", file)
    assert database.run_now(rows.marked_anywhere) == []


def test_a_file_that_was_replaced_meanwhile_is_not_removed(database, there):
    old = kept()
    database.run_now(rows.put, "ws_a", kept(import_id="two"))
    assert not database.run_now(rows.mark_removed, "ws_a", old, 9.0)
    assert not database.run_now(rows.lock_marked, "ws_a", old, [PLACE])
    database.run_now(rows.forget, "ws_a", old)
    assert len(database.run_now(rows.all_of, "ws_a")) == 1


def test_an_import_that_left_a_file_it_does_not_name_any_more_keeps_its_own(database, there):
    database.run_now(rows.put, "ws_a", kept("x.incomplete.csv", whole=False))
    assert database.run_now(rows.mark_removed, "ws_a", kept("x.incomplete.csv", whole=False), 9.0)
    assert database.run_now(import_rows.get, "ws_a", "one").files_removed_at is None


@pytest.mark.parametrize(("status", "planned", "may_go"),
                         [("running", True, False), ("waiting", True, False), ("queued", True, False),
                          ("running", False, True), ("failed", True, True)])  # fmt: skip
def test_a_file_stays_while_an_import_is_about_to_put_another_there(database, there, row, status, planned, may_go):
    files = [{"name": "x.csv", "bytes": 9, "sha256": "1"}] if planned else []
    database.run_now(lambda tx: imported(tx, row, "two", status=status, files=files))
    database.run_now(rows.mark_removed, "ws_a", kept(), 9.0)
    assert database.run_now(rows.lock_marked, "ws_a", kept(), [PLACE]) is may_go


def test_who_puts_a_file_there_waits_for_who_removes_one(database, there):
    """While one transaction removes, another that is about to put a file there does not come past its lock."""
    database.run_now(rows.mark_removed, "ws_a", kept(), 9.0)
    locked, go_on, order = threading.Event(), threading.Event(), []

    def remove(tx) -> None:
        assert rows.lock_marked(tx, "ws_a", kept(), [PLACE])
        locked.set()
        go_on.wait(30)
        order.append("removed")
        rows.forget(tx, "ws_a", kept())

    def put(tx) -> None:
        rows.lock(tx, "ws_a", "x.csv")
        order.append("put")

    remover = threading.Thread(target=database.run_now, args=(remove,))
    putter = threading.Thread(target=database.run_now, args=(put,))
    remover.start()
    assert locked.wait(30)
    putter.start()
    putter.join(0.5)
    go_on.set()
    remover.join(30)
    putter.join(30)
    assert order == ["removed", "put"]


def test_what_is_used_is_files_and_pages_of_imports_that_may_go_on(database, there, row):
    def more(tx) -> None:
        rows.put(tx, "ws_a", kept("b/y.csv", bytes=10))
        imported(tx, row, "running", status="running", bytes=100, place="/data/files/ws_a/r")
        imported(tx, row, "failed", status="failed", bytes=1000, place="/data/files/ws_a/f", finished_at=50.0,
                 checkpoint={"read": {}})  # fmt: skip
        imported(tx, row, "old", status="failed", bytes=1, finished_at=49.0, checkpoint={"read": {}})
        imported(tx, row, "done", status="complete", bytes=1, finished_at=60.0)
        imported(tx, row, "anew", status="failed", bytes=1, finished_at=60.0)
        imported(tx, row, "bucket", status="queued", bytes=10_000, place="s3:de_1:x")
        imported(tx, row, "database", status="running", bytes=1, place="postgresql:de_1:x")
        imported(tx, row, "elsewhere", status="waiting", bytes=1, place="/exports/x")

    database.run_now(more)
    told = {"folder": "/data/files/ws_a/", "since": 49.5}
    found = database.run_now(rows.used, "ws_a", **told)
    assert (found.files, found.bytes, found.under_way_bytes) == (2, 15, 11_100)
    found = database.run_now(rows.used, "ws_a", but="running", replaced="x.csv", **told)
    assert (found.files, found.bytes, found.under_way_bytes) == (1, 10, 11_000)
