"""A table's rows as a stream of bytes in one of four formats. What fails before the first row fails before the body."""

from __future__ import annotations

import asyncio
import tempfile
import zipfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from keyturn.columns.schema import Schema
from keyturn.destinations.streams import FORMATS, SchemaMoved, encoder, schema_message
from keyturn.destinations.table_file import TableFile, Way
from keyturn.errors import IncompleteData, Invalid
from keyturn.model.messages import say
from keyturn.services import partitions, reads, tables
from keyturn.services.context import Context
from keyturn.services.endpoints import EVERYTHING, Asked
from keyturn.services.reads import Batch, Part, TableRead

EVERY_PART = "*"
ZIP_TYPE = "application/zip"
ARROW_TYPE = FORMATS["arrow"]
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class RowStream:
    """Bytes to come, of `media_type`; the stamp can be asked for by `read_id` afterwards.

    `close` ends the read: whoever takes this calls it at the end, also if no chunk was asked for.
    """

    read_id: str
    media_type: str
    chunks: AsyncGenerator[bytes]
    close: Callable[[], Awaitable[None]]


async def begin(
    ctx: Context,
    table_id: str,
    *,
    format: str,
    limit: int | None = None,
    columns: Sequence[str] | None = None,
    partition: str | None = None,
    asked: Asked = EVERYTHING,
    part: str | None = None,
) -> RowStream:
    """Start a read and wait for its first page, so that its errors are answers and not broken bodies.

    `part` is a child table of the relational model, or EVERY_PART. `columns` leaves all others out. Raises `Invalid`
    for one that the table does not have, or a partition that is none.
    """
    if format not in FORMATS:
        raise Invalid(f"Formats are {', '.join(FORMATS)}.", at="format")
    if partition is not None and limit is not None:
        raise Invalid("A partition is read whole. Leave out limit.", at="limit")
    if partition is not None:
        read = await partitions.begin(ctx, table_id, partition, columns=columns, asked=asked)
    else:
        read = await reads.begin(ctx, table_id, limit=limit, columns=columns, asked=asked)
    batches = read.batches() if columns is None else _only(read.batches(), tuple(dict.fromkeys(columns)))
    if part == EVERY_PART:
        if format != "parquet" or columns is not None:
            raise Invalid("All parts come as Parquet files in one ZIP. Use format=parquet, without columns.", at="part")
        return RowStream(read.id, ZIP_TYPE, _zipped(ctx, read, await anext(batches, None), batches), batches.aclose)
    if part is not None:
        batches = _part(batches, part)
    first = await anext(batches, None)
    chunks = _parquet(ctx, read, first, batches) if format == "parquet" else _encoded(read, format, first, batches)
    return RowStream(read.id, FORMATS[format], chunks, batches.aclose)


async def schema(ctx: Context, table_id: str, *, asked: Asked = EVERYTHING) -> bytes:
    """A table's columns as an Arrow schema in IPC form, learned from the endpoint if that was not done yet."""
    table = await tables.get(ctx, table_id)
    if table.columns is None:
        table = await tables.refresh_schema(ctx, table_id, asked=asked)
    return schema_message(reads.schema_of(table) or Schema(()))


async def _only(batches: AsyncGenerator[Batch], columns: tuple[str, ...]) -> AsyncGenerator[Batch]:
    async with aclosing(batches):
        async for batch in batches:
            try:
                schema = batch.schema.only(columns)
            except KeyError as missing:
                raise Invalid(f"This table has no column {missing.args[0]}.", at="columns") from None
            yield replace(batch, data=batch.data.select(columns), schema=schema)


async def _part(batches: AsyncGenerator[Batch], name: str) -> AsyncGenerator[Batch]:
    """The rows of one child table."""
    async with aclosing(batches):
        async for batch in batches:
            child = batch.children.get(name)
            if child is not None:
                yield replace(batch, data=child.data, schema=child.schema)


async def _encoded(
    read: TableRead, format: str, first: Batch | None, batches: AsyncGenerator[Batch]
) -> AsyncGenerator[bytes]:
    encode = encoder(format)
    schema = read.schema or Schema(())
    async for batch in _from(first, batches):
        schema = batch.schema
        try:
            yield await asyncio.to_thread(encode.add, batch.data, batch.schema)
        except SchemaMoved:
            # The wider schema is stored when the read closes, so the next read begins with it.
            failure = _moved(batch)
            read.give_up(failure)
            await batches.aclose()
            raise failure from None
    yield encode.end(schema, read.completeness.as_dict())


async def _parquet(
    ctx: Context, read: TableRead, first: Batch | None, batches: AsyncGenerator[Batch]
) -> AsyncGenerator[bytes]:
    """A Parquet file has its schema at its end, so it is whole on disk before its first byte goes out."""
    folder = ctx.deployment.data_dir / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        file = TableFile(Path(place) / "rows.parquet", Way(), Path(place) / "pages")
        schema = read.schema or Schema(())
        async for batch in _from(first, batches):
            schema = batch.schema
            await asyncio.to_thread(file.add, batch.data, batch.schema)
        stamp = read.completeness.as_dict()
        written = await asyncio.to_thread(file.finish, schema, stamp)
        with written.path.open("rb") as source:
            while chunk := await asyncio.to_thread(source.read, _CHUNK_BYTES):
                yield chunk


async def _zipped(
    ctx: Context, read: TableRead, first: Batch | None, batches: AsyncGenerator[Batch]
) -> AsyncGenerator[bytes]:
    """The table and its child tables, a Parquet file each, all of one fetch; each has the stamp."""
    folder = ctx.deployment.data_dir / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        files: dict[str, tuple[TableFile, Schema]] = {}

        def add(name: str, part: Part | Batch) -> None:
            number = len(files)
            path = Path(place) / f"{number}.parquet"
            file = files[name][0] if name in files else TableFile(path, Way(), Path(place) / f"pages{number}")
            files[name] = file, part.schema
            file.add(part.data, part.schema)

        async for batch in _from(first, batches):
            await asyncio.to_thread(add, read.table.name, batch)
            for name, part in batch.children.items():
                await asyncio.to_thread(add, f"{read.table.name}_{name.replace('.', '_')}", part)
        stamp = read.completeness.as_dict()
        whole = Path(place) / "parts.zip"
        with zipfile.ZipFile(whole, "w") as archive:
            for name, (file, schema) in files.items():
                written = await asyncio.to_thread(file.finish, schema, stamp)
                await asyncio.to_thread(archive.write, written.path, f"{name}.parquet")
        with whole.open("rb") as source:
            while chunk := await asyncio.to_thread(source.read, _CHUNK_BYTES):
                yield chunk


async def _from(first: Batch | None, rest: AsyncGenerator[Batch]) -> AsyncGenerator[Batch]:
    if first is not None:
        yield first
    async for batch in rest:
        yield batch


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
