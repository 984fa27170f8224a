"""Rows that come to rows that are there, in Parquet and DuckDB files: every value is what it was, whatever meets."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keyturn.columns.build import build
from keyturn.columns.schema import infer, widen
from keyturn.columns.write import cast_batch
from keyturn.destinations.table_file import TableFile, Way
from keyturn.errors import Invalid

FILES = pytest.mark.parametrize("format_", ["parquet", "duckdb"])
STAMP = {"rows": 1, "complete": True}
VALUES: dict[str, Any] = {
    "whole": 7,
    "beyond a double": 9007199254740993,
    "beyond 64 bits": 123456789012345678901,
    "fraction": 7.5,
    "truth": True,
    "text": "x",
    "number in text": "7.5",
    "day": "2024-01-02",
    "instant": "2024-01-02T03:04:05.678Z",
    "list": [1, 2],
    "list of fractions": [1.5],
    "list of texts": ["a"],
    "list of objects": [{"a": 1}],
    "list of other objects": [{"b": "x"}],
    "list of anything": [1, {"a": 1}],
    "null": None,
}


def write(path: Path, way: Way, rows: list[Any], schema=None) -> None:
    found = schema or infer(rows)
    file = TableFile(path, way, path.parent / ".part-x")
    file.add(build(found, rows, []), found)
    file.finish(found, STAMP)


def rows_of(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.sql("from rows").to_arrow_table().to_pylist()


@FILES
def test_columns_that_widened_hold_old_values_and_new_ones_as_one_import_would(tmp_path, format_):
    """A column for each pair of values. The oracle is what an import makes whose columns widen in the middle."""
    pairs = list(itertools.product(VALUES.values(), repeat=2))
    old, new = ([{f"c{n}": pair[place] for n, pair in enumerate(pairs)}] for place in (0, 1))
    path = tmp_path / f"t.{format_}"
    schema = infer(old)
    wider = widen(schema, new)
    write(path, Way(format_, "append"), old, schema)
    write(path, Way(format_, "append"), new, wider)
    expected = [*cast_batch(build(schema, old, []), wider).to_pylist(), *build(wider, new, []).to_pylist()]
    found = rows_of(path)
    for name, pair in zip(expected[0], pairs, strict=True):
        assert [row[name] for row in found] == [row[name] for row in expected], pair


@FILES
def test_columns_learned_apart_round_no_number_and_lose_none(tmp_path, format_):
    numbers = [7, 9007199254740993, 123456789012345678901, 7.5, 0.1, "007", -(2**63)]
    pairs = list(itertools.permutations(numbers, 2))
    path = tmp_path / f"t.{format_}"
    for place in (0, 1):
        write(path, Way(format_, "append"), [{f"c{n}": pair[place] for n, pair in enumerate(pairs)}])
    first, second = rows_of(path)
    for (a, b), *found in zip(pairs, first.values(), second.values(), strict=True):
        assert found in ([a, b], [str(a), str(b)]), (a, b, found)


@FILES
def test_a_row_with_a_null_in_its_key_is_like_no_other_and_takes_none_away(tmp_path, format_):
    path = tmp_path / f"t.{format_}"
    way = Way(format_, "update", key=("id",))
    write(path, way, [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}, {"id": None, "v": "n"}])
    write(path, way, [{"id": 2, "v": "B"}, {"id": None, "v": "m"}])
    found = {(row["id"], row["v"]) for row in rows_of(path)}
    assert found == {(1, "a"), (2, "B"), (None, "n"), (None, "m")}


@FILES
def test_a_key_of_two_columns_with_a_null_is_like_no_other(tmp_path, format_):
    path = tmp_path / f"t.{format_}"
    way = Way(format_, "update", key=("a", "b"))
    write(path, way, [{"a": 1, "b": 1, "v": "a"}, {"a": 2, "b": None, "v": "b"}])
    write(path, way, [{"a": 1, "b": 1, "v": "A"}, {"a": 2, "b": None, "v": "B"}, {"a": 1, "b": 2, "v": "c"}])
    found = sorted((tuple(row.values()) for row in rows_of(path)), key=str)
    assert found == [(1, 1, "A"), (1, 2, "c"), (2, None, "B"), (2, None, "b")]


@FILES
def test_of_rows_that_came_with_one_key_the_last_counts(tmp_path, format_):
    path = tmp_path / f"t.{format_}"
    way = Way(format_, "update", key=("id",))
    for rows in ([(1, "a"), (2, "b"), (1, "c")], [(2, "d"), (3, "e"), (2, "f"), (3, "g")]):
        write(path, way, [{"id": key, "v": value} for key, value in rows])
    assert sorted(tuple(row.values()) for row in rows_of(path)) == [(1, "c"), (2, "f"), (3, "g")]
    if format_ == "parquet":
        assert b"keyturn.completeness" in pq.read_metadata(path).metadata


@FILES
def test_a_key_whose_type_widened_still_finds_its_rows(tmp_path, format_):
    path = tmp_path / f"t.{format_}"
    way = Way(format_, "update", key=("id",))
    write(path, way, [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}])
    write(path, way, [{"id": 2, "v": "B"}, {"id": "x-3", "v": "c"}])
    assert sorted(tuple(row.values()) for row in rows_of(path)) == [("1", "a"), ("2", "B"), ("x-3", "c")]


@pytest.mark.parametrize("mode", ["append", "update"])
def test_columns_that_differ_by_case_alone_keep_their_names_in_parquet(tmp_path, mode):
    path = tmp_path / "t.parquet"
    way = Way("parquet", mode, key=("ID",))
    write(path, way, [{"id": 1, "ID": 10, "Id": "x", "l": [{"a": 1, "A": 2}]}])
    write(path, way, [{"id": 2, "ID": 10, "Id": "y", "l": [{"a": 3, "A": 4}]}])
    new = {"id": 2, "ID": 10, "Id": "y", "l": [{"a": 3, "A": 4}]}
    old = {"id": 1, "ID": 10, "Id": "x", "l": [{"a": 1, "A": 2}]}
    assert rows_of(path) == ([old, new] if mode == "append" else [new])


def test_a_key_that_differs_from_another_column_by_case_finds_its_rows_in_duckdb(tmp_path):
    path = tmp_path / "t.duckdb"
    for value in (1, 2):
        write(path, Way("duckdb", "update", key=("ID",)), [{"id": value, "ID": 10}])
    # DuckDB tells no names apart by case.
    assert rows_of(path) == [{"id": 2, "ID_1": 10}]


def test_a_table_whose_name_differs_by_case_is_added_to(tmp_path):
    path = tmp_path / "t.duckdb"
    write(path, Way("duckdb", "append", table="Rows"), [{"id": 1}])
    write(path, Way("duckdb", "append", table="rows"), [{"id": 2}])
    assert rows_of(path) == [{"id": 1}, {"id": 2}]


def test_json_of_a_table_that_a_former_version_made_stays_json(tmp_path):
    path = tmp_path / "t.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("""create table rows as select 1 as n, '{"a":1}' as v""")
    write(path, Way("duckdb", "append"), [{"n": 7.5, "v": {"a": 1}}, {"n": 1.5, "v": 5}])
    assert rows_of(path) == [{"n": 1.0, "v": '{"a":1}'}, {"n": 7.5, "v": '{"a":1}'}, {"n": 1.5, "v": "5"}]


@FILES
def test_a_column_of_somebodys_own_type_is_left_alone_or_refused(tmp_path, format_):
    path = tmp_path / f"t.{format_}"
    if format_ == "duckdb":
        with duckdb.connect(str(path)) as connection:
            connection.execute("create table rows as select 1::integer as id, time '01:02:03' as t")
    else:
        pq.write_table(pa.table({"id": pa.array([1], pa.int32()), "t": pa.array([3723], pa.time32("s"))}), path)
    write(path, Way(format_, "append"), [{"id": 2}])
    assert [row["id"] for row in rows_of(path)] == [1, 2]
    before = path.read_bytes()
    with pytest.raises(Invalid, match="Choose Replace, or another file") as caught:
        write(path, Way(format_, "append"), [{"id": 3, "t": "x"}])
    assert caught.value.problems[0].at == "mode"
    assert path.read_bytes() == before
