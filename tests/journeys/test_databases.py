"""Imports into somebody's PostgreSQL: made by an admin, killed in the middle, away in the middle, fenced, whole."""

from __future__ import annotations

import time

import pytest

from destination_fires import allowed, made
from warehouse import PASSWORD
from world import ROWS, connect, ok, orders, register, slow, wait_for_import


def begin(server, table: str, destination: dict, **changes) -> str:
    body = {"table_id": table, "destination": {"type": "postgresql", "destination_id": destination["id"]}, **changes}
    return ok(server.api.post("/imports", json=body))["id"]


def whole(warehouse, table: str = "orders") -> tuple:
    return warehouse.rows(f"select count(*), count(distinct id) from {table}")[0]


@pytest.fixture
def server(world, warehouse):
    return world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS=allowed(world, warehouse))


def test_an_admin_makes_it_and_a_table_goes_there_whole(world, warehouse, server):
    destination = made(server, warehouse)
    assert destination["has_password"]
    assert PASSWORD not in str(destination)
    assert ok(server.api.post(f"/destinations/{destination['id']}/test"))["ok"]
    table = orders(server, connect(world, server, register(world, server)))
    ended = wait_for_import(server, begin(server, table, destination))
    assert ended["status"] == "complete", ended
    assert whole(warehouse) == (ROWS, ROWS)
    again = wait_for_import(server, begin(server, table, destination))
    assert (again["status"], whole(warehouse)) == ("complete", (ROWS, ROWS))
    updated = wait_for_import(server, begin(server, table, destination, mode="update"))
    assert (updated["status"], whole(warehouse)) == ("complete", (ROWS, ROWS))
    appended = wait_for_import(server, begin(server, table, destination, mode="append"))
    assert (appended["status"], whole(warehouse)) == ("complete", (2 * ROWS, ROWS))
    assert warehouse.rows("select count(*) from keyturn_pages") == [(0,)]
    assert ok(server.api.get(f"/imports/{ended['id']}/files"))["data"] == []
    assert PASSWORD not in server.log


def test_an_address_that_the_guard_refuses_cannot_be_made_nor_reached(world, warehouse):
    server = world.serve()  # the warehouse's port is not listed
    refused = server.api.post("/destinations", json={"name": "W", "url": warehouse.url, "password": PASSWORD})
    assert (refused.status_code, refused.json()["message_code"]) == (422, "E-BLOCKED")
    assert PASSWORD not in refused.text
    # A name passes until it is looked up; where it leads is what counts.
    named = "postgresql://writer@localhost.localdomain.invalid/db"
    there = ok(server.api.post("/destinations", json={"name": "W", "url": named}))
    answer = server.api.post(f"/destinations/{there['id']}/test")
    assert (answer.status_code, answer.json()["message_code"]) == (409, "E-DNS")
    plain = server.api.post(
        "/destinations", json={"name": "P", "url": "postgresql://w@db.example.com/d?sslmode=disable"}
    )
    assert plain.status_code == 422


def test_the_password_stays_until_the_address_changes(warehouse, server):
    destination = made(server, warehouse)
    route = f"/destinations/{destination['id']}"
    assert ok(server.api.patch(route, json={"name": "Lake"}))["has_password"]
    elsewhere = server.api.patch(route, json={"url": warehouse.url.replace("127.0.0.1", "localhost")})
    assert elsewhere.status_code == 422
    inside = warehouse.url.replace("@", f":{PASSWORD}@")
    now = ok(server.api.patch(route, json={"url": inside}))
    assert now["url"] == warehouse.url
    assert now["has_password"]


def test_one_that_is_in_use_is_not_deleted(world, warehouse, server):
    destination = made(server, warehouse)
    table = orders(server, connect(world, server, register(world, server)))
    where = {"type": "postgresql", "destination_id": destination["id"], "table": "nightly"}
    planned = ok(server.api.post("/schedules", json={"table_id": table, "destination": where, "every": "day"}))
    assert server.api.delete(f"/destinations/{destination['id']}").status_code == 409
    ok(server.api.delete(f"/schedules/{planned['id']}"))
    assert server.api.delete(f"/destinations/{destination['id']}").status_code == 204


@pytest.mark.timeout(300)
def test_a_database_that_goes_away_in_the_middle_is_waited_for(world, warehouse, server):
    destination = made(server, warehouse)
    slow(world)
    table = orders(server, connect(world, server, register(world, server)))
    import_id = begin(server, table, destination)
    landed(warehouse)
    warehouse.relay.cut()
    deadline = time.monotonic() + 60
    while True:
        item = ok(server.api.get(f"/imports/{import_id}"))
        if item["status"] == "waiting":
            break
        assert time.monotonic() < deadline, item
        time.sleep(0.1)
    assert item["waiting"]["kind"] == "destination"
    assert "127.0.0.1 is not reachable" in item["waiting"]["reason"]
    warehouse.relay.mend()
    ended = wait_for_import(server, import_id, seconds=90)
    assert (ended["status"], whole(warehouse)) == ("complete", (ROWS, ROWS)), ended


def landed(warehouse) -> None:
    deadline = time.monotonic() + 60
    while not warehouse.rows("select from pg_class where relname = 'keyturn_pages'") or warehouse.rows(
        "select count(*) from keyturn_pages"
    ) == [(0,)]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
