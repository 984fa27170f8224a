"""The highest value of a column, over batches."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from keyturn.columns.marks import highest

TIMES = pa.timestamp("us", "UTC")


@pytest.mark.parametrize(
    ("values", "kind", "before", "found"),
    [
        ([datetime(2026, 3, 1, tzinfo=UTC), None], TIMES, None, "2026-03-01T00:00:00Z"),
        ([datetime(2026, 3, 1, tzinfo=UTC)], TIMES, "2026-03-01T00:00:00.000001Z", "2026-03-01T00:00:00.000001Z"),
        ([date(2026, 3, 1)], pa.date32(), "2026-02-28", "2026-03-01"),
        ([5, 2**60], pa.int64(), 7, 2**60),
        ([None], pa.int64(), 7, 7),
        (["b"], pa.string(), "a", "a"),
        ([], pa.int64(), None, None),
    ],
)
def test_the_mark_only_rises(values, kind, before, found):
    batch = pa.RecordBatch.from_arrays([pa.array(values, kind)], names=["at"])
    assert highest(batch, "at", before) == found


def test_a_column_that_is_not_there_leaves_it():
    assert highest(pa.RecordBatch.from_pylist([{"id": 1}]), "at", "2026-01-01") == "2026-01-01"
