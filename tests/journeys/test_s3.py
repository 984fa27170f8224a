"""Buckets of S3 as destinations: what cannot be right is told, and so is where the guard stands."""

from __future__ import annotations

import pytest

from destination_fires import made
from world import connect, ok, orders, register, wait_for_import


def test_an_address_that_the_guard_refuses_cannot_be_made_nor_reached(world, store):
    server = world.serve()  # the store's port is not listed
    for endpoint in (store.endpoint, "https://10.1.2.3:9000", "http://s3.example.com", "https://169.254.169.254"):
        refused = server.api.post("/destinations", json=store.settings(endpoint=endpoint))
        assert (refused.status_code, refused.json()["message_code"]) == (422, "E-BLOCKED"), endpoint
        assert store.secret not in refused.text
    # A name passes until it is looked up; where it leads is what counts.
    named = made(server, store, endpoint="https://localhost.localdomain.invalid")
    answer = server.api.post(f"/destinations/{named['id']}/test")
    assert answer.status_code == 409
    assert "localhost.localdomain.invalid" in answer.text


WRONG = (
    ({"url": "s3://"}, "url"),
    ({"url": "s3://x"}, "url"),
    ({"url": "https://bucket.s3.amazonaws.com"}, "url"),
    ({"url": "s3://bucket/../up"}, "url"),
    ({"url": "s3://key:word@bucket"}, "password"),
    ({"endpoint": "s3.example.com"}, "endpoint"),
    ({"endpoint": "https://s3.example.com/bucket"}, "endpoint"),
    ({"endpoint": "https://user@s3.example.com"}, "endpoint"),
    ({"region": "eu central 1"}, "region"),
    ({"region": "evil.example.com/"}, "region"),
    ({"access_key_id": ""}, "access_key_id"),
    ({"password": ""}, "password"),
    ({"addressing": "dns"}, "addressing"),
    ({"schema": "public"}, "schema"),
    ({"type": "ftp"}, "type"),
    ({"type": "postgresql", "url": "postgresql://u@db.example.com/d"}, "endpoint"),
)
NO_NAMES = (
    ({"type": "postgresql"}, "destination.type"),
    ({"type": "csv"}, "destination.url"),
    ({"type": "csv", "url": "../up.csv"}, "destination.url"),
    ({"type": "csv", "url": "a//b.csv"}, "destination.url"),
    ({"type": "csv", "url": "/" + "x" * 999}, "destination.url"),
)


def test_what_cannot_be_right_is_told_at_its_field(server, store, table):
    for changes, at in WRONG:
        answer = server.api.post("/destinations", json=store.settings(**changes))
        assert answer.status_code == 422, (changes, answer.text)
        assert at in [problem["at"] for problem in answer.json()["errors"]], (changes, answer.text)
        assert store.secret not in answer.text
    there = made(server, store)["id"]
    for where, at in NO_NAMES:
        body = {"table_id": table, "destination": {**where, "destination_id": there}}
        answer = server.api.post("/imports", json=body)
        assert (answer.status_code, answer.json()["errors"][0]["at"]) == (422, at), (where, answer.text)


def test_the_secret_stays_until_server_or_key_change_and_a_kind_stays(store, server):
    route = f"/destinations/{made(server, store)['id']}"
    assert ok(server.api.patch(route, json={"name": "Sea", "region": "us-east-1"}))["has_password"]
    for changes in ({"endpoint": None}, {"endpoint": "https://s3.example.com"}, {"access_key_id": "AKIAOTHER"}):
        assert server.api.patch(route, json=changes).status_code == 422, changes
    warehouse = {"type": "postgresql", "url": "postgresql://u@db.example.com/d", "endpoint": None, "region": None,
                 "access_key_id": None}  # fmt: skip
    assert "keeps its kind" in server.api.patch(route, json=warehouse).text


@pytest.mark.timeout(300)
def test_many_imports_at_once_leave_threads_to_look_addresses_up(world, store):
    hosts = f"127.0.0.1:{world.end_system.port},localhost:{store.relay.port}"
    server = world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS=hosts)
    endpoint = f"http://localhost:{store.relay.port}"  # a name is looked up for each connection
    lake = ok(server.api.post("/destinations", json=store.settings(endpoint=endpoint)))["id"]
    table = orders(server, connect(world, server, register(world, server)), query={"limit": "200"})
    ids = []
    for number in range(16):
        where = {"type": "ndjson", "url": f"{number}.ndjson", "destination_id": lake}
        ids.append(ok(server.api.post("/imports", json={"table_id": table, "destination": where}))["id"])
    ended = [wait_for_import(server, id_, seconds=100) for id_ in ids]
    assert {item["status"] for item in ended} == {"complete"}
    assert len(store.keys()) == 16
