"""Files of every format and mode: whole or not there, and what was there before stays until then."""

from __future__ import annotations

import csv
import io
import json
import random
import resource
import weakref
from datetime import UTC, datetime
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyturn.columns.schema import Column, Schema
from keyturn.destinations import parquet
from keyturn.destinations.table_file import TableFile, Way
from keyturn.errors import Invalid
from keyturn.room import Room

SCHEMA = Schema(
    (
        Column("id", "int64", "$.id"),
        Column("name", "string", "$.name"),
        Column("total", "decimal(10,2)", "$.total"),
        Column("at", "timestamp", "$.at"),
    )
)
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STAMP = {"rows": 2, "complete": True}


def rows(*pairs: tuple[int, str | None]) -> pa.RecordBatch:
    made = [{"id": number, "name": name, "total": Decimal("1.50"), "at": AT} for number, name in pairs]
    return pa.RecordBatch.from_pylist(made, schema=SCHEMA.arrow)


def write(path, way: Way, *batches: pa.RecordBatch, schema: Schema = SCHEMA) -> TableFile:
    file = TableFile(path, way, path.parent / ".part-x")
    for batch in batches:
        file.add(batch, schema)
    file.finish(schema, STAMP)
    return file


def found(path, format_: str) -> list[tuple]:
    if format_ == "parquet":
        return [tuple(row.values()) for row in pq.read_table(path, columns=["id", "name"]).to_pylist()]
    if format_ == "csv":
        text = io.StringIO(path.read_bytes().decode(), newline="")
        return [(int(row["id"]), row["name"] or None) for row in csv.DictReader(text)]
    if format_ == "ndjson":
        return [(row["id"], row["name"]) for row in map(json.loads, path.read_text().splitlines())]
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.sql("select id, name from rows order by all").fetchall()


@pytest.mark.parametrize("format_", ["parquet", "csv", "ndjson", "duckdb"])
@pytest.mark.parametrize("mode", ["replace", "append", "update"])
def test_each_mode_of_each_format(tmp_path, format_, mode):
    path = tmp_path / f"t.{format_}"
    if mode == "update" and format_ in {"csv", "ndjson"}:
        return
    way = Way(format_, mode, key=("id",))
    write(path, way, rows((1, "a"), (2, "b")))
    write(path, way, rows((2, "B"), (3, None)))
    expected = {
        "replace": [(2, "B"), (3, None)],
        "append": [(1, "a"), (2, "b"), (2, "B"), (3, None)],
        "update": [(1, "a"), (2, "B"), (3, None)],
    }[mode]
    assert sorted(found(path, format_), key=str) == sorted(expected, key=str)
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_types_survive_parquet_append_and_duckdb(tmp_path):
    path = tmp_path / "t.parquet"
    for _ in range(2):
        write(path, Way("parquet", "append"), rows((1, "a")))
    assert pq.read_schema(path).field("total").type == pa.decimal128(10, 2)
    assert pq.read_table(path).column("at").to_pylist() == [AT, AT]
    assert json.loads(pq.read_metadata(path).metadata[b"keyturn.completeness"]) == STAMP
    write(tmp_path / "t.duckdb", Way("duckdb"), rows((1, "a")))
    with duckdb.connect(str(tmp_path / "t.duckdb"), read_only=True) as connection:
        kinds = {name: kind for name, kind, *_ in connection.sql("describe rows").fetchall()}
    assert (kinds["id"], kinds["total"]) == ("BIGINT", "DECIMAL(10,2)")


WIDER = Schema((*SCHEMA.columns, Column("more", "string", "$.more")))


@pytest.mark.parametrize("format_", ["parquet", "duckdb"])
def test_a_new_column_widens_what_is_there(tmp_path, format_):
    path = tmp_path / f"t.{format_}"
    write(path, Way(format_, "append"), rows((1, "a")))
    batch = pa.RecordBatch.from_pylist([{"id": 2, "more": "x"}], schema=WIDER.arrow)
    write(path, Way(format_, "append"), batch, schema=WIDER)
    assert sorted(found(path, format_), key=str) == [(1, "a"), (2, None)]


def test_what_does_not_fit_is_refused_and_the_old_file_stays(tmp_path):
    path = tmp_path / "t.csv"
    write(path, Way("csv", "append"), rows((1, "a")))
    before = path.read_bytes()
    other = Schema((Column("id", "string", "$.id"), Column("x", "string", "$.x")))
    batch = pa.RecordBatch.from_pylist([{"id": "no number", "x": "y"}], schema=other.arrow)
    with pytest.raises(Invalid) as caught:
        write(path, Way("csv", "append"), batch, schema=other)
    assert caught.value.problems[0].at == "mode"
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_other_tables_of_a_duckdb_file_stay(tmp_path):
    path = tmp_path / "t.duckdb"
    write(path, Way("duckdb", table="first"), rows((1, "a")))
    write(path, Way("duckdb", table="second"), rows((2, "b")))
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.sql("show tables").fetchall() == [("first",), ("second",)]


FORMULAS = ["=1+1", "+cmd", "-2+3", "@x", "\tx", "\rx"]


def test_n6_formulas_are_disarmed_and_counted_and_numbers_are_not(tmp_path):
    path = tmp_path / "t.csv"
    names = [*FORMULAS, "-5", "+1.5", "plain", "a=b"]
    file = write(path, Way("csv"), rows(*enumerate(names)))
    assert file.cells_changed == len(FORMULAS)
    text = [row["name"] for row in csv.DictReader(io.StringIO(path.read_bytes().decode(), newline=""))]
    assert text == [*("'" + name for name in FORMULAS), "-5", "+1.5", "plain", "a=b"]
    off = write(path, Way("csv", neutralise_formulas=False), rows(*enumerate(names)))
    assert off.cells_changed == 0


@given(st.lists(st.tuples(st.integers(0, 20), st.text(max_size=5) | st.none()), max_size=12), st.data())
@settings(max_examples=25)
def test_updates_are_what_a_dictionary_would_do(tmp_path_factory, pairs, data):
    path = tmp_path_factory.mktemp("update") / "t.parquet"
    expected: dict[int, str | None] = {}
    for _ in range(3):
        chosen = dict(data.draw(st.lists(st.sampled_from(pairs or [(1, "x")]), max_size=6)))
        write(path, Way("parquet", "update", key=("id",)), rows(*chosen.items()))
        expected |= chosen
    assert dict(found(path, "parquet")) == expected


def test_a_discarded_file_leaves_nothing(tmp_path):
    file = TableFile(tmp_path / "t.csv", Way("csv"), tmp_path / ".part-x")
    file.add(rows((1, "a")), SCHEMA)
    file.discard()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def no_room(monkeypatch):
    monkeypatch.setattr(parquet, "_waiting", Room(0))


@pytest.mark.usefixtures("no_room")
def test_pages_that_wait_for_their_row_group_are_on_disk_and_not_in_memory_where_there_is_no_room(tmp_path):
    file = TableFile(tmp_path / "a.parquet", Way("parquet", "replace"), tmp_path / ".part-x")
    pages = [rows(*((number, "x") for number in range(start, start + 1000))) for start in range(0, 70_000, 1000)]
    while pages:
        batch = pages.pop(0)
        file.add(batch, SCHEMA)
        kept = weakref.ref(batch)
        del batch
        assert kept() is None
    file.finish(SCHEMA, STAMP)
    assert pq.read_metadata(tmp_path / "a.parquet").num_row_groups == 3
    assert pq.read_table(tmp_path / "a.parquet").column("id").to_pylist() == list(range(70_000))


@pytest.mark.parametrize("end", ["finish", "discard", "close"])
def test_room_for_pages_that_wait_in_memory_is_given_back(tmp_path, monkeypatch, end):
    size = rows(*((number, "x") for number in range(1000))).get_total_buffer_size()
    room = Room(10 * size)
    monkeypatch.setattr(parquet, "_waiting", room)
    file = TableFile(tmp_path / "a.parquet", Way("parquet", "replace"), tmp_path / ".part-x")
    for start in range(0, 40_000, 1000):
        file.add(rows(*((number, "x") for number in range(start, start + 1000))), SCHEMA)
        assert room.used_bytes <= 10 * size
    assert room.used_bytes > 0
    if end == "finish":
        file.finish(SCHEMA, STAMP)
        assert pq.read_table(tmp_path / "a.parquet").column("id").to_pylist() == list(range(40_000))
    elif end == "discard":
        file.discard()
    else:
        file.close()
    assert room.used_bytes == 0


@pytest.mark.usefixtures("no_room")
def test_where_pages_were_cleared_away_that_wait_for_their_row_group_none_is_made_up(tmp_path):
    file = TableFile(tmp_path / "a.parquet", Way("parquet", "replace"), tmp_path / ".part-x")
    file.add(rows((1, "a")), SCHEMA)
    for path in (tmp_path / ".part-x").glob("*.arrow"):
        path.unlink()
    with pytest.raises(OSError, match="No such file"):
        file.finish(SCHEMA, STAMP)
    assert not (tmp_path / "a.parquet").exists()


def test_where_only_the_pages_have_room_the_file_is_made_of_them_at_the_end(tmp_path):
    # Two pages that cannot be packed, each a row group; the second lies in a segment of its own, and so fits.
    schema = Schema((Column("id", "int64", "$.id"),))
    chance, count = random.Random(1), 33_000
    wanted = [[chance.getrandbits(63) for _ in range(count)] for _ in range(2)]
    first, second = (pa.RecordBatch.from_pydict({"id": numbers}, schema=schema.arrow) for numbers in wanted)
    file = TableFile(tmp_path / "a.parquet", Way("parquet", "replace"), tmp_path / ".part-x")
    file.add(first, schema)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        with pytest.raises(OSError, match="too large"):
            file.add(second, schema)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8 * count * 3 // 2, hard))
        file.add(second, schema)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    file.finish(schema, STAMP)
    assert pq.read_table(tmp_path / "a.parquet").column("id").to_pylist() == wanted[0] + wanted[1]
