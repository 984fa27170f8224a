"""A partitioned folder on disk: one version or the other, and what former runs left can do no harm."""

from __future__ import annotations

import hashlib
import json

import pyarrow.dataset as ds
import pytest

from keyturn.columns.build import build
from keyturn.columns.schema import Column, Schema
from keyturn.destinations.destination import Left
from keyturn.destinations.partitioned.files import PartitionedFiles, manifest_at
from keyturn.destinations.table_file import Way
from keyturn.errors import Invalid

STAMP = {"rows": 2, "complete": True, "note": None}


def schema_of(**kinds: str) -> Schema:
    return Schema(tuple(Column(name, kind, f"$.{name}", note="pinned") for name, kind in kinds.items()))


SCHEMA = schema_of(id="int64", c="string")
OLD = [{"id": 1, "c": "DE"}, {"id": 2, "c": None}]
NEW = [{"id": 3, "c": "DE"}, {"id": 4, "c": "FR"}]


class Runs:
    """Runs of imports to one folder."""

    def __init__(self, folder) -> None:
        self.folder, self.target = folder, folder / "orders"
        self.made: list[PartitionedFiles] = []

    def run(self, *, id_="im_1", epoch=1, mode="replace", by=("c",)) -> PartitionedFiles:
        way = Way(mode=mode, partition_by=by)
        folder = self.folder / f".part-{id_}"
        self.made.append(PartitionedFiles(self.target, way, folder, run=f"{id_}-e{epoch}"))
        return self.made[-1]

    def landed(self, rows, schema=SCHEMA, **changes) -> PartitionedFiles:
        run = self.run(**changes)
        run.begin(Left())
        self.kept = run.land(run.add(build(schema, rows), schema), {"page": 1})
        return run

    def imported(self, rows, schema=SCHEMA, **changes):
        run = self.landed(rows, schema, **changes)
        ended = run.plan(schema, dict(STAMP), whole=True)
        run.settle()
        run.give_up()
        run.forget()
        return ended

    def rows(self, target=None, schema=SCHEMA) -> list[tuple]:
        hive = ds.partitioning(schema.only(["c"]).arrow, flavor="hive")
        table = ds.dataset(target or self.target, partitioning=hive, schema=schema.arrow).to_table()
        return sorted(tuple(row.values()) for row in table.to_pylist())


@pytest.fixture
def runs(tmp_path):
    found = Runs(tmp_path)
    yield found
    for run in found.made:
        run.give_up()


def tuples(*rows: dict) -> list[tuple]:
    return sorted(tuple(row.values()) for row in rows)


def test_replace_shows_the_one_or_the_other_and_append_adds_files_alone(runs):
    runs.imported(OLD)
    assert runs.rows() == tuples(*OLD)
    run = runs.landed(NEW, id_="im_2")
    run.plan(SCHEMA, dict(STAMP), whole=True)
    assert runs.rows() == tuples(*OLD)
    run.settle()
    assert runs.rows() == tuples(*NEW)
    kept = list(runs.target.rglob("*.parquet"))
    before = {path.relative_to(runs.target): path.stat().st_ino for path in kept}
    runs.imported(OLD, id_="im_3", mode="append")
    assert runs.rows() == tuples(*OLD, *NEW)
    assert all((runs.target / path).stat().st_ino == number for path, number in before.items())


def test_the_manifest_lists_every_file(runs):
    runs.imported(OLD)
    ended = runs.imported(NEW, id_="im_2", mode="append")
    path = manifest_at(runs.target)
    found = json.loads(path.read_bytes())
    assert (found["rows"], found["partition_by"], found["columns"]) == (4, ["c"], {"id": "int64", "c": "string"})
    there = {str(item.relative_to(runs.target)): item for item in runs.target.rglob("*") if item.is_file()}
    assert {item["path"] for item in found["files"]} == there.keys()
    for item in found["files"]:
        data = there[item["path"]].read_bytes()
        assert (item["bytes"], item["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert ended.files[0]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_version_before_stays_until_the_next_import_begins(runs):
    runs.imported(OLD)
    before = runs.target.resolve()
    runs.imported(NEW, id_="im_2")
    assert runs.rows(before) == tuples(*OLD)
    runs.landed(NEW, id_="im_3")
    assert not before.exists()
    assert [path.name for path in runs.folder.glob(".versions-orders/*.json")] == ["im_2-e1.json"]


def test_who_goes_on_after_a_crash_neither_loses_nor_doubles(runs):
    runs.imported(OLD)
    run = runs.landed(NEW, id_="im_2", mode="append")
    ended = run.plan(SCHEMA, dict(STAMP), whole=True)
    # Killed before the end: the pages are there, and the end is made again.
    later = runs.run(id_="im_2", epoch=2, mode="append")
    assert later.begin(Left(runs.kept, ended.files, ended.completeness)).read == {"page": 1}
    ended = later.plan(SCHEMA, dict(STAMP), whole=True)
    later.settle()
    # Killed behind it: it is in place, and not added again.
    again = runs.run(id_="im_2", epoch=3, mode="append").begin(Left(runs.kept, ended.files, ended.completeness))
    assert again.ended is not None
    assert runs.rows() == tuples(*OLD, *NEW)
    assert not (runs.folder / ".part-im_2").exists()


def test_a_late_process_puts_nothing_in_place(runs):
    runs.imported(OLD)
    late = runs.landed(NEW, id_="im_2")
    late.plan(SCHEMA, dict(STAMP), whole=True)
    later = runs.run(id_="im_2", epoch=2)
    later.begin(Left(runs.kept))
    with pytest.raises(FileNotFoundError):
        late.settle()
    assert runs.rows() == tuples(*OLD)
    later.plan(SCHEMA, dict(STAMP), whole=True)
    later.settle()
    assert runs.rows() == tuples(*NEW)


def test_what_is_incomplete_lies_beside(runs):
    runs.imported(OLD)
    run = runs.landed(NEW, id_="im_2")
    [file] = run.plan(SCHEMA, dict(STAMP), whole=False).files
    run.settle()
    assert file["name"] == "orders.incomplete.manifest.json"
    assert runs.rows() == tuples(*OLD)
    assert runs.rows(runs.folder / "orders.incomplete") == tuples(*NEW)


@pytest.mark.parametrize("there", ["file", "folder", "link"])
def test_what_others_put_there_is_not_touched(runs, there):
    {
        "file": lambda: runs.target.write_text("theirs"),
        "folder": runs.target.mkdir,
        "link": lambda: runs.target.symlink_to("elsewhere/orders"),
    }[there]()
    with pytest.raises(Invalid, match="another file or folder called orders"):
        runs.run().begin(Left())
    assert runs.target.is_symlink() or runs.target.exists()


def test_rows_that_readers_could_not_take_together_are_not_appended(runs):
    runs.imported(OLD)
    more = schema_of(id="int64", c="string", more="string")
    runs.imported([{"id": 3, "c": "DE", "more": "x"}], more, id_="im_2", mode="append")
    assert runs.rows(schema=more) == [(1, "DE", None), (2, None, None), (3, "DE", "x")]
    for schema, by, words in (
        (schema_of(id="string", c="string"), ("c",), "id is int64 in the folder and string now"),
        (SCHEMA, ("id",), "partitioned by c"),
    ):
        run = runs.landed([{"id": "4", "c": "DE"}] if by == ("c",) else NEW, schema, id_="im_3", mode="append", by=by)
        with pytest.raises(Invalid, match=words):
            run.plan(schema, dict(STAMP), whole=True)
    assert len(runs.rows(schema=more)) == 3


def test_a_disk_without_second_names_gets_copies(runs, monkeypatch):
    runs.imported(OLD)

    def refusing(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refusing)
    runs.imported(NEW, id_="im_2", mode="append")
    assert runs.rows() == tuples(*OLD, *NEW)


def test_too_many_folders_are_told_when_their_page_comes(runs):
    run = runs.landed([{"id": number, "c": str(number)} for number in range(1000)])
    with pytest.raises(Invalid, match="more than 1,000 folders"):
        run.add(build(SCHEMA, [{"id": 1, "c": "one more"}]), SCHEMA)
