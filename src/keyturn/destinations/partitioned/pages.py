"""What partitioned folders share, wherever they are: pages in a journal, files made of them, and their manifest."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pyarrow as pa

from keyturn.columns.schema import Schema
from keyturn.destinations.destination import Values
from keyturn.destinations.journal import Segment, remove_folder
from keyturn.destinations.journaled import Journaled
from keyturn.destinations.partitioned.manifest import Manifest, PartFile, added_to, columns_of
from keyturn.destinations.partitioned.writer import PartitionedWriter, Partitions
from keyturn.destinations.table_file import Way
from keyturn.model.partitioning import by_of, check


class PartitionedPages(Journaled):
    """The half of the port that makes files. `run` names them, so that two runs never write the same one."""

    def __init__(self, way: Way, folder: Path, *, run: str) -> None:
        super().__init__(way, folder)
        self._run = run
        self._by = tuple(map(by_of, way.partition_by))
        self._seen = Partitions(self._by)

    def add(self, batch: pa.RecordBatch, schema: Schema) -> tuple[Segment, ...]:
        """Append to the journal. Raises `Invalid` as soon as there are too many partitions, not at the end."""
        # A column may still be missing, or turn into another type; whether it will do is seen at the end.
        with contextlib.suppress(ValueError):
            check(self._by, {column.name: column.kind.word for column in schema.columns})
            self._seen.of(batch)
        return super().add(batch, schema)

    @property
    def _short_run(self) -> str:
        return self._run.rpartition("-")[2]

    def _files(self, schema: Schema, completeness: Values, into: Path) -> list[PartFile]:
        """Every row in files below `into`."""
        remove_folder(into)
        self._folder.mkdir(exist_ok=True)
        piles = self._folder / f"{self._short_run}-piles"
        remove_folder(piles)
        writer = PartitionedWriter(into, piles, self._by, schema, f"{self._run}.parquet")
        for batch in self._open.batches(schema):
            writer.add(batch)
        return writer.end(completeness)

    def _manifest(
        self, schema: Schema, completeness: Values, files: list[PartFile], before: Manifest | None
    ) -> Manifest:
        columns = columns_of(schema)
        if before is not None and self._way.mode == "append":
            files = added_to(before, files, columns, self._way.partition_by)
            columns = {**before.columns, **columns}
        return Manifest(self._run, self._way.partition_by, columns, completeness, tuple(files))
