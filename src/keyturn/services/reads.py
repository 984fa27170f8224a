"""Reading a table: pages become typed batches, the schema learns, and every read ends with its stamp on record."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from keyturn.columns.build import Misfit, Reject
from keyturn.columns.infer import NOTE_UNSEEN
from keyturn.columns.keys import Deduplicator
from keyturn.columns.marks import can_mark, highest
from keyturn.columns.pages import PageTyper, Typed, as_values
from keyturn.columns.schema import Column, Schema
from keyturn.columns.shapes import MAIN, Shaped, Shaper
from keyturn.columns.twice import said_twice
from keyturn.errors import Invalid, KeyturnError, NotFound
from keyturn.model.connections import Connection
from keyturn.model.estimates import LastRead
from keyturn.model.ids import new_id
from keyturn.model.messages import say
from keyturn.model.tables import Table
from keyturn.services import connections, parents, readers, schema_changes, tables
from keyturn.services.context import Context
from keyturn.services.destination_threads import in_typing_thread
from keyturn.services.endpoints import EVERYTHING, Asked
from keyturn.services.one_ahead import ended_after, light, one_ahead, under_way
from keyturn.services.page_room import PageRoom
from keyturn.services.readers import Parents
from keyturn.storage import rejects as reject_rows
from keyturn.storage import tables as rows

if TYPE_CHECKING:
    import pyarrow as pa

    from keyturn.rest.checkpoints import Checkpoint
    from keyturn.rest.reader import Page
    from keyturn.rest.stamps import Completeness
    from keyturn.room import Held


T = TypeVar("T")
# Pages that may be asked for before their turn, where the pagination allows it.
PAGES_AHEAD = 16


@dataclass(frozen=True, slots=True)
class Batch:
    """One page as Arrow. `schema` is what is known of the columns by now: it only ever widens in a read.

    Once `data` and `rejects` are safe, a read that resumes from `checkpoint` goes on behind them.
    """

    page: int
    data: pa.RecordBatch
    schema: Schema
    widened_by: Misfit | None
    checkpoint: Checkpoint
    rejects: tuple[Reject, ...] = ()
    children: Mapping[str, Part] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a child table that came with a page."""

    data: pa.RecordBatch
    schema: Schema


class TableRead:
    """One read of a table. Iterate `pages()` or `batches()` to the end; then `completeness`, the stamp, is on record.

    A failed read leaves the stamp with `stop_reason` "error" on record too, and raises.
    """

    def __init__(
        self,
        ctx: Context,
        table: Table,
        connection: Connection,
        *,
        limit: int | None = None,
        on_wait: Callable[[float, str], Any] | None = None,
        columns: Sequence[str] | None = None,
        resume_from: Checkpoint | None = None,
        asked: Asked = EVERYTHING,
        owner_id: str | None = None,
        parents: Parents = (),
    ) -> None:
        self.id = new_id("rd")
        # Who keeps what did not fit: this read, or the import it is for.
        self._owner_id = owner_id or self.id
        self.table = table
        self._ctx = ctx
        self._room = PageRoom(table.id)
        settings = table.settings if columns is None else readers.narrowed(table, columns)
        self._reader = readers.reader_of(
            ctx, connection, settings, parents, max_rows=limit, on_wait=on_wait, ahead=PAGES_AHEAD,
            resume_from=resume_from, asked=asked, room=self._room,
        )  # fmt: skip
        known = schema_of(table) if resume_from is None or resume_from.schema is None else _of(resume_from.schema)
        self._typer = PageTyper(known, readers.pins(settings), settings.infer_types, settings.when_columns_change)
        self._keys = Deduplicator(settings.row_key)
        self._rejected = self._pages_before = self._rows_before = 0
        self.high_water: str | int | None = None
        self._given_up: KeyturnError | None = None
        self._left_out: set[str] = set()
        self._stored: tuple[Schema, tuple[dict[str, Any], ...]] | None = None
        self._shaper = Shaper(readers.shape_of(settings))
        self._children: dict[str, tuple[PageTyper, Deduplicator]] = {}
        self._more: int | None = 0 if settings.expand is not None else None
        # Whether what it comes to is what there is, and whether its time is the whole time.
        self._everything = limit is None and asked.since is None and asked.high_water is None
        self._resumed, self._began = resume_from is not None, 0.0
        if resume_from is not None:
            self._typer.rows_before = resume_from.rows
            self._rejected, self._keys.duplicates = resume_from.rejected, resume_from.duplicates
            self.high_water = resume_from.high_water
            self._more = resume_from.values.get("more", self._more)
            self._shaper.rows_before = self._typer.rows_before = resume_from.rows + (self._more or 0)

    @property
    def schema(self) -> Schema | None:
        """What is known of the columns by now."""
        return self._typer.schema

    @property
    def completeness(self) -> Completeness:
        """The stamp so far; final once `batches()` ended."""
        stamp = self._reader.completeness.less(
            self._keys.duplicates, self._rejected, paging=self._reader.paging, more=self._more
        )
        if not self._pages_before:
            return stamp
        rows, pages = stamp.rows - self._rows_before, stamp.pages - self._pages_before
        expanded = None if stamp.expanded_from is None else stamp.expanded_from - self._rows_before
        return replace(stamp, rows=rows, pages=pages, reported_total=None, expanded_from=expanded)

    def counts_from(self, *, pages: int, rows: int) -> None:
        """Count as a stretch of the table does that begins behind so many pages: its own rows alone."""
        self._pages_before, self._rows_before = pages, rows

    def remember(self, batches: Sequence[pa.RecordBatch]) -> None:
        """Rows that came before the checkpoint this read resumes from: those that come again are known by their key."""
        for batch in batches:
            self._keys.remember(batch)

    def pages(self, drained: Callable[[], Awaitable[None]]) -> AsyncGenerator[Callable[[], Batch]]:
        """The pages as they came. Each is typed by calling it, in a thread, once and in order; then give it to `kept`.

        The next may be asked for before that. `drained` returns when all that were given are typed, and before then
        the read has no end. Raises what the end system, the token service or `drained` raises.
        """
        return self._recorded(ended_after(self._untyped(), drained))

    def batches(self) -> AsyncGenerator[Batch]:
        """Typed batches, page by page; while one is looked at, the next is typed. Raises as `pages` does."""
        return self._recorded(self._typed_pages())

    async def kept(self, batch: Batch) -> Batch:
        """The batch, once what did not fit of it is safe."""
        if batch.rejects:
            ctx, place = self._ctx, batch.rejects[0].row_number - 1
            values = [item.as_dict() for item in batch.rejects]
            await ctx.database.run(
                reject_rows.put, ctx.workspace_id, self.table.id, self._owner_id, place, values, ctx.clock()
            )
        return batch

    async def _recorded(self, source: AsyncGenerator[T]) -> AsyncGenerator[T]:
        """The same, and on record: that the read began, and how it ended for whoever was given these."""
        ctx, rows_before = self._ctx, self._typer.rows_before
        self._began = time.monotonic()
        await ctx.database.run(rows.insert_read, ctx.workspace_id, self.id, self.table.id, ctx.clock())
        await ctx.database.run(reject_rows.forget_from, ctx.workspace_id, self._owner_id, rows_before)
        error: dict[str, Any] | None = None
        try:
            with under_way(self.id):
                async with aclosing(source):
                    async for item in source:
                        yield item
        except KeyturnError as failure:
            error = self._failed(failure)
            raise
        except BaseException:
            # The reader is ahead and may have seen the end; whoever was given the pages has not.
            self._reader.stop("cancelled")
            error = None if self._given_up is None else self._failed(self._given_up)
            raise
        finally:
            self._room.close()
            await self._finish(error)

    def give_up(self, failure: KeyturnError) -> None:
        """Say, before the pages are closed, why what comes cannot be taken: the record of the read tells it."""
        self._given_up = failure

    def _failed(self, failure: KeyturnError) -> dict[str, Any]:
        """The failure as the record has it."""
        self._reader.stop("error")
        failure.details["completeness"] = self.completeness.as_dict()
        return {"code": failure.code, "message_code": failure.message_code, "message": failure.message}

    async def _untyped(self) -> AsyncGenerator[Callable[[], Batch]]:
        async with aclosing(one_ahead(self._weighed())) as pages:
            async for page, held in pages:
                given = [page]
                del page
                yield partial(self._typed, given, held)

    async def _weighed(self) -> AsyncGenerator[tuple[Page, Held | None]]:
        """The pages with the room that each holds."""
        async with aclosing(light(self._reader.pages())) as pages:
            async for page in pages:
                given = [(page, self._room.given(page))]
                del page
                yield given.pop()

    async def _typed_pages(self) -> AsyncGenerator[Batch]:
        async def typed() -> AsyncGenerator[Batch]:
            async with aclosing(self._untyped()) as pages:
                async for page in pages:
                    yield await in_typing_thread(page)

        async with aclosing(one_ahead(typed())) as batches:
            async for batch in batches:
                yield await self.kept(batch)

    def _typed(self, given: list[Page], held: Held | None) -> Batch:
        """The one page that is given, which nobody holds any more then: its room is free at once."""
        try:
            return self._batch(given.pop())
        finally:
            if held is not None:
                held.give_back()

    def _batch(self, page: Page) -> Batch:
        try:
            typed, children = self._shaped(page)
        except KeyturnError as failure:
            self.give_up(failure)
            raise
        if self.table.settings.incremental is not None:
            self.high_water = highest(typed.data, self.table.settings.incremental.column, self.high_water)
        data = self._keys.add(typed.data)
        self._rejected += len(typed.rejects)
        self._left_out |= typed.ignored
        checkpoint = replace(
            page.checkpoint,
            rejected=self._rejected,
            duplicates=self._keys.duplicates,
            high_water=self.high_water,
            values=page.checkpoint.values | ({} if self._more is None else {"more": self._more}),
            schema=self._as_stored(typed.schema),
        )
        return Batch(page.number, data, typed.schema, typed.widened_by, checkpoint, typed.rejects, children)

    def _as_stored(self, schema: Schema) -> tuple[dict[str, Any], ...]:
        """The columns as a checkpoint holds them, made anew only when they changed."""
        if self._stored is None or self._stored[0] is not schema:
            self._stored = schema, tuple(asdict(column) for column in tables.as_columns(schema))
        return self._stored[1]

    def _shaped(self, page: Page) -> tuple[Typed, dict[str, Part]]:
        """The page typed in the table's shape, and the child tables that came with it."""
        if self._shaper.shape.is_plain:
            return self._typer.add(page), {}
        with as_values(page.raw):
            return self._shaped_values(page)

    def _shaped_values(self, page: Page) -> tuple[Typed, dict[str, Part]]:
        place = self._typer.rows_before
        parts = self._shaper.add(page.rows)
        main = parts.pop(MAIN)
        typed = self._typer.add(Shaped(main))
        # An object that says a key twice is told by the row as it came.
        twice = [replace(item, row_number=item.row_number + place) for item in said_twice(page.raw or b"[]")]
        rejected = [*typed.rejects, *twice]
        if self._more is not None:
            self._more += len(main) - page.count
        children: dict[str, Part] = {}
        for name, rows_of in parts.items():
            typer, keys = self._children.setdefault(name, self._child())
            found = typer.add(Shaped(rows_of))
            children[name] = Part(keys.add(found.data), found.schema)
        return replace(typed, rejects=tuple(sorted(rejected, key=lambda item: item.row_number))), children

    def _child(self) -> tuple[PageTyper, Deduplicator]:
        """Children of a row that comes twice come twice too, where the row has a key."""
        settings = self.table.settings
        return PageTyper(infer_types=settings.infer_types), Deduplicator(["_id"] if settings.primary_key else [])

    async def _finish(self, error: dict[str, Any] | None) -> None:
        ctx = self._ctx
        await ctx.database.run(
            rows.finish_read,
            ctx.workspace_id,
            self.id,
            completeness=self.completeness.as_dict(),
            error=error,
            now=ctx.clock(),
        )
        learned = None if self.schema is None else tables.as_columns(self.schema)
        if learned is not None and (learned != self.table.columns or self._left_out):
            await schema_changes.store(ctx, self.table, learned, self._left_out)
        if error is None:
            values = {"last_read_at": ctx.clock(), **self._came_to()}
            await ctx.database.run(rows.update, ctx.workspace_id, self.table.id, values)

    def _came_to(self) -> dict[str, Any]:
        """What a read of everything came to, for the next one's estimate."""
        stamp = self.completeness
        if not self._everything or self._pages_before or stamp.stop_reason in {None, "cancelled", "error"}:
            return {}
        rows_came = stamp.rows + stamp.duplicates if stamp.expanded_from is None else stamp.expanded_from
        seconds = None if self._resumed else time.monotonic() - self._began
        read = LastRead(self._ctx.clock(), rows_came, stamp.pages, stamp.reported_total, stamp.complete, seconds,
                        stamp.parent_rows)  # fmt: skip
        return {"last_read": asdict(read)}


async def begin(
    ctx: Context,
    table_id: str,
    *,
    limit: int | None = None,
    on_wait: Any = None,
    columns: Sequence[str] | None = None,
    resume_from: Checkpoint | None = None,
    asked: Asked = EVERYTHING,
    owner_id: str | None = None,
) -> TableRead:
    """A read of a table by the actor, or the rest of one. Raises `NotFound`, `Forbidden`; uses no network yet.

    `columns` are all that will be looked at: an API that can leave the others out is asked to. `asked` has the values
    of the table's parameters. What does not fit is kept for `owner_id`, an import, or for the read itself.
    Raises `Invalid` at `resume_from` when the table asks something else than when the checkpoint was taken.
    """
    ctx.require("tables:read")
    table = await tables.get(ctx, table_id)
    connection = await connections.get(ctx, table.settings.connection_id)
    connections.require_use(ctx, connection)
    if table.settings.pagination.type == "auto":
        raise Invalid(f"{table.full_name} is a draft: its endpoint was not asked yet. Open it and press Publish.")
    _check_mark(table)
    above = await parents.above(ctx, connection, table.settings, own_id=table.id)
    return TableRead(
        ctx,
        table,
        connection,
        limit=limit,
        on_wait=on_wait,
        columns=columns,
        resume_from=resume_from,
        asked=asked,
        owner_id=owner_id,
        parents=above,
    )


def _check_mark(table: Table) -> None:
    """Raises `Invalid` when it is known that new rows cannot be told by the column that is set."""
    only = table.settings.incremental
    if only is None or table.columns is None:
        return
    found = next((column for column in table.columns if column.name == only.column), None)
    if found is not None and not can_mark(found.type) and found.note != NOTE_UNSEEN:
        raise Invalid(
            f"{only.column} is {found.type}: new rows are told by a time with an offset, a day or a whole number.",
            at="incremental.column",
        )


async def stamp(ctx: Context, read_id: str) -> dict[str, Any]:
    """The record of a read: its stamp, or None while it runs. Raises `NotFound`."""
    ctx.require("tables:read")
    found = await ctx.database.read(rows.get_read, ctx.workspace_id, read_id)
    if found is None:
        raise NotFound("There is no such read in this workspace.")
    return found


def sunset_of(table: Table, completeness: Mapping[str, Any] | None) -> str | None:
    """What is to be said when the API tells that it will switch the endpoint off."""
    date = (completeness or {}).get("sunset")
    return None if date is None else say("E-SUNSET", system=table.connection_name, date=date)


def schema_of(table: Table) -> Schema | None:
    """What the table has learned of its columns; None before the first read."""
    return None if table.columns is None else _of([asdict(column) for column in table.columns])


def _of(columns: Sequence[Mapping[str, Any]]) -> Schema:
    return Schema(tuple(Column(**column) for column in columns))
