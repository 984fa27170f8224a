"""Where other tools' records go: one Parquet file, in groups, the schema that of the first."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_GROUP_ROWS = 50_000


class ParquetFile:
    """Takes one record at a time; `end` says how many there were."""

    def __init__(self, path: str) -> None:
        self._path, self._group, self._rows = path, [], 0
        self._writer: pq.ParquetWriter | None = None

    def add(self, record: dict[str, Any]) -> None:
        self._group.append(record)
        self._rows += 1
        if len(self._group) == _GROUP_ROWS:
            self._flush()

    def end(self) -> None:
        if self._group:
            self._flush()
        if self._writer is not None:
            self._writer.close()
        print(json.dumps({"rows": self._rows}))

    def _flush(self) -> None:
        table = pa.Table.from_pylist(self._group, schema=self._writer.schema if self._writer else None)
        self._writer = self._writer or pq.ParquetWriter(self._path, table.schema, compression="zstd")
        self._writer.write_table(table)
        self._group = []
