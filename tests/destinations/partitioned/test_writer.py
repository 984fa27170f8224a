"""Rows in folders `column=value`: names as Hive and pyarrow write them, every row once, bounded, and read back."""

from __future__ import annotations

from datetime import UTC, date, datetime

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyturn.columns.schema import Column, Schema
from keyturn.destinations.partitioned import writer as module
from keyturn.destinations.partitioned.writer import MOST_PARTITIONS, PartitionedWriter
from keyturn.errors import Invalid
from keyturn.model.partitioning import by_of

SCHEMA = Schema(
    tuple(
        Column(name, kind, f"$.{name}")
        for name, kind in (
            ("id", "int64"), ("c", "string"), ("n", "int64"), ("b", "bool"), ("d", "date"), ("at", "timestamp"),
            ("tags", "list<string>"), ("f", "float64"),
        )
    )
)  # fmt: skip
STAMP = {"rows": 1, "complete": True}
AT = datetime(2026, 2, 3, 23, 59, tzinfo=UTC)


def batch(*rows: dict) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows), schema=SCHEMA.arrow)


def write(folder, by: str, *batches: pa.RecordBatch, schema: Schema = SCHEMA):
    folder.mkdir(exist_ok=True)
    made = PartitionedWriter(
        folder / "t", folder / "piles", [by_of(text) for text in by.split(",")], schema, "x.parquet"
    )
    for item in batches:
        made.add(item)
    return made.end(STAMP)


VALUES = ["DE", "a/b", "ä =%&", "", None, ".x", "..", "007", "a\\b", "new\nline", "x" * 60]


def test_names_are_those_that_pyarrow_writes(tmp_path):
    rows = batch(*({"id": number, "c": value} for number, value in enumerate(VALUES)))
    write(tmp_path, "c", rows)
    table = pa.Table.from_batches([rows]).select(["id", "c"])
    hive = ds.partitioning(pa.schema([("c", pa.string())]), flavor="hive")
    ds.write_dataset(table, tmp_path / "theirs", format="parquet", partitioning=hive)
    ours, theirs = ({path.name for path in (tmp_path / name).iterdir()} for name in ("t", "theirs"))
    assert ours == theirs


def read_by_all(folder) -> list[list[tuple]]:
    """(id, c) as three engines read them."""
    hive = ds.partitioning(pa.schema([("c", pa.string())]), flavor="hive")
    arrow = ds.dataset(folder, partitioning=hive).to_table(columns=["id", "c"])
    pattern = f"{folder}/**/*.parquet"
    duck = duckdb.sql(
        f"select id, c from read_parquet('{pattern}', hive_partitioning=true, hive_types={{'c': 'varchar'}})"
    )
    polars = pl.scan_parquet(folder, hive_partitioning=True, hive_schema={"c": pl.String}).select("id", "c")
    return [
        sorted(rows)
        for rows in (
            [tuple(row.values()) for row in arrow.to_pylist()],
            duck.fetchall(),
            polars.collect().rows(),
        )
    ]


def test_three_engines_read_every_row_with_its_value(tmp_path):
    rows = batch(*({"id": number, "c": value} for number, value in enumerate(VALUES)))
    files = write(tmp_path, "c", rows)
    assert sum(file.rows for file in files) == len(VALUES)
    expected = list(enumerate(VALUES))
    for found in read_by_all(tmp_path / "t"):
        assert found == expected


@given(st.lists(st.lists(st.text(max_size=4) | st.none(), max_size=9), max_size=5), st.integers(1, 400))
@settings(max_examples=25, deadline=None)
def test_every_row_is_there_once_in_its_folder(tmp_path_factory, pages, gathered_bytes):
    folder = tmp_path_factory.mktemp("rows")
    numbers = iter(range(1000))
    rows = [[{"id": next(numbers), "c": value, "tags": ["t"]} for value in page] for page in pages]
    before, module._GATHERED_BYTES = module._GATHERED_BYTES, gathered_bytes
    try:
        write(folder, "c", *(batch(*page) for page in rows))
    finally:
        module._GATHERED_BYTES = before
    hive = ds.partitioning(pa.schema([("c", pa.string())]), flavor="hive")
    found = ds.dataset(folder / "t", partitioning=hive, schema=SCHEMA.arrow).to_table(columns=["id", "c", "tags"])
    assert sorted(found.to_pylist(), key=lambda row: row["id"]) == [row for page in rows for row in page]
    assert not (folder / "piles").exists()


def test_a_file_has_its_types_its_stamp_and_the_order_of_the_rows(tmp_path):
    files = write(tmp_path, "c", batch({"id": 2, "c": "x", "at": AT}, {"id": 1, "c": "x"}), batch({"id": 0, "c": "x"}))
    [file] = files
    path = tmp_path / "t" / file.path
    assert pq.read_schema(path).names == [name for name in SCHEMA.arrow.names if name != "c"]
    assert pq.ParquetFile(path).read(["id"])["id"].to_pylist() == [2, 1, 0]
    assert b"keyturn.completeness" in pq.read_metadata(path).metadata
    assert path.stat().st_size == file.bytes


def test_numbers_truths_dates_and_stretches_of_time_name_folders(tmp_path):
    row = {"id": 1, "c": "a", "n": -5, "b": True, "d": date(2026, 1, 2), "at": AT}
    for by, name in (
        ("n", "n=-5"), ("b", "b=true"), ("d", "d=2026-01-02"), ("d:year", "d_year=2026"), ("at:day", "at_day=2026-02-03"),
        ("at:month", "at_month=2026-02"), ("at:year,c", "at_year=2026/c=a"),
    ):  # fmt: skip
        [file] = write(tmp_path / name.replace("/", "+"), by, batch(row))
        assert file.path == f"{name}/x.parquet"


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("at", "Say at:day"),
        ("f", "f is float64"),
        ("tags", "tags is list"),
        ("gone", "no column gone"),
        ("c:day", "no day"),
    ],
)
def test_columns_that_name_no_folders_are_refused(tmp_path, by, words):
    with pytest.raises(Invalid, match=words) as caught:
        write(tmp_path, by, batch({"id": 1}))
    assert caught.value.problems[0].at == "destination.partition_by"


def test_files_keep_a_column(tmp_path):
    with pytest.raises(Invalid, match="has to be left"):
        write(tmp_path, "c", schema=Schema((Column("c", "string", "$.c"),)))


def test_too_many_folders_are_refused(tmp_path):
    rows = [{"id": number, "n": number} for number in range(MOST_PARTITIONS)]
    assert len(write(tmp_path / "most", "n", batch(*rows))) == MOST_PARTITIONS
    with pytest.raises(Invalid, match=r"more than 1,000 folders"):
        write(tmp_path / "more", "n", batch(*rows), batch({"id": -1, "n": -1}))


def test_a_value_that_is_no_name_is_refused(tmp_path):
    with pytest.raises(Invalid, match="too long"):
        write(tmp_path, "c", batch({"id": 1, "c": "ä" * 60}))
