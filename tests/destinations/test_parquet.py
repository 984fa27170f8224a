"""Parquet files as they are encoded: which columns have a dictionary, and that no encoding changes a value."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from keyturn.destinations.parquet import ParquetWriter, with_dictionary


def written(path: Path, *batches: pa.RecordBatch) -> pq.ParquetFile:
    writer = ParquetWriter(path, batches[0].schema)
    for batch in batches:
        writer.add(batch)
    writer.end({"rows": sum(map(len, batches))})
    return pq.ParquetFile(path)


def encodings(file: pq.ParquetFile) -> dict[str, bool]:
    """Whether each column of the first row group has a dictionary, by its path."""
    group = file.metadata.row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    return {column.path_in_schema: column.has_dictionary_page for column in columns}


def test_only_columns_whose_values_repeat_have_a_dictionary(tmp_path: Path) -> None:
    rows = pa.record_batch(
        {
            "id": list(range(3000)),
            "key": [f"k-{n}" for n in range(3000)],
            "country": ["DE", "FR", None] * 1000,
            "rare": [None] * 2999 + ["one"],
            "who.name": [f"n{n % 7}" for n in range(3000)],
            "who": [{"name": f"n{n}", "tags": ["a", "b"]} for n in range(3000)],
        }
    )
    found = encodings(written(tmp_path / "a.parquet", rows))
    assert {name for name, has in found.items() if not has} == {"id", "key"}
    assert "who.tags.list.element" in found


def test_a_file_without_rows_is_whole(tmp_path: Path) -> None:
    empty = pa.record_batch({"id": pa.array([], pa.int64()), "who": pa.array([], pa.struct([("a", pa.string())]))})
    file = written(tmp_path / "a.parquet", empty)
    assert file.read().schema.equals(empty.schema)
    assert file.metadata.metadata[b"keyturn.completeness"] == b'{"rows": 0}'


@settings(max_examples=60)
@given(
    rows=st.lists(
        st.fixed_dictionaries({"a": st.none() | st.integers(-3, 3), "b": st.none() | st.text(max_size=3)}),
        min_size=1,
        max_size=200,
    ),
    at=st.integers(0, 200),
)
def test_rows_that_come_back_are_those_that_were_written(tmp_path_factory, rows, at) -> None:  # type: ignore[no-untyped-def]
    schema = pa.schema([("a", pa.int64()), ("b", pa.string())])
    parts = [part for part in (rows[:at], rows[at:]) if part]
    path = tmp_path_factory.mktemp("parquet") / "a.parquet"
    assert written(path, *(pa.RecordBatch.from_pylist(part, schema) for part in parts)).read().to_pylist() == rows
    assert set(with_dictionary(pa.Table.from_pylist(rows, schema))) <= {"a", "b"}
