"""Folders of Parquet files: asked for in the API, a terminal, Python and the browser, and read by three engines."""

from __future__ import annotations

import hashlib
import json
import threading

import duckdb
import polars as pl
import pyarrow.dataset as ds
import pytest
from playwright.sync_api import expect

import keyturn
from destination_fires import allowed, made
from keyturn.errors import Invalid
from world import ROWS, TOKEN, connect, ok, orders, register, wait_for_import

BY = ["status", "placed_at:month"]


@pytest.fixture
def server(world, store):
    return world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS=allowed(world, store))


@pytest.fixture
def table(world, server):
    return orders(server, connect(world, server, register(world, server)))


def begin(server, table: str, url: str = "orders", *, by=BY, kind="parquet", **changes):
    where = {"type": kind, "url": url, "partition_by": by}
    return server.api.post("/imports", json={"table_id": table, "destination": where, **changes})


def imported(server, table: str, url: str = "orders", **changes) -> dict:
    ended = wait_for_import(server, ok(begin(server, table, url, **changes))["id"])
    assert ended["status"] == "complete", ended
    return ended


def folder(world, name: str = "orders"):
    return next((world.tmp_path / "data" / "files").iterdir()) / name


def counted(place) -> tuple[int, int, int]:
    """The rows that pyarrow, DuckDB and Polars find; each looks at what folders are named by."""
    arrow = ds.dataset(place, partitioning="hive").to_table(columns=["id", "status", "placed_at_month"])
    assert set(arrow["status"].to_pylist()) >= {"open", "paid"}
    duck = duckdb.sql(
        f"select count(*), count(distinct id), min(placed_at_month) "
        f"from read_parquet('{place.resolve()}/**/*.parquet', hive_partitioning=true, hive_types_autocast=false)"
    ).fetchall()[0]
    polars = pl.scan_parquet(place.resolve(), hive_partitioning=True).select("id", "status").collect()
    assert (duck[1], polars["id"].n_unique()) == (ROWS, ROWS)
    return arrow.num_rows, duck[0], polars.height


def test_a_folder_is_replaced_and_appended_to_and_three_engines_read_it(world, server, table):
    ended = imported(server, table)
    assert ended["destination"]["partition_by"] == BY
    assert counted(folder(world)) == (ROWS,) * 3
    imported(server, table)
    assert counted(folder(world)) == (ROWS,) * 3
    ended = imported(server, table, mode="append")
    assert counted(folder(world)) == (2 * ROWS,) * 3
    [file] = ok(server.api.get(f"/imports/{ended['id']}/files"))["data"]
    assert file["name"] == "orders.manifest.json"
    answer = server.api.get(f"/imports/{ended['id']}/files/{file['name']}")
    assert hashlib.sha256(answer.content).hexdigest() == file["sha256"]
    listed = json.loads(answer.content)
    assert (listed["rows"], listed["partition_by"]) == (2 * ROWS, BY)
    assert len(listed["files"]) == len([*folder(world).rglob("*.parquet")])
    assert not [*folder(world).parent.glob(".part-*")]
    # What was replaced since is not another import's to give out; and a folder is no latest file.
    imported(server, table)
    assert server.api.get(f"/imports/{ended['id']}/files/{file['name']}").status_code == 404
    assert server.api.get(f"/tables/{table}/latest.parquet").status_code == 404


def test_whoever_reads_while_it_is_replaced_has_all_rows(world, server, table):
    imported(server, table)
    over, seen = threading.Event(), []

    def read() -> None:
        while not over.is_set():
            # The real place is one version, whatever happens meanwhile.
            found = ds.dataset(folder(world).resolve(), partitioning="hive")
            seen.append(found.to_table(columns=["id"]).num_rows)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        imported(server, table)
    finally:
        over.set()
        reader.join()
    assert {*seen} == {ROWS}


REFUSED = (
    ({"by": ["gone"]}, "destination.partition_by", "no column gone"),
    ({"by": ["placed_at"]}, "destination.partition_by", "placed_at:day"),
    ({"by": ["status:month"]}, "destination.partition_by", "has no month"),
    ({"by": ["placed_at:week"]}, "destination.partition_by", "day, month, year"),
    ({"by": ["status", "status"]}, "destination.partition_by", "once"),
    ({"by": ["a", "b", "c", "d"]}, "destination.partition_by", "at most 3"),
    ({"by": ["_id"]}, "destination.partition_by", "begins with a letter"),
    ({"kind": "csv", "url": "orders.csv"}, "destination.partition_by", "Only Parquet"),
    ({"url": "/"}, "destination.url", "Name the folder"),
    ({"url": ".versions-orders/x"}, "destination.url", "are ours"),
    ({"url": "../orders"}, "destination.url", "no .."),
    ({"mode": "update"}, "", "one Parquet file"),
)


def test_what_cannot_be_is_said_before_anything_is_read(server, table):
    imported(server, table)  # its columns are known by now
    for changes, at, words in REFUSED:
        answer = begin(server, table, **changes)
        assert answer.status_code == 422, changes
        [problem] = answer.json()["errors"]
        assert (problem["at"], words in problem["message"]) == (at, True), problem


def test_a_file_and_a_folder_do_not_take_each_others_place(world, server, table):
    imported(server, table, "a.parquet", by=[])
    answer = begin(server, table, "a.parquet")
    assert (answer.status_code, "another file or folder" in answer.text) == (422, True), answer.text
    imported(server, table, "b.parquet")
    for url in ("b.parquet", "b.parquet/inside.parquet"):
        assert begin(server, table, url, by=[]).status_code == 422
    assert server.api.get(f"/tables/{table}/latest.parquet").content.startswith(b"PAR1")


def test_too_many_folders_end_it_with_a_sentence(world, server, table):
    ended = wait_for_import(server, ok(begin(server, table, by=["id"]))["id"])
    assert (ended["status"], "more than 1,000 folders" in ended["error"]["message"]) == ("failed", True), ended
    assert ended["pages"] < 103
    assert not folder(world).exists()


def test_python_and_a_terminal_ask_for_folders_here_and_in_a_bucket(world, store, server, table, terminal):
    made(server, store)
    with keyturn.connect(server.url, token=TOKEN) as ws:
        run = ws.run_import("acme.orders", to="python", partition_by="status,placed_at:month").wait()
        assert run.found["destination"]["partition_by"] == BY
        assert counted(folder(world, "python")) == (ROWS,) * 3
        ws.run_import("acme.orders", to="Lake/orders", partition_by=["status"]).wait()
        listed = json.loads(store.read("tables/orders.manifest.json"))
        keys = {key for key in store.keys() if key.startswith("tables/orders/status=")}  # noqa: SIM118
        assert (listed["rows"], {f"tables/orders/{file['path']}" for file in listed["files"]}) == (ROWS, keys)
        schedule = ws.schedule("acme.orders", to="Lake/daily", partition_by=["status"])
        assert schedule.found["destination"]["partition_by"] == ["status"]
        with pytest.raises(Invalid, match="ending chooses"):
            ws.run_import("acme.orders", to="Lake/orders")
    terminal.environment = {"KEYTURN_URL": server.url, "KEYTURN_TOKEN": TOKEN}
    by = ("--partition-by", "status", "--partition-by", "placed_at:month")
    said = terminal.run("import", "acme.orders", "--on-server", "terminal/orders", *by)
    assert "→ terminal/orders, by status, placed_at:month" in said
    assert counted(folder(world, "terminal/orders")) == (ROWS,) * 3
    assert "--on-server" in terminal.run("import", "acme.orders", "--to", "orders.parquet", *by, code=2)
    terminal.run("schedules", "add", "acme.orders", "--to", "nightly", "--name", "Nightly", *by)
    assert "nightly by status, placed_at:month" in terminal.run("schedules", "show", "Nightly")


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_the_dialogs_ask_for_folders(world, server, table, look):
    imported(server, table, "known.parquet", by=[])
    page = look.page
    look.sign_in(server)
    page.goto(f"{server.url}/tables/{table}/import")
    page.get_by_label("File", exact=True).fill("orders")
    page.get_by_label("Partition by").fill("status, nothing")
    page.get_by_role("button", name="Start import").click()
    page.get_by_role("alert").wait_for()
    expect(page.get_by_text("There is no column nothing.").first).to_be_visible()
    look.at("70-partitioned-wrong")
    page.get_by_label("Partition by").fill("status, placed_at:month")
    page.get_by_role("button", name="Start import").click()
    page.get_by_role("heading", name="Complete").wait_for(timeout=60_000)
    expect(page.get_by_text("by status, placed_at:month")).to_be_visible()
    look.at("71-partitioned-complete")
    assert counted(folder(world)) == (ROWS,) * 3
    page.goto(f"{server.url}/tables/{table}/schedule")
    page.get_by_label("File", exact=True).fill("nightly")
    page.get_by_label("Partition by").fill("status")
    page.get_by_role("button", name="Save schedule").click()
    page.get_by_role("rowheader").get_by_role("link").click()
    expect(page.get_by_label("Partition by")).to_have_value("status")
    look.at("72-partitioned-schedule")
    page.get_by_label("Partition by").fill("")
    page.get_by_label("File", exact=True).fill("nightly.parquet")
    page.get_by_role("button", name="Save schedule").click()
    page.get_by_text("Saved.").wait_for()
    expect(page.get_by_label("Partition by")).to_have_value("")
    [found] = ok(server.api.get("/schedules"))["data"]
    assert found["destination"]["partition_by"] == []
