"""Folders of the operator's that imports write into: away at start, back later, and never shown with their full path."""

from __future__ import annotations

import time

import httpx2
import pytest


@pytest.fixture
def begun(world, steps):
    """`begun(folder)`: a server that may write there, and a table."""

    def start(folder):
        server = world.serve(KEYTURN_EXPORT_DIRS=str(folder))
        connection = steps.connect(world, server, steps.register(world, server))
        body = {"connection_id": connection["id"], "name": "orders", "path": "/orders"}
        return server, steps.ok(server.api.post("/tables", json=body))

    return start


def asked(server, steps, table, url: str, **more) -> str:
    body = {"table_id": table["id"], "destination": {"type": url.rpartition(".")[2], "url": url}, **more}
    return steps.ok(server.api.post("/imports", json=body))["id"]


def checked(server, steps) -> dict:
    return next(item for item in steps.ok(server.api.get("/doctor"))["checks"] if item["name"] == "export_dirs")


def test_a_folder_that_is_away_at_start_is_told_of_and_its_imports_wait_for_it(world, begun, steps, tmp_path):
    folder = tmp_path / "mount" / "exports"
    server, orders = begun(folder)
    assert "export_dir_away" in server.log
    assert (
        httpx2.get(server.url + "/readyz").json()["message"] == "Export folders that are away: 1. Their imports wait."
    )
    check = checked(server, steps)
    assert (check["state"], str(folder) in check["message"]) == ("fail", True)
    import_id = asked(server, steps, orders, f"{folder}/each/day.csv")
    deadline = time.monotonic() + 60
    while (item := steps.ok(server.api.get(f"/imports/{import_id}")))["status"] != "waiting":
        assert time.monotonic() < deadline, item
        time.sleep(0.05)
    assert (item["label"], str(tmp_path) in item["waiting"]["reason"]) == ("Waiting (destination)", False)
    # Nothing is made where the disk will be, and other imports go on.
    assert not folder.parent.exists()
    assert steps.wait_for_import(server, asked(server, steps, orders, "here.csv"))["status"] == "complete"
    folder.mkdir(parents=True)
    assert steps.wait_for_import(server, import_id)["status"] == "complete"
    assert (folder / "each" / "day.csv").read_bytes().count(b"\n") >= 1235
    assert checked(server, steps)["state"] == "ok"
    assert httpx2.get(server.url + "/readyz").json() == {"status": "ok"}


def test_a_folder_that_comes_back_as_a_link_to_the_data_is_no_way_into_it(world, begun, steps, tmp_path):
    folder = tmp_path / "exports"
    server, orders = begun(folder)
    folder.symlink_to(tmp_path / "data")
    body = {"table_id": orders["id"], "destination": {"type": "csv", "url": f"{folder}/keyturn.csv"}}
    assert server.api.post("/imports", json=body).status_code == 422


def test_what_a_library_says_of_a_file_is_shown_without_the_servers_folders(begun, steps, tmp_path):
    folder = tmp_path / "exports"
    folder.mkdir()
    (folder / "orders.duckdb").write_text("This is no database, however it is called.\n" * 400)
    server, orders = begun(folder)
    ended = steps.wait_for_import(server, asked(server, steps, orders, f"{folder}/orders.duckdb", mode="append"))
    assert ended["status"] == "failed"
    assert ".part-" in ended["error"]["message"]
    assert str(tmp_path) not in ended["error"]["message"]
