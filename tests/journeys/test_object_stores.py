"""Imports into somebody's bucket: made by an admin, killed in the middle, away in the middle, fenced, whole."""

from __future__ import annotations

import io
import json
import re
import sqlite3
import time

import duckdb
import pyarrow.parquet as pq
import pytest

import keyturn
from destination_fires import KINDS, BucketFire, PartitionedBucketFire, allowed, made
from keyturn.errors import Invalid, NotFound
from weather import Cut, errors, limit_hit, stalled, tokens_end
from world import ROWS, TOKEN, connect, ok, orders, register, slow, wait_for_import


def begin(server, table: str, destination: dict, url: str = "orders.parquet", **changes) -> str:
    where = {"type": url.rpartition(".")[2], "url": url, "destination_id": destination["id"]}
    return ok(server.api.post("/imports", json={"table_id": table, "destination": where, **changes}))["id"]


def whole(store, key: str = "tables/orders.parquet") -> tuple:
    ids = pq.read_table(io.BytesIO(store.read(key)), columns=["id"])["id"].to_pylist()
    return len(ids), len(set(ids))


@pytest.fixture
def server(world, store):
    return world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS=allowed(world, store))


@pytest.fixture
def table(world, server):
    return orders(server, connect(world, server, register(world, server)))


def test_an_admin_makes_it_and_a_table_goes_there_whole(world, store, server, table):
    destination = made(server, store)
    assert destination["has_password"]
    assert store.secret not in str(destination)
    said = ok(server.api.post(f"/destinations/{destination['id']}/test"))
    assert (said["ok"], store.bucket in said["sentence"]) == (True, True)
    for mode, rows in (("replace", ROWS), ("replace", ROWS), ("update", ROWS), ("append", 2 * ROWS)):
        ended = wait_for_import(server, begin(server, table, destination, mode=mode))
        assert (ended["status"], whole(store)) == ("complete", (rows, ROWS)), ended
    [file] = ok(server.api.get(f"/imports/{ended['id']}/files"))["data"]
    assert (file["name"], file["bytes"]) == ("orders.parquet", len(store.read("tables/orders.parquet")))
    refused = server.api.get(f"/imports/{ended['id']}/files/{file['name']}")
    assert (refused.status_code, "lies in a bucket" in refused.text) == (404, True)
    for name in ("day/orders.csv", "orders.ndjson", "all.duckdb"):
        assert wait_for_import(server, begin(server, table, destination, name))["status"] == "complete"
    assert len(store.read("tables/orders.ndjson").splitlines()) == ROWS
    assert len(store.read("tables/day/orders.csv").splitlines()) == ROWS + 1
    (world.tmp_path / "all.duckdb").write_bytes(store.read("tables/all.duckdb"))
    with duckdb.connect(str(world.tmp_path / "all.duckdb")) as db:
        assert db.execute("select count(*) from orders").fetchall() == [(ROWS,)]
    assert store.uploads() == []
    assert not list((world.tmp_path / "data" / "files").rglob(".part-*"))


def test_no_secret_is_in_a_log_an_answer_or_the_database(world, store, server, table):
    destination = made(server, store)
    route = f"/destinations/{destination['id']}"
    heard = [server.api.post(f"{route}/test").text, server.api.get("/destinations").text]
    wrong = "canary-wrong-secret-access-key-58"
    heard.append(server.api.patch(route, json={"password": wrong}).text)
    heard.append(server.api.post(f"{route}/test").text)
    ended = wait_for_import(server, begin(server, table, destination))
    assert (ended["status"], "access key" in ended["error"]["message"]) == ("failed", True), ended
    heard += [json.dumps(ended), server.api.get("/audit").text, server.log]
    for secret in (store.secret, wrong):
        assert not [text for text in heard if secret in text]
        with sqlite3.connect(world.tmp_path / "data" / "keyturn.db") as database:
            assert secret not in "\n".join(database.iterdump())
    # Neither the headers that carry the signature.
    assert not re.search(r"AWS4-HMAC-SHA256|Signature=|X-Amz-Signature", "\n".join(heard))


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
    ({"type": "gcs"}, "type"),
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


def test_a_bucket_that_is_not_there_ends_the_import_with_a_sentence(store, server, table):
    destination = made(server, store, url="s3://no-such-bucket")
    assert "There is no bucket no-such-bucket" in server.api.post(f"/destinations/{destination['id']}/test").text
    ended = wait_for_import(server, begin(server, table, destination))
    assert (ended["status"], ended["pages"]) == ("failed", 0)
    assert "There is no bucket no-such-bucket" in ended["error"]["message"]


@pytest.mark.timeout(300)
def test_a_store_that_goes_away_in_the_middle_is_waited_for(world, store, server, table):
    destination = made(server, store)
    slow(world)
    import_id = begin(server, table, destination)
    deadline = time.monotonic() + 60
    while ok(server.api.get(f"/imports/{import_id}"))["pages"] < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    store.relay.cut()
    while True:
        item = ok(server.api.get(f"/imports/{import_id}"))
        if item["status"] == "waiting":
            break
        assert time.monotonic() < deadline + 60, item
        time.sleep(0.1)
    assert item["waiting"]["kind"] == "destination"
    assert "127.0.0.1 refused the connection" in item["waiting"]["reason"]
    store.relay.mend()
    ended = wait_for_import(server, import_id, seconds=90)
    assert (ended["status"], whole(store)) == ("complete", (ROWS, ROWS)), ended
    assert store.uploads() == []


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


def test_from_python_and_the_command_line(store, server, table, terminal):
    with keyturn.connect(server.url, TOKEN) as ws:
        settings = store.settings()
        ws.destinations.create(settings)
        assert ws.destinations.test("Lake")["ok"]
        run = ws.run_import("acme.orders", to="Lake/python.parquet").wait()
        assert (run.files[0].name, whole(store, "tables/python.parquet")) == ("python.parquet", (ROWS, ROWS))
        ws.run_import("acme.orders", to=f"{settings['url']}/by/address.csv").wait()
        assert len(store.read("tables/by/address.csv").splitlines()) == ROWS + 1
        with pytest.raises(NotFound, match="No destination leads to s3://elsewhere"):
            ws.run_import("acme.orders", to="s3://elsewhere/orders.csv")
        with pytest.raises(Invalid, match="ending chooses the format"):
            ws.run_import("acme.orders", to="Lake/orders")
        # A folder of the server is one still.
        assert (
            ws.run_import("acme.orders", to="folder/orders.csv").wait().found["destination"]["url"].startswith("fold")
        )
    terminal.environment = {"KEYTURN_URL": server.url, "KEYTURN_TOKEN": TOKEN, "KEYTURN_PASSWORD": store.secret}
    where = ("--endpoint", store.endpoint, "--region", settings["region"], "--access-key-id", store.key_id)
    terminal.run("destinations", "add", "Sea", settings["url"], *where)
    assert "It takes objects" in terminal.run("destinations", "test", "Sea")
    assert settings["url"] in terminal.run("destinations", "list")
    said = terminal.run("import", "acme.orders", "--on-server", "Sea/cli.ndjson")
    assert "→ Sea/cli.ndjson (" in said
    assert len(store.read("tables/cli.ndjson").splitlines()) == ROWS
    terminal.run("destinations", "edit", "Sea", "--url", "s3://no-such-bucket")
    assert "There is no bucket no-such-bucket" in terminal.run("destinations", "test", "Sea", code=1)
    terminal.run("destinations", "delete", "Sea", "--yes")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_killed_while_rows_go_into_a_bucket_that_goes_away_nothing_is_lost_nor_doubled(world, store, request, kind):
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    faults = (tokens_end, limit_hit, errors, Cut(store.relay, "destination_away"), stalled)
    fire = BucketFire(world, url, workers=1 if url is None else 2, seed=11, faults=faults)
    fire.place = store
    report = fire.burn(5)
    print(report.line(f"killed, into a bucket, {kind}"))
    assert report.whole == report.imports
    assert report.kills
    assert store.uploads() == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_killed_while_folders_of_a_bucket_are_made_nothing_is_lost_doubled_or_left(world, store, request, kind):
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    faults = (limit_hit, errors, Cut(store.relay, "destination_away"), stalled)
    fire = PartitionedBucketFire(world, url, workers=1 if url is None else 2, seed=11, faults=faults)
    fire.place = store
    report = fire.burn(5)
    print(report.line(f"killed, into folders of a bucket, {kind}"))
    assert report.whole == report.imports
    assert report.kills
    assert (store.uploads(), fire.unlisted()) == ([], set())
