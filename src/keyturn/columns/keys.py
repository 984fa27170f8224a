"""Rows that come twice because the list moved while it was paged: found by their key among the rows just before."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute

# Its functions are made when it is imported, so type checkers see none of them.
pc: Any = pyarrow.compute
# A page shift repeats rows of the page before; this many rows back are remembered.
REMEMBERED_ROWS = 10_000


class Deduplicator:
    """Drops rows whose key was there within the last rows. Memory is bounded, so what is far back is not found."""

    def __init__(self, key: Sequence[str]) -> None:
        self._key = tuple(key)
        self._seen: deque[pa.Array] = deque()
        self.duplicates = 0

    def add(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch without the rows that were there already. Rows with a null in their key are kept."""
        if not self._has_key(batch):
            return batch
        names = self._names(batch)
        repeated = self._repeated(names)
        self._remember(names)
        if repeated is None:
            return batch
        kept = batch.filter(pc.invert(repeated))
        self.duplicates += batch.num_rows - kept.num_rows
        return kept

    def remember(self, batch: pa.RecordBatch) -> None:
        """Rows that were given out before, by an earlier part of the same read."""
        if self._has_key(batch):
            self._remember(self._names(batch))

    def _has_key(self, batch: pa.RecordBatch) -> bool:
        return bool(self._key and batch.num_rows and all(name in batch.schema.names for name in self._key))

    def _names(self, batch: pa.RecordBatch) -> pa.Array:
        arrays = [batch.column(name) for name in self._key]
        simple = (pa.types.is_integer, pa.types.is_string)
        if len(arrays) == 1 and any(test(arrays[0].type) for test in simple):
            return arrays[0]
        rows = zip(*(array.to_pylist() for array in arrays), strict=True)
        return pa.array([None if None in row else repr(row) for row in rows], pa.string())

    def _repeated(self, names: pa.Array) -> pa.Array | None:
        """A mask of the rows to drop, or None."""
        alike = [seen for seen in self._seen if seen.type == names.type]
        again = pc.is_in(names, value_set=pa.concat_arrays(alike), skip_nulls=True) if alike else None
        if pc.count_distinct(names).as_py() == len(names) - names.null_count:
            return again if again is not None and pc.any(again).as_py() else None
        before = again.to_pylist() if again is not None else [False] * len(names)
        here: set[object] = set()
        mask = []
        for name, was in zip(names.to_pylist(), before, strict=True):
            mask.append(was or (name is not None and name in here))
            here.add(name)
        return pa.array(mask, pa.bool_()) if any(mask) else None

    def _remember(self, names: pa.Array) -> None:
        self._seen.append(names)
        while sum(map(len, self._seen)) - len(self._seen[0]) >= REMEMBERED_ROWS:
            self._seen.popleft()
