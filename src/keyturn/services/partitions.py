"""Partitions: stretches of a table's pages that can be read side by side, for engines with many readers.

Nothing is stored: a partition's id says which pages it is, so any replica reads it, again too. The last one is open at
its end, so that rows that were added meanwhile are not missed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from keyturn.errors import Invalid
from keyturn.model.tables import Table
from keyturn.rest.checkpoints import Checkpoint, packed
from keyturn.rest.paginators import integer
from keyturn.rest.reader import Page, Reader
from keyturn.rest.rows import at_path, parse_body
from keyturn.services import connections, readers, reads, tables
from keyturn.services.context import Context, check_limit
from keyturn.services.endpoints import EVERYTHING, Asked
from keyturn.services.reads import TableRead
from keyturn.wire import Headers

_ID = re.compile(r"(?P<first>[1-9][0-9]{0,8})-(?P<last>[1-9][0-9]{0,8}|end)x(?P<rows>[1-9][0-9]{0,6})")
_WHOLE_ID = "all"


@dataclass(frozen=True, slots=True)
class Partition:
    """Pages `first_page` to `last_page` (None: to the end) of `page_rows` rows each; page 1 is the first."""

    first_page: int = 1
    last_page: int | None = None
    page_rows: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether it is the table."""
        return self.first_page == 1 and self.last_page is None

    @property
    def id(self) -> str:
        """What it is asked for by."""
        return _WHOLE_ID if self.is_whole else f"{self.first_page}-{self.last_page or 'end'}x{self.page_rows}"

    @classmethod
    def of(cls, partition_id: str) -> Partition:
        """The partition of that id. Raises `Invalid`."""
        if partition_id == _WHOLE_ID:
            return cls()
        found = _ID.fullmatch(partition_id)
        last = None if found is None or found["last"] == "end" else int(found["last"])
        if found is None or (last is not None and last < int(found["first"])):
            raise Invalid("This is no partition of a table. Take an id as it was answered.", at="partition")
        return cls(int(found["first"]), last, int(found["rows"]))


async def split(
    ctx: Context, table_id: str, *, at_most: int | None = None, asked: Asked = EVERYTHING
) -> list[Partition]:
    """At most so many stretches of about the same length; one where each page only names the next, no
    total is told, or it is read for each row of a parent.

    Asks for the first page, which says how many there are.
    """
    at_most = check_limit(at_most, most=1000, default=8)
    table, reader = await _reader(ctx, table_id, asked)
    if reader is None:
        return [Partition()]
    pages = size = 0
    if reader.endpoint.pagination.behind(reader.endpoint.request, pages=0, rows=0) is not None:
        async with aclosing(reader.pages()) as found:
            async for page in found:
                size, pages = page.count, _pages(table, page)
                break
    if pages <= 1 or not size:
        return [Partition()]
    share = -(-pages // at_most)
    firsts = range(1, pages + 1, share)
    return [Partition(first, first + share - 1 if first + share <= pages else None, size) for first in firsts]


async def begin(
    ctx: Context,
    table_id: str,
    partition_id: str,
    *,
    columns: Sequence[str] | None = None,
    asked: Asked = EVERYTHING,
) -> TableRead:
    """A read of one partition. Its stamp counts its own rows; its verdict is about its own pages.

    Raises `Invalid` for an id that is none, or whose table is paged otherwise by now.
    """
    part = Partition.of(partition_id)
    if part.is_whole:
        return await reads.begin(ctx, table_id, columns=columns, asked=asked)
    _, reader = await _reader(ctx, table_id, asked)
    if reader is None:
        raise Invalid("A table with a parent is one partition. Ask for its partitions again.", at="partition")
    endpoint, skipped = reader.endpoint, (part.first_page - 1) * part.page_rows
    first = endpoint.pagination.behind(
        endpoint.pagination.first(endpoint.request), pages=part.first_page - 1, rows=skipped
    )
    if first is None:
        raise Invalid("The pages of this table are asked for in another way by now. Ask for its partitions again.",
                      at="partition")  # fmt: skip
    point = Checkpoint(
        endpoint=endpoint.name,
        next_request=packed(replace(first, headers=Headers())),
        pages=part.first_page - 1,
        rows=skipped,
    )
    limit = None if part.last_page is None else part.last_page * part.page_rows
    read = await reads.begin(ctx, table_id, limit=limit, columns=columns, resume_from=point, asked=asked)
    read.counts_from(pages=part.first_page - 1, rows=skipped)
    return read


async def _reader(ctx: Context, table_id: str, asked: Asked) -> tuple[Table, Reader | None]:
    """The table, and the reader of its endpoint; None where it is read for each row of a parent."""
    ctx.require("tables:read")
    table = await tables.get(ctx, table_id)
    connection = await connections.get(ctx, table.settings.connection_id)
    connections.require_use(ctx, connection)
    reader = readers.reader_of(ctx, connection, table.settings, asked=asked) if table.settings.parent is None else None
    return table, reader if isinstance(reader, Reader) else None


def _pages(table: Table, page: Page) -> int:
    """How many pages there are in all, as far as the first one tells; 0 if it does not."""
    if page.reported_total is not None:
        return -(-page.reported_total // page.count) if page.count else 0
    path = getattr(table.settings.pagination, "total_pages_path", None)
    return (integer(at_path(parse_body(page.response, table.settings.format), path)) or 0) if path else 0
