"""Objects of a bucket as a destination, on each kind of store: ends, fences, uploads called off, and its errors in words."""

from __future__ import annotations

import contextlib
import csv
import io
import json

import duckdb
import pyarrow.parquet as pq
import pytest

from keyturn.columns.build import build
from keyturn.columns.schema import Column, Schema
from keyturn.destinations.destination import Away, Fenced, Left
from keyturn.destinations.objects import Changed, ObjectDestination, abandon, destinations_in, try_out
from keyturn.destinations.table_file import Way
from keyturn.errors import Invalid, UpstreamError
from keyturn.wire import Request, Response

STAMP = {"rows": 2, "complete": True, "note": None}
IDS = Schema(tuple(Column(name, kind, f"$.{name}", note="pinned") for name, kind in (("id", "int64"), ("n", "string"))))


class Runs:
    """Runs of imports to one store, each with a folder of its own here."""

    def __init__(self, store, folder) -> None:
        self.store, self.folder = store, folder

    def run(
        self, key="tables/orders.parquet", *, id_="im_1", epoch=1, mode="replace", bucket=None
    ) -> ObjectDestination:
        way = Way(key.rpartition(".")[2], mode, ("id",))
        there = bucket or self.store.opened()
        return ObjectDestination(there, key, way, self.folder / id_, run=f"{id_}-e{epoch}", destination_id="ds_1")

    def landed(self, rows, key="tables/orders.parquet", **changes) -> ObjectDestination:
        run = self.run(key, **changes)
        run.begin(Left())
        run.land(run.add(build(IDS, rows), IDS), {"page": 1})
        return run

    def imported(self, rows, key="tables/orders.parquet", **changes):
        run = self.landed(rows, key, **changes)
        ended = run.plan(IDS, dict(STAMP), whole=True)
        run.settle()
        run.give_up()
        run.forget()
        return ended


@pytest.fixture
def store(any_store):
    return any_store


@pytest.fixture
def runs(store, tmp_path):
    return Runs(store, tmp_path)


def found(store, key="tables/orders.parquet") -> list[tuple]:
    data = store.read(key)
    if key.endswith("parquet"):
        return [tuple(row.values()) for row in pq.read_table(io.BytesIO(data)).to_pylist()]
    if key.endswith("csv"):
        return [tuple(row) for row in csv.reader(io.StringIO(data.decode()))]
    return [tuple(json.loads(line).values()) for line in data.splitlines()]


OLD = [{"id": 1, "n": "one"}, {"id": 2, "n": "=two"}]
NEW = [{"id": 2, "n": "new"}, {"id": 3, "n": "three"}]


def test_each_format_arrives_and_has_the_hash_that_is_told(store, runs):
    for ending, rows in (
        ("parquet", [(1, "one"), (2, "=two")]),
        ("csv", [("id", "n"), ("1", "one"), ("2", "'=two")]),
        ("ndjson", [(1, "one"), (2, "=two")]),
    ):
        ended = runs.imported(OLD, f"tables/orders.{ending}", id_=ending)
        assert found(store, f"tables/orders.{ending}") == rows
        assert (ended.files[0]["bytes"], ended.files[0]["sha256"]) == store.told(f"tables/orders.{ending}")
    assert not any(runs.folder.iterdir())
    assert store.uploads() == []


def test_a_duckdb_file_keeps_its_other_tables(store, runs, tmp_path):
    before = tmp_path / "before.duckdb"
    with duckdb.connect(str(before)) as db:
        db.execute("create table other as select 1 as x")
    store.write("all.duckdb", before.read_bytes())
    runs.imported(OLD, "all.duckdb")
    after = tmp_path / "after.duckdb"
    after.write_bytes(store.read("all.duckdb"))
    with duckdb.connect(str(after)) as db:
        assert db.execute("select x from other").fetchall() == [(1,)]
        assert len(db.execute("select * from rows").fetchall()) == 2


@pytest.mark.parametrize("ending", ["parquet", "ndjson"])
def test_append_adds_and_what_is_there_stays_until_the_last_request(store, runs, ending):
    key = f"tables/orders.{ending}"
    runs.imported(OLD, key)
    run = runs.landed(NEW, key, id_="im_2", mode="append")
    run.plan(IDS, dict(STAMP), whole=True)
    assert found(store, key) == [(1, "one"), (2, "=two")]
    run.settle()
    assert found(store, key) == [(1, "one"), (2, "=two"), (2, "new"), (3, "three")]


def test_update_writes_over_rows_of_the_same_key(store, runs):
    runs.imported(OLD)
    runs.imported(NEW, mode="update", id_="im_2")
    assert sorted(found(store)) == [(1, "one"), (2, "new"), (3, "three")]


def test_an_object_of_many_parts_is_whole(store, runs, monkeypatch):
    monkeypatch.setattr("keyturn.destinations.objects.uploads._PART_BYTES", 5 << 20)
    rows = [{"id": number, "n": f"{number:0500}"} for number in range(30_000)]
    run = runs.landed(rows, "big.ndjson")
    run.plan(IDS, dict(STAMP), whole=True)
    parts = run._planned.upload.parts
    run.settle()
    assert len(parts) == 3
    assert [row[0] for row in found(store, "big.ndjson")] == list(range(30_000))


def test_an_incomplete_read_leaves_the_object_and_has_a_name_of_its_own(store, runs):
    runs.imported(OLD)
    run = runs.landed(NEW, id_="im_2")
    run.plan(IDS, {**STAMP, "complete": False}, whole=False)
    run.settle()
    assert found(store) == [(1, "one"), (2, "=two")]
    assert found(store, "tables/orders.incomplete.parquet") == [(2, "new"), (3, "three")]


def test_who_goes_on_calls_the_upload_before_off_and_a_late_end_finds_it_gone(store, runs):
    late = runs.landed(OLD)
    late.plan(IDS, dict(STAMP), whole=True)
    assert store.uploads() == store.staged("tables/orders.parquet")
    next_ = runs.run(epoch=2)
    next_.begin(Left())
    assert store.uploads() == []
    with pytest.raises(Fenced):
        late.settle()
    assert store.keys() == []


def test_what_a_crash_left_after_the_last_request_is_not_done_twice(store, runs):
    runs.imported(OLD)
    run = runs.landed(NEW, id_="im_2", mode="append")
    planned = run.plan(IDS, dict(STAMP), whole=True)
    run.settle()
    begun = runs.run(id_="im_2", epoch=2, mode="append").begin(Left({}, planned.files, dict(STAMP)))
    assert begun.ended == planned
    assert len(found(store)) == 4


def test_pages_that_landed_are_there_for_the_next_run(store, runs):
    run = runs.run()
    run.begin(Left())
    kept = run.land(run.add(build(IDS, OLD), IDS), {"page": 1})
    run.add(build(IDS, NEW), IDS)
    run.give_up()
    again = runs.run(epoch=2)
    assert again.begin(Left(kept)).read == {"page": 1}
    again.land(again.add(build(IDS, NEW), IDS), {"page": 2})
    again.plan(IDS, dict(STAMP), whole=True)
    again.settle()
    assert found(store) == [(1, "one"), (2, "=two"), (2, "new"), (3, "three")]


@pytest.mark.parametrize(("there", "mode"), [(True, "append"), (False, "append"), (False, "replace")])
@pytest.mark.parametrize("when", ["before the plan", "after the plan", "after the end"])
def test_whenever_a_late_process_sends_its_last_request_the_rows_are_there_once(
    store, runs, when, there, mode, monkeypatch
):
    monkeypatch.setattr("keyturn.destinations.objects.s3.requests.TRIES", 1)
    if there:
        runs.imported(OLD)
    late = runs.run(id_="im_2", mode=mode)
    late.begin(Left())
    kept = late.land(late.add(build(IDS, NEW), IDS), {"page": 1})
    late.plan(IDS, dict(STAMP), whole=True)
    upload, came = late._planned.upload, []

    def is_time(now: str) -> None:
        # It looked whether it is still the one, and was held up until now.
        if now == when and not came:
            came.append(now)
            # Away: moto answers 500 for an upload that was called off.
            with contextlib.suppress(Changed, Away):
                late._uploads.end(upload)

    for epoch in (2, 3):
        run = runs.run(id_="im_2", epoch=epoch, mode=mode)
        run.begin(Left(kept))
        is_time("before the plan")
        run.plan(IDS, dict(STAMP), whole=True)
        is_time("after the plan")
        try:
            run.settle()
        except Away:
            run.give_up()
        else:
            break
    is_time("after the end")
    assert came == [when]
    assert found(store) == [*((1, "one"), (2, "=two")) * (there and mode == "append"), (2, "new"), (3, "three")]


@pytest.mark.parametrize("there", [True, False])
def test_rows_are_not_added_to_an_object_that_somebody_else_changed(store, runs, there):
    if there:
        runs.imported(OLD)
    run = runs.landed(NEW, mode="append", id_="im_2")
    run.plan(IDS, dict(STAMP), whole=True)
    store.write("tables/orders.parquet", b"theirs")
    with pytest.raises(Away, match="changed by somebody else"):
        run.settle()
    assert store.read("tables/orders.parquet") == b"theirs"


def test_an_answer_that_was_lost_is_no_second_end(store, runs):
    run = runs.landed(OLD)
    run.plan(IDS, dict(STAMP), whole=True)
    upload = run._planned.upload
    run._uploads.end(upload)
    run.settle()
    assert len(found(store)) == 2


def test_a_run_that_gives_up_calls_its_upload_off(store, runs):
    run = runs.landed(OLD)
    run.plan(IDS, dict(STAMP), whole=True)
    run.give_up()
    assert (store.uploads(), store.keys()) == ([], [])


def test_an_upload_that_could_not_be_called_off_is_when_the_store_is_back(store, runs):
    run = runs.landed(OLD)
    run.plan(IDS, dict(STAMP), whole=True)
    store.relay.cut()
    run.give_up()
    folder = runs.folder / "im_1"
    assert destinations_in(folder) == {"ds_1"}
    bucket = store.opened()
    with pytest.raises(Away, match="not reachable"):
        abandon(bucket, folder, "ds_1")
    store.relay.mend()
    abandon(bucket, folder, "ds_other")
    assert store.uploads() == store.staged("tables/orders.parquet")
    abandon(bucket, folder, "ds_1")
    assert (store.uploads(), destinations_in(folder)) == ([], set())


def test_a_store_that_is_away_is_away_at_every_step(store, runs):
    run = runs.landed(OLD)
    store.relay.cut()
    with pytest.raises(Away, match="not reachable"):
        runs.run(id_="im_2").begin(Left())
    with pytest.raises(Away, match="not reachable"):
        run.plan(IDS, dict(STAMP), whole=True)
    store.relay.mend()
    run = runs.landed(OLD, id_="im_3")
    run.plan(IDS, dict(STAMP), whole=True)
    store.relay.cut()
    with pytest.raises(Away, match="not reachable"):
        run.settle()


def test_the_test_writes_reads_and_deletes(store):
    assert store.bucket in try_out(store.opened(), "tables/")
    assert (store.keys(), store.uploads()) == ([], [])


def test_a_bucket_that_is_not_there_is_said_before_a_page_is_read(store, runs):
    with pytest.raises(Invalid, match=f"There is no {store.opened().word} not-there"):
        runs.run(bucket=store.opened(bucket="not-there")).begin(Left())
    with pytest.raises(Invalid, match=f"There is no {store.opened().word} not-there"):
        try_out(store.opened(bucket="not-there"), "tables/")


def test_who_may_not_list_write_or_delete_is_told(store, runs):
    with pytest.raises(Invalid, match="does not let"):
        runs.run(bucket=store.opened(without="list")).begin(Left())
    with pytest.raises(Invalid, match="does not let"):
        try_out(store.opened(without=store.writing), "")
    with pytest.raises(Invalid, match=f"Allow {store.opened().right_to_delete}"):
        try_out(store.opened(without="delete"), "")
    runs.imported(OLD, bucket=store.opened(without="delete"))


def test_no_secret_is_in_a_repr(store):
    assert store.secret not in f"{store.opened()!r} {vars(store.opened())!r}"


def test_a_host_that_the_guard_refuses_is_not_tried_again(store):
    asked = []

    def refusing(request: Request) -> Response:
        asked.append(request.url)
        raise UpstreamError("Blocked.", message_code="E-BLOCKED", sent=False)

    with pytest.raises(UpstreamError, match="Blocked"):
        store.opened(send=refusing).reach("")
    assert len(asked) == 1
