"""A table's rows as a stream of bytes in one of four formats. What fails before the first row fails before the body."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from keyturn.columns.schema import Schema
from keyturn.destinations.parquet import ParquetFile
from keyturn.destinations.streams import FORMATS, SchemaMoved, encoder
from keyturn.errors import IncompleteData, Invalid
from keyturn.model.messages import say
from keyturn.services import reads
from keyturn.services.context import Context
from keyturn.services.reads import Batch, TableRead

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class RowStream:
    """Bytes to come, of `media_type`; the stamp can be asked for by `read_id` afterwards."""

    read_id: str
    media_type: str
    chunks: AsyncIterator[bytes]


async def begin(ctx: Context, table_id: str, *, format: str, limit: int | None) -> RowStream:
    """Start a read and wait for its first page, so that its errors are answers and not broken bodies."""
    if format not in FORMATS:
        raise Invalid(f"Formats are {', '.join(FORMATS)}.", at="format")
    read = await reads.begin(ctx, table_id, limit=limit)
    batches = read.batches()
    first = await anext(batches, None)
    chunks = _parquet(ctx, read, first, batches) if format == "parquet" else _encoded(read, format, first, batches)
    return RowStream(read.id, FORMATS[format], chunks)


async def _encoded(
    read: TableRead, format: str, first: Batch | None, batches: AsyncIterator[Batch]
) -> AsyncIterator[bytes]:
    encode = encoder(format)
    async for batch in _from(first, batches):
        try:
            yield await asyncio.to_thread(encode.add, batch.data, batch.schema)
        except SchemaMoved:
            # The wider schema is stored when the read closes, so the next read begins with it.
            await _closed(batches)
            raise _moved(batch) from None
    yield encode.end(read.schema or Schema(()), read.completeness.as_dict())


async def _parquet(
    ctx: Context, read: TableRead, first: Batch | None, batches: AsyncIterator[Batch]
) -> AsyncIterator[bytes]:
    """A Parquet file has its schema at its end, so it is whole on disk before its first byte goes out."""
    folder = ctx.deployment.data_dir / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        file = ParquetFile(Path(place) / "rows.parquet")
        async for batch in _from(first, batches):
            await asyncio.to_thread(file.add, batch.data, batch.schema)
        stamp = read.completeness.as_dict()
        written = await asyncio.to_thread(file.finish, read.schema or Schema(()), stamp)
        with written.path.open("rb") as source:
            while chunk := await asyncio.to_thread(source.read, _CHUNK_BYTES):
                yield chunk


async def _from(first: Batch | None, rest: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
    if first is not None:
        yield first
    async for batch in rest:
        yield batch


async def _closed(batches: AsyncIterator[Batch]) -> None:
    close = getattr(batches, "aclose", None)
    if close is not None:
        await close()


def _moved(batch: Batch) -> IncompleteData:
    misfit = batch.widened_by
    return IncompleteData(
        say(
            "E-SCHEMA",
            column=misfit.column if misfit else "a column",
            row=misfit.row_number if misfit else "?",
            kind=misfit.value_kind if misfit else "a new column",
            type="its type so far",
        ),
        message_code="E-SCHEMA",
    )
