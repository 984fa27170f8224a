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
from destination_fires import KINDS, BucketFire, PartitionedBucketFire, made
from keyturn.errors import Invalid, NotFound
from weather import Cut, errors, limit_hit, stalled, tokens_end
from world import ROWS, TOKEN, ok, slow, wait_for_import


def begin(server, table: str, destination: dict, url: str = "orders.parquet", **changes) -> str:
    where = {"type": url.rpartition(".")[2], "url": url, "destination_id": destination["id"]}
    return ok(server.api.post("/imports", json={"table_id": table, "destination": where, **changes}))["id"]


def whole(store, key: str = "tables/orders.parquet") -> tuple:
    ids = pq.read_table(io.BytesIO(store.read(key)), columns=["id"])["id"].to_pylist()
    return len(ids), len(set(ids))


def no_bucket(store) -> str:
    return f"There is no {store.opened().word} no-such-bucket"


@pytest.fixture
def store(any_store):
    return any_store


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
    heard.append(server.api.patch(route, json={"password": store.wrong_secret}).text)
    heard.append(server.api.post(f"{route}/test").text)
    ended = wait_for_import(server, begin(server, table, destination))
    assert (ended["status"], " key" in ended["error"]["message"]) == ("failed", True), ended
    heard.append(json.dumps(ended))
    ok(server.api.patch(route, json={"password": store.secret}))
    assert wait_for_import(server, begin(server, table, destination))["status"] == "complete"
    heard += [server.api.get("/audit").text, server.log]
    with sqlite3.connect(world.tmp_path / "data" / "keyturn.db") as database:
        kept = "\n".join(database.iterdump())
    for secret in store.secrets():
        assert not [text for text in (*heard, kept) if secret in text]
    # Neither the headers that carry the signature.
    assert not re.search(
        r"AWS4-HMAC-SHA256|Signature=|X-Amz-Signature|Bearer |eyJhbGci|SharedKey |sig=[^•]", "\n".join(heard)
    )


def test_a_bucket_that_is_not_there_ends_the_import_with_a_sentence(store, server, table):
    destination = made(server, store, url=f"{store.scheme}://no-such-bucket")
    assert no_bucket(store) in server.api.post(f"/destinations/{destination['id']}/test").text
    ended = wait_for_import(server, begin(server, table, destination))
    assert (ended["status"], ended["pages"]) == ("failed", 0)
    assert no_bucket(store) in ended["error"]["message"]


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


def test_from_python_and_the_command_line(store, server, table, terminal):
    with keyturn.connect(server.url, TOKEN) as ws:
        settings = store.settings()
        ws.destinations.create(settings)
        assert ws.destinations.test("Lake")["ok"]
        run = ws.run_import("acme.orders", to="Lake/python.parquet").wait()
        assert (run.files[0].name, whole(store, "tables/python.parquet")) == ("python.parquet", (ROWS, ROWS))
        ws.run_import("acme.orders", to=f"{settings['url']}/by/address.csv").wait()
        assert len(store.read("tables/by/address.csv").splitlines()) == ROWS + 1
        with pytest.raises(NotFound, match="No destination leads to"):
            ws.run_import("acme.orders", to=f"{store.scheme}://elsewhere/orders.csv")
        with pytest.raises(Invalid, match="ending chooses the format"):
            ws.run_import("acme.orders", to="Lake/orders")
        # A folder of the server is one still.
        assert (
            ws.run_import("acme.orders", to="folder/orders.csv").wait().found["destination"]["url"].startswith("fold")
        )
    terminal.environment = {"KEYTURN_URL": server.url, "KEYTURN_TOKEN": TOKEN, "KEYTURN_PASSWORD": store.secret}
    terminal.run("destinations", "add", "Sea", settings["url"], *store.options)
    assert "It takes objects" in terminal.run("destinations", "test", "Sea")
    assert settings["url"] in terminal.run("destinations", "list")
    said = terminal.run("import", "acme.orders", "--on-server", "Sea/cli.ndjson")
    assert "→ Sea/cli.ndjson (" in said
    assert len(store.read("tables/cli.ndjson").splitlines()) == ROWS
    terminal.run("destinations", "edit", "Sea", "--url", f"{store.scheme}://no-such-bucket")
    assert no_bucket(store) in terminal.run("destinations", "test", "Sea", code=1)
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
