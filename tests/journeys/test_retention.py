"""Files of imports over HTTP: limits that are kept while data comes, and files that go when their time is over."""

from __future__ import annotations

import sqlite3
import time

import pytest

DAY = 86_400.0


@pytest.fixture
def table(world, steps):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    body = {"connection_id": connection["id"], "name": "orders", "path": "/orders"}
    return server, steps.ok(server.api.post("/tables", json=body))


def imported(server, steps, table, url: str, **more) -> dict:
    body = {"table_id": table["id"], "destination": {"type": url.rpartition(".")[2], "url": url}, **more}
    return steps.wait_for_import(server, steps.ok(server.api.post("/imports", json=body))["id"])


def files_of(server, steps, item) -> list[dict]:
    return steps.ok(server.api.get(f"/imports/{item['id']}/files"))["data"]


def limit(server, steps, **limits) -> dict:
    return steps.ok(server.api.patch("/settings/files", json=limits))


def until(happened, what: str) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_an_import_that_passes_its_limit_ends_and_the_previous_file_stays(table, steps, world):
    server, orders = table
    imported(server, steps, orders, "orders.parquet")
    address = f"/tables/{orders['id']}/latest.parquet"
    before = server.api.get(address).content
    calls = sum(world.end_system.served.values())
    limit(server, steps, max_import_bytes="20 kB")
    stopped = imported(server, steps, orders, "orders.parquet")
    assert (stopped["status"], stopped["error"]["message_code"]) == ("failed", "E-IMPORTSIZE"), stopped
    assert "more than the 20 kB" in stopped["error"]["message"]
    # It was seen while it grew: not all pages were asked for, and none is kept.
    assert stopped["pages"] * 100 < 1234
    assert sum(world.end_system.served.values()) - calls < 13
    assert stopped["resumes_at_page"] is None
    assert not list((world.tmp_path / "data" / "files").rglob(".part-*"))
    assert server.api.get(address).content == before
    limit(server, steps, max_import_bytes=0)
    again = steps.ok(server.api.post(f"/imports/{stopped['id']}/resume"))
    assert steps.wait_for_import(server, again["id"])["status"] == "complete"


def test_the_room_of_the_workspace_is_kept_and_replacing_needs_none_twice(table, steps):
    server, orders = table
    first = imported(server, steps, orders, "orders.csv")
    size = files_of(server, steps, first)[0]["bytes"]
    assert limit(server, steps)["used"] == {"files": 1, "bytes": size, "under_way_bytes": 0}
    limit(server, steps, max_total_bytes=size + 1000)
    other = imported(server, steps, orders, "other.csv")
    assert (other["status"], other["error"]["message_code"]) == ("failed", "E-STORAGE"), other
    assert limit(server, steps)["used"] == {"files": 1, "bytes": size, "under_way_bytes": 0}
    # The same file again fits where it is, and so do its pages.
    limit(server, steps, max_total_bytes=max(first["bytes"], size) + 1000)
    assert imported(server, steps, orders, "orders.csv")["status"] == "complete"


def test_old_files_go_with_a_clear_answer_and_the_latest_stays(table, steps, world):
    server, orders = table
    old, new = (imported(server, steps, orders, f"{name}.parquet") for name in ("old", "new"))
    outside = world.tmp_path / "data" / "files" / "mine.parquet"
    outside.write_bytes(b"not ours")
    limit(server, steps, keep_newest=1)
    until(lambda: files_of(server, steps, old)[0]["state"] == "removed", "the old file is not removed")
    gone = server.api.get(f"/imports/{old['id']}/files/old.parquet")
    assert (gone.status_code, gone.json()["message_code"]) == (410, "E-REMOVED")
    assert "old.parquet was removed on " in gone.json()["detail"]
    assert steps.ok(server.api.get(f"/imports/{old['id']}"))["files_removed_at"]
    assert server.api.get(f"/imports/{new['id']}/files/new.parquet").status_code == 200
    assert server.api.get(f"/tables/{orders['id']}/latest.parquet").status_code == 200
    folder = next((world.tmp_path / "data" / "files").glob("ws_*"))
    until(lambda: sorted(path.name for path in folder.iterdir()) == ["new.parquet"], "the file lies there still")
    assert outside.exists()
    (entry,) = steps.ok(server.api.get("/audit", params={"verb": "import.file_removed"}))["data"]
    assert entry["subject_id"] == old["id"]
    # A later import may take the name again, and is the latest then.
    again = imported(server, steps, orders, "old.parquet")
    assert server.api.get(f"/imports/{again['id']}/files/old.parquet").status_code == 200
    until(lambda: files_of(server, steps, new)[0]["state"] == "removed", "the file before is not removed")


def test_killed_between_the_word_and_the_deed_the_next_start_removes_it(table, steps, world):
    server, orders = table
    old = imported(server, steps, orders, "old.parquet")
    imported(server, steps, orders, "new.parquet")
    server.kill()
    with sqlite3.connect(world.tmp_path / "data" / "keyturn.db") as database:
        database.execute("update kept_files set removed_at = 1.0 where path = 'old.parquet'")
        database.execute("update imports set files_removed_at = 1.0 where id = ?", (old["id"],))
    path = next((world.tmp_path / "data" / "files").glob("ws_*")) / "old.parquet"
    assert path.exists()
    again = world.serve()
    assert again.api.get(f"/imports/{old['id']}/files/old.parquet").status_code == 410
    until(lambda: not path.exists(), again.log)
    assert again.api.get(f"/tables/{orders['id']}/latest.parquet").status_code == 200


def test_a_member_who_is_no_admin_neither_sees_nor_sets_limits(table, steps):
    server, _ = table
    made = steps.ok(server.api.post("/tokens", json={"name": "reader", "permissions": ["tables:read"]}))
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert server.api.get("/settings/files", headers=headers).status_code == 403
    assert server.api.patch("/settings/files", headers=headers, json={"keep_days": 1}).status_code == 403
    wrong = server.api.patch("/settings/files", json={"max_total_bytes": "much"})
    assert (wrong.status_code, wrong.json()["errors"][0]["at"]) == (422, "max_total_bytes")
