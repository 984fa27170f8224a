"""Rows that came again are dropped by key and counted; nothing else is."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.columns.keys import REMEMBERED_ROWS, Deduplicator


def batch(ids, **more):
    return pa.RecordBatch.from_pydict({"id": ids, **more})


@given(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=8), max_size=8))
def test_each_key_is_given_out_once(given_pages):
    found = Deduplicator(["id"])
    out = [value for page in given_pages for value in found.add(batch(page)).column("id").to_pylist()]
    every = [value for page in given_pages for value in page]
    assert out == list(dict.fromkeys(every))
    assert found.duplicates == len(every) - len(out)


def test_a_key_of_two_columns_is_their_pair():
    found = Deduplicator(["id", "day"])
    assert found.add(batch([1, 1, 2], day=["a", "b", "a"])).num_rows == 3
    assert found.add(batch([1, 2], day=["b", "b"])).to_pylist() == [{"id": 2, "day": "b"}]


@pytest.mark.parametrize("key", [[], ["gone"]])
def test_without_a_key_every_row_stays(key):
    assert Deduplicator(key).add(batch([1, 1])).num_rows == 2


def test_rows_without_a_key_value_stay():
    found = Deduplicator(["id"])
    assert found.add(batch([None, None, 1])).num_rows == 3
    assert found.add(batch([None, 1])).num_rows == 1


def test_memory_is_bounded():
    found = Deduplicator(["id"])
    for start in range(0, 10 * REMEMBERED_ROWS, 1000):
        found.add(batch(list(range(start, start + 1000))))
    assert sum(map(len, found._seen)) <= REMEMBERED_ROWS + 1000


def test_a_key_that_changes_its_type_in_the_middle_is_still_compared_with_its_like():
    found = Deduplicator(["id"])
    found.add(batch([1, 2]))
    assert found.add(batch(["1", "3"])).num_rows == 2
    assert found.add(batch(["3", "4"])).num_rows == 1
