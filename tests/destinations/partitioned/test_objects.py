"""A partitioned folder of a bucket, on each kind of store: the manifest is the one switch, and nothing is left beside it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keyturn.columns.build import build
from keyturn.columns.schema import Column, Schema
from keyturn.destinations.destination import Away, Fenced, Left
from keyturn.destinations.objects import Bucket, Changed, abandon
from keyturn.destinations.partitioned.objects import PartitionedObjects
from keyturn.destinations.table_file import Way
from keyturn.errors import Invalid

STAMP = {"rows": 2, "complete": True, "note": None}
SCHEMA = Schema(
    tuple(Column(name, kind, f"$.{name}", note="pinned") for name, kind in (("id", "int64"), ("c", "string")))
)
OLD = [{"id": 1, "c": "DE"}, {"id": 2, "c": None}]
NEW = [{"id": 3, "c": "a/b"}, {"id": 4, "c": "DE"}]
KEY = "tables/orders"
MANIFEST = f"{KEY}.manifest.json"


class Runs:
    """Runs of imports to one store, each with a folder of its own here."""

    def __init__(self, store, folder) -> None:
        self.store, self.folder = store, folder
        self.made: list[PartitionedObjects] = []

    def bucket(self, **changes) -> Bucket:
        return self.store.opened(**changes)

    def run(self, *, id_="im_1", epoch=1, mode="replace", **changes) -> PartitionedObjects:
        way, folder = Way(mode=mode, partition_by=("c",)), self.folder / id_
        run = f"{id_}-e{epoch}"
        self.made.append(PartitionedObjects(self.bucket(**changes), KEY, way, folder, run=run, destination_id="ds_1"))
        return self.made[-1]

    def landed(self, rows, **changes) -> PartitionedObjects:
        run = self.run(**changes)
        run.begin(Left())
        self.kept = run.land(run.add(build(SCHEMA, rows), SCHEMA), {"page": 1})
        return run

    def planned(self, rows, **changes):
        run = self.landed(rows, **changes)
        return run, run.plan(SCHEMA, dict(STAMP), whole=True)

    def imported(self, rows, **changes) -> None:
        run, _ = self.planned(rows, **changes)
        run.settle()
        run.give_up()
        run.forget()

    def rows(self, manifest=MANIFEST) -> list[tuple]:
        """As the manifest lists them."""
        found = []
        listed = json.loads(self.store.read(manifest))
        for item in listed["files"]:
            data = self.store.read(f"{manifest.removesuffix('.manifest.json')}/{item['path']}")
            assert (len(data), hashlib.sha256(data).hexdigest()) == (item["bytes"], item["sha256"])
            found += [
                (row["id"], item["path"].partition("/")[0]) for row in pq.read_table(io.BytesIO(data)).to_pylist()
            ]
        assert listed["rows"] == len(found)
        return sorted(found)

    def unlisted(self) -> set[str]:
        """Objects that no manifest lists."""
        keys = {*self.store.keys()}
        for manifest in [key for key in keys if key.endswith(".manifest.json")]:
            top = manifest.removesuffix(".manifest.json")
            listed = json.loads(self.store.read(manifest))["files"]
            keys -= {manifest, *(f"{top}/{item['path']}" for item in listed)}
        return keys


@pytest.fixture
def store(any_store):
    return any_store


@pytest.fixture
def runs(store, tmp_path):
    found = Runs(store, tmp_path)
    yield found
    for run in found.made:
        run.give_up()


_OLD = [(1, "c=DE"), (2, "c=__HIVE_DEFAULT_PARTITION__")]
_NEW = [(3, "c=a%2Fb"), (4, "c=DE")]


def test_replace_switches_by_the_manifest_and_removes_what_was_replaced(store, runs):
    runs.imported(OLD)
    run, ended = runs.planned(NEW, id_="im_2")
    assert runs.rows() == _OLD
    run.settle()
    assert runs.rows() == _NEW
    assert (runs.unlisted(), store.uploads()) == (set(), [])
    assert ended.files[0]["sha256"] == hashlib.sha256(store.read(MANIFEST)).hexdigest()
    run.give_up()
    run.forget()
    assert not any(runs.folder.iterdir())


def test_append_adds_objects_and_leaves_those_there(store, runs):
    runs.imported(OLD)
    before = {key: store.read(key) for key in {*store.keys()} if key != MANIFEST}
    runs.imported(NEW, id_="im_2", mode="append")
    assert runs.rows() == sorted(_OLD + _NEW)
    assert all(store.read(key) == data for key, data in before.items())


def test_who_goes_on_after_a_crash_clears_away_what_was_put(store, runs):
    runs.imported(OLD)
    runs.planned(NEW, id_="im_2")  # killed
    assert runs.unlisted()
    runs.run(id_="im_2", epoch=2).begin(Left(runs.kept))
    assert (runs.rows(), runs.unlisted(), store.uploads()) == (_OLD, set(), [])


def test_an_end_that_nobody_saw_is_found_and_what_it_replaced_is_removed(store, runs):
    runs.imported(OLD)
    run, ended = runs.planned(NEW, id_="im_2", mode="append")
    upload = run._planned.upload
    run._uploads.end(upload)  # killed
    begun = runs.run(id_="im_2", epoch=2, mode="append").begin(Left(runs.kept, ended.files, ended.completeness))
    assert begun.ended is not None
    assert (runs.rows(), runs.unlisted()) == (sorted(_OLD + _NEW), set())
    run, ended = runs.planned(OLD, id_="im_3")
    upload = run._planned.upload
    run._uploads.end(upload)  # killed: what it replaced is still there
    assert runs.unlisted()
    assert runs.run(id_="im_3", epoch=2).begin(Left(runs.kept, ended.files, ended.completeness)).ended is not None
    assert (runs.rows(), runs.unlisted()) == (_OLD, set())


def test_an_answer_that_was_lost_is_no_second_end(runs):
    run, _ = runs.planned(NEW)
    upload = run._planned.upload
    run._uploads.end(upload)
    run.settle()
    assert runs.rows() == _NEW


def test_a_late_process_puts_nothing_in_place(store, runs):
    runs.imported(OLD)
    late, _ = runs.planned(NEW, id_="im_2")
    later = runs.run(id_="im_2", epoch=2)
    later.begin(Left(runs.kept))
    with pytest.raises(Fenced):
        late.settle()
    assert runs.rows() == _OLD
    later.plan(SCHEMA, dict(STAMP), whole=True)
    later.settle()
    assert (runs.rows(), runs.unlisted()) == (_NEW, set())


@pytest.mark.parametrize(("there", "mode"), [(True, "replace"), (False, "append")])
@pytest.mark.parametrize("when", ["before the plan", "after the plan", "after the end"])
def test_whenever_a_late_manifest_comes_all_that_one_lists_is_there_and_nothing_else(
    store, runs, when, there, mode, monkeypatch
):
    monkeypatch.setattr("keyturn.destinations.objects.s3.requests.TRIES", 1)
    if there:
        runs.imported(OLD)
    late, _ = runs.planned(NEW, id_="im_2", mode=mode)
    upload, came = late._planned.upload, []

    def is_time(now: str) -> None:
        if now == when and not came:
            came.append(now)
            # Away: moto answers 500 for an upload that was called off.
            with contextlib.suppress(Changed, Away):
                late._uploads.end(upload)

    for epoch in (2, 3):
        run = runs.run(id_="im_2", epoch=epoch, mode=mode)
        run.begin(Left(runs.kept))
        is_time("before the plan")
        run.plan(SCHEMA, dict(STAMP), whole=True)
        is_time("after the plan")
        try:
            run.settle()
        except Away:
            run.give_up()
        else:
            break
    is_time("after the end")
    assert came == [when]
    assert (runs.rows(), runs.unlisted()) == (sorted([*_OLD * (there and mode == "append"), *_NEW]), set())


def test_a_process_that_lost_its_import_in_the_middle_stops_and_clears_away(store, runs, monkeypatch):
    late = runs.landed(NEW)
    kind = type(store.opened())
    put = kind.put

    def taken_over(bucket, key, *rest) -> None:
        put(bucket, key, *rest)
        if key.endswith("im_1-e1.parquet"):
            runs.run(epoch=2).begin(Left(runs.kept))

    monkeypatch.setattr(kind, "put", taken_over)
    with pytest.raises((Fenced, FileNotFoundError)):
        late.plan(SCHEMA, dict(STAMP), whole=True)
    assert (store.keys(), store.uploads()) == ([], [])


def test_a_run_that_gives_up_leaves_what_a_later_one_or_tidying_clears_away(store, runs):
    run, _ = runs.planned(NEW)
    run.give_up()
    assert store.uploads() == []
    abandon(runs.bucket(), runs.folder / "im_1", "ds_other")
    assert runs.unlisted()
    abandon(runs.bucket(), runs.folder / "im_1", "ds_1")
    assert store.keys() == []


def test_a_folder_that_somebody_else_changed_is_made_anew(store, runs):
    runs.imported(OLD)
    run, _ = runs.planned(NEW, id_="im_2", mode="append")
    runs.imported(OLD, id_="im_3", mode="append")
    with pytest.raises(Away, match="changed by somebody else"):
        run.settle()
    assert runs.rows() == sorted(_OLD + _OLD)


def test_a_store_that_is_away_is_away_at_every_step_and_nothing_is_left(store, runs):
    runs.imported(OLD)
    run = runs.landed(NEW, id_="im_2")
    store.relay.cut()
    with pytest.raises(Away, match="not reachable"):
        run.plan(SCHEMA, dict(STAMP), whole=True)
    store.relay.mend()
    later = runs.run(id_="im_2", epoch=2)
    later.begin(Left(runs.kept))
    later.plan(SCHEMA, dict(STAMP), whole=True)
    store.relay.cut()
    with pytest.raises(Away, match="not reachable"):
        later.settle()
    store.relay.mend()
    last = runs.run(id_="im_2", epoch=3)
    last.begin(Left(runs.kept))
    last.plan(SCHEMA, dict(STAMP), whole=True)
    last.settle()
    assert (runs.rows(), runs.unlisted(), store.uploads()) == (_NEW, set(), [])


def test_large_files_go_in_parts(store, runs, monkeypatch):
    monkeypatch.setattr("keyturn.destinations.objects.uploads._PART_BYTES", 5 << 20)
    chance, count = random.Random(1), 1_000_000
    run = runs.run()
    run.begin(Left())
    ids = pa.array([chance.getrandbits(62) for _ in range(count)])
    batch = pa.RecordBatch.from_arrays([ids, pa.array(["DE"] * count)], schema=SCHEMA.arrow)
    run.land(run.add(batch, SCHEMA), {"page": 1})
    run.plan(SCHEMA, dict(STAMP), whole=True)
    run.settle()
    assert (len(runs.rows()), store.uploads()) == (count, [])
    assert len([*runs.folder.rglob("*-upload.json")]) == 1


def test_what_is_incomplete_lies_beside(store, runs):
    runs.imported(OLD)
    run = runs.landed(NEW, id_="im_2")
    run.plan(SCHEMA, dict(STAMP), whole=False)
    run.settle()
    assert (runs.rows(), runs.rows(f"{KEY}.incomplete.manifest.json")) == (_OLD, _NEW)
    assert runs.unlisted() == set()


def test_who_may_not_delete_is_told_before_a_page_is_read(store, runs):
    with pytest.raises(Invalid, match=f"needs {store.opened().right_to_delete} too"):
        runs.run(without="delete").begin(Left())


def test_a_manifest_of_somebody_else_is_left_alone(store, runs):
    store.write(MANIFEST, b'{"version": 7}')
    run = runs.landed(NEW)
    with pytest.raises(Invalid, match="none of ours"):
        run.plan(SCHEMA, dict(STAMP), whole=True)
    assert store.read(MANIFEST) == b'{"version": 7}'
