"""Imports into every format, and the address that always answers the latest whole file."""

from __future__ import annotations

import sqlite3
import time

import duckdb
import pytest


@pytest.fixture
def table(world, steps):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    body = {"connection_id": connection["id"], "name": "orders", "path": "/orders"}
    return server, steps.ok(server.api.post("/tables", json=body))


def imported(server, steps, table, url: str, **more) -> dict:
    kind = url.rpartition(".")[2]
    body = {"table_id": table["id"], "destination": {"type": kind, "url": url}, **more}
    return steps.wait_for_import(server, steps.ok(server.api.post("/imports", json=body))["id"])


def test_every_format_holds_every_row(table, steps, tmp_path):
    server, orders = table
    for kind in ("csv", "ndjson", "duckdb", "parquet"):
        item = imported(server, steps, orders, f"orders.{kind}")
        assert (item["status"], item["completeness"]["rows"]) == ("complete", 1234), item
        body = server.api.get(f"/tables/{orders['id']}/latest.{kind}").content
        (tmp_path / f"o.{kind}").write_bytes(body)
    assert (tmp_path / "o.csv").read_bytes().count(b"\r\n") >= 1235
    assert len((tmp_path / "o.ndjson").read_bytes().splitlines()) == 1234
    with duckdb.connect(str(tmp_path / "o.duckdb"), read_only=True) as connection:
        assert connection.sql("select count(*), max(id) from orders").fetchall() == [(1234, 1234)]


def test_updating_by_key_twice_doubles_nothing_and_appending_does(table, steps):
    server, orders = table
    for _ in range(2):
        assert imported(server, steps, orders, "u.parquet", mode="update")["status"] == "complete"
        assert imported(server, steps, orders, "a.ndjson", mode="append")["status"] == "complete"
    lines = server.api.get(f"/tables/{orders['id']}/latest.ndjson").content.splitlines()
    assert len(lines) == 2468
    refused = server.api.post(
        "/imports",
        json={"table_id": orders["id"], "destination": {"type": "csv", "url": "x.csv"}, "mode": "update"},
    )
    assert refused.status_code == 422


def test_the_latest_file_has_an_etag_and_ranges(table, steps):
    server, orders = table
    address = f"/tables/{orders['id']}/latest.parquet"
    assert server.api.get(address).status_code == 404
    imported(server, steps, orders, "orders.parquet")
    whole = server.api.get(address)
    part = server.api.get(address, headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"PAR1")
    assert whole.content.endswith(b"PAR1")
    again = server.api.get(address, headers={"If-None-Match": whole.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert server.api.get(f"/tables/{orders['id']}/latest.exe").status_code == 404


@pytest.mark.parametrize("kind", ["ndjson", "parquet"])
def test_a_crash_between_the_swap_and_its_record_appends_nothing_twice(table, steps, world, kind):
    server, orders = table
    url = f"crash.{kind}"
    item = imported(server, steps, orders, url, mode="append")
    file = steps.ok(server.api.get(f"/imports/{item['id']}/files"))["data"][0]
    server.kill()
    # As the row stood when the process died: planned, swapped, and its end not yet written.
    with sqlite3.connect(world.tmp_path / "data" / "keyturn.db") as database:
        database.execute("update imports set status = 'running', finished_at = null, lease_until = null")
    again = world.serve()
    ended = steps.wait_for_import(again, item["id"])
    assert (ended["status"], ended["completeness"]["rows"]) == ("complete", 1234), ended
    after = steps.ok(again.api.get(f"/imports/{item['id']}/files"))["data"][0]
    assert after == file


def test_a_kill_before_the_swap_reads_again_and_appends_once(table, steps, world):
    server, orders = table
    first = imported(server, steps, orders, "once.ndjson", mode="append")
    world.end_system.demo.faults.api_429s = 5
    body = {"table_id": orders["id"], "destination": {"type": "ndjson", "url": "once.ndjson"}, "mode": "append"}
    begun = steps.ok(server.api.post("/imports", json=body))
    while steps.ok(server.api.get(f"/imports/{begun['id']}"))["status"] != "waiting":
        time.sleep(0.02)
    server.kill()
    world.end_system.demo.faults.api_429s = 0
    with sqlite3.connect(world.tmp_path / "data" / "keyturn.db") as database:
        database.execute("update imports set lease_until = null where status = 'running'")
    again = world.serve()
    assert steps.wait_for_import(again, begun["id"])["status"] == "complete"
    lines = again.api.get(f"/tables/{orders['id']}/latest.ndjson").content.splitlines()
    assert (first["status"], len(lines)) == ("complete", 2468)


def test_a_server_that_stops_gives_its_imports_back_at_once(table, steps, world):
    server, orders = table
    world.end_system.demo.faults.api_429s = 5
    body = {"table_id": orders["id"], "destination": {"type": "ndjson", "url": "stop.ndjson"}}
    begun = steps.ok(server.api.post("/imports", json=body))
    while steps.ok(server.api.get(f"/imports/{begun['id']}"))["status"] != "waiting":
        time.sleep(0.02)
    server.stop()
    world.end_system.demo.faults.api_429s = 0
    again = world.serve()
    assert steps.wait_for_import(again, begun["id"], seconds=15)["status"] == "complete"
