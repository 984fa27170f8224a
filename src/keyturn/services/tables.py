"""Tables: create, detect, preview, and read page by page into typed batches that end with a completeness stamp."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from keyturn.columns.build import to_json_rows
from keyturn.columns.schema import Schema, infer
from keyturn.columns.shapes import MAIN, Shaper
from keyturn.columns.types import parse_type
from keyturn.errors import Conflict, Invalid, KeyturnError, NotFound, Problem, UpstreamError
from keyturn.model.connections import Connection
from keyturn.model.estimates import LastSample
from keyturn.model.ids import new_id
from keyturn.model.messages import say
from keyturn.model.tables import Table, TableColumn, TableSettings
from keyturn.model.validation import merged, parse
from keyturn.rest.children import MISSING
from keyturn.rest.detect import Detected as Detection
from keyturn.rest.detect import Evidence
from keyturn.rest.detect import detect as detect_endpoint
from keyturn.rest.keyed import with_keys
from keyturn.services import audit, connection_lists, connections, parents, schema_changes, secrets
from keyturn.services.context import Context
from keyturn.services.endpoints import EVERYTHING, Asked, check_names, first_request
from keyturn.services.paces import pace_of
from keyturn.services.readers import Parents, keys_of, own_part, pins, reader_of, samples, sender, shape_of, system_of
from keyturn.storage import marks as mark_rows
from keyturn.storage import tables as rows
from keyturn.wire import Headers, Request, Response

if TYPE_CHECKING:
    from keyturn.rest.children import ChildrenReader
    from keyturn.rest.reader import Page, Reader
    from keyturn.storage.database import Tx

PREVIEW_MOST = 1000
# What decides which columns there are: when it changes, they are learned anew.
_SHAPED_BY = ("path", "query", "rows_path", "columns", "infer_types", "method", "body", "format", "data_model",
              "arrays", "array_items", "expand", "parent")  # fmt: skip
# What decides how much there is to read: when it changes, nothing is known of that any more.
_COUNTED_BY = ("path", "query", "headers", "method", "body", "format", "rows_path", "pagination", "total_path",
               "expand", "parent")  # fmt: skip
# What decides which rows there are: when it changes, imports of only new rows begin anew.
_MARKED_BY = ("path", "query", "method", "body", "rows_path", "incremental", "primary_key", "parent")


@dataclass(frozen=True, slots=True)
class Detected:
    """What was found at an endpoint: completed settings, the evidence for each, and a typed sample."""

    settings: TableSettings
    evidence: tuple[dict[str, str], ...]
    columns: tuple[TableColumn, ...]
    rows: list[list[Any]]
    reported_total: int | None
    came: int
    request: Request
    response: Response


@dataclass(frozen=True, slots=True)
class Preview:
    """A sample of one page: typed columns, JSON-safe rows, and whether more is there. `read_at` is epoch seconds."""

    columns: tuple[TableColumn, ...]
    rows: list[list[Any]]
    truncated: bool
    reported_total: int | None
    stop_reason: str
    read_at: float
    request: Request
    response: Response
    expanded_from: int | None = None
    page_rows: int = 0


async def create(ctx: Context, raw: Mapping[str, Any], *, asked: Asked = EVERYTHING, draft: bool = False) -> Table:
    """Save a table; with `auto` paging or no rows path the endpoint is asked first and what was found is saved.

    `asked` has the values of parameters for that question; they are not kept. A `draft` is saved unasked.
    """
    ctx.require("connections:write")
    settings = _parsed(raw)
    connection = await connections.get(ctx, settings.connection_id)
    connections.require_tables(ctx, connection)
    await secrets.check(ctx, settings, connection)
    settings, _ = await parents.checked(ctx, connection, settings)
    evidence: tuple[dict[str, str], ...] = ()
    columns: tuple[TableColumn, ...] | None = None
    sample: LastSample | None = None
    if settings.is_draft and not draft:
        found = await _detect(ctx, connection, settings, asked)
        settings, evidence, columns = found.settings, found.evidence, found.columns
        sample = _sample_of(ctx, found)
    table_id = new_id("tb")
    now = ctx.clock()
    values = {
        "id": table_id,
        "connection_id": connection.id,
        "name": settings.name,
        "settings": settings.model_dump(mode="json"),
        "columns": None if columns is None else [asdict(column) for column in columns],
        "evidence": list(evidence),
        "last_sample": None if sample is None else asdict(sample),
        "created_at": now,
        "updated_at": now,
    }

    def write(tx: Tx) -> None:
        _refuse_taken_name(tx, ctx, connection.id, settings.name)
        refuse_too_many(tx, ctx, connection)
        rows.insert(tx, ctx.workspace_id, values)
        audit.record(tx, ctx, "table.created", table_id, name=f"{connection.name}.{settings.name}")

    await ctx.database.run(write)
    return await get(ctx, table_id)


async def list_(ctx: Context, connection_id: str | None = None) -> list[Table]:
    """The tables the actor may see, by full name."""
    visible = await connection_lists.visible_ids(ctx)
    found = await ctx.database.read(rows.all_of, ctx.workspace_id, connection_id)
    return [table for table in found if table.settings.connection_id in visible]


async def get(ctx: Context, table_id: str) -> Table:
    """One table. Raises `NotFound`."""
    table = await ctx.database.read(rows.get, ctx.workspace_id, table_id)
    if table is None:
        raise NotFound("There is no such table in this workspace.")
    await connections.get(ctx, table.settings.connection_id)
    return table


async def get_by_name(ctx: Context, full_name: str) -> Table:
    """The table called `connection.table`. Raises `NotFound`."""
    connection_name, _, name = full_name.partition(".")
    table = await ctx.database.read(rows.by_name, ctx.workspace_id, connection_name, name)
    if table is None:
        raise NotFound(f"There is no table called {full_name}.")
    return await get(ctx, table.id)


async def update(
    ctx: Context, table_id: str, patch: Mapping[str, Any], *, publish: bool = False, asked: Asked = EVERYTHING
) -> Table:
    """JSON merge patch. What decides where rows come from makes the learned schema start anew.

    With `publish` a draft's endpoint is asked first, as `create` does with `asked`, and what was found is saved.
    """
    ctx.require("connections:write")
    table = await get(ctx, table_id)
    connection = await connections.get(ctx, table.settings.connection_id)
    connections.require_tables(ctx, connection)
    settings = _checked(merged(TableSettings, table.settings, patch))
    if settings.connection_id != table.settings.connection_id:
        raise Invalid("A table stays on its connection. Create another one.", at="connection_id")
    if secrets.named_by(settings) != secrets.named_by(table.settings):
        await secrets.check(ctx, settings, connection)
    if settings.parent is not None and settings.parent != table.settings.parent:
        settings, _ = await parents.checked(ctx, connection, settings, own_id=table_id)
    evidence = [item for item in table.evidence if _same(item["at"], settings, table.settings)]
    found: Detected | None = None
    if settings.is_draft and publish:
        found = await _detect(ctx, connection, settings, asked)
        settings, evidence = found.settings, list(found.evidence)
    values: dict[str, Any] = {
        "evidence": evidence,
        "name": settings.name,
        "settings": settings.model_dump(mode="json"),
        "updated_at": ctx.clock(),
    }
    if _differ(_SHAPED_BY, settings, table.settings):
        values["columns"] = None
    if _differ(_COUNTED_BY, settings, table.settings):
        values |= {"last_sample": asdict(_sample_of(ctx, found)) if found is not None else None, "last_read": None}
    asks_else = _differ(_MARKED_BY, settings, table.settings)

    def write(tx: Tx) -> None:
        if settings.name != table.name:
            parents.refuse_orphans(tx, ctx, table)
        if asks_else:
            mark_rows.forget(tx, ctx.workspace_id, table_id)
        _refuse_taken_name(tx, ctx, settings.connection_id, settings.name, except_id=table_id)
        rows.update(tx, ctx.workspace_id, table_id, values)
        audit.record(tx, ctx, "table.changed", table_id, fields=sorted(patch))

    await ctx.database.run(write)
    return await get(ctx, table_id)


async def delete(ctx: Context, table_id: str) -> None:
    """Delete it with the history of its imports; finished files stay."""
    ctx.require("connections:write")
    table = await get(ctx, table_id)
    connections.require_tables(ctx, await connections.get(ctx, table.settings.connection_id))

    def write(tx: Tx) -> None:
        parents.refuse_orphans(tx, ctx, table)
        rows.delete(tx, ctx.workspace_id, table_id)
        audit.record(tx, ctx, "table.deleted", table_id, name=table.settings.name)

    await ctx.database.run(write)


async def detect(ctx: Context, raw: Mapping[str, Any], *, asked: Asked = EVERYTHING) -> Detected:
    """Ask the endpoint of a draft (only `connection_id` and `path` are needed) and say what was found, with proof."""
    ctx.require_verb("tables.detect")
    settings = _parsed({"name": "draft", **raw})
    return await _detect(ctx, await connections.get(ctx, settings.connection_id), settings, asked)


async def preview(ctx: Context, table_id: str, *, limit: int = 100, asked: Asked = EVERYTHING) -> Preview:
    """The first page of a saved table, at most `limit` rows; never the whole."""
    ctx.require("tables:read")
    table = await get(ctx, table_id)
    began = time.monotonic()
    found = await _preview(ctx, table.settings, limit, asked)
    took, count, total = time.monotonic() - began, found.page_rows, found.reported_total
    seen = LastSample.of(ctx.clock(), count, total, found.truncated, found.response, seconds=took)
    await ctx.database.run(rows.update, ctx.workspace_id, table_id, {"last_sample": asdict(seen)})
    return found


async def preview_draft(
    ctx: Context, raw: Mapping[str, Any], *, limit: int = 100, asked: Asked = EVERYTHING
) -> Preview:
    """The first page of a draft."""
    ctx.require_verb("tables.detect")
    return await _preview(ctx, _parsed({"name": "draft", **raw}), limit, asked)


async def refresh_schema(ctx: Context, table_id: str, *, asked: Asked = EVERYTHING) -> Table:
    """Forget the learned schema and learn it from the endpoint again."""
    ctx.require("tables:read")
    table = await get(ctx, table_id)
    connection = await connections.get(ctx, table.settings.connection_id)
    found = await _detect(ctx, connection, table.settings, asked)
    await schema_changes.store(ctx, table, found.columns, verb="table.schema_refreshed")
    return await get(ctx, table_id)


async def schema_history(ctx: Context, table_id: str) -> list[tuple[float, list[dict[str, Any]]]]:
    """The differences that reads met: (when in epoch seconds, each column with its types before and after)."""
    ctx.require("tables:read")
    return await schema_changes.of_table(ctx, (await get(ctx, table_id)).id)


def as_columns(schema: Schema) -> tuple[TableColumn, ...]:
    """A schema of `columns/` as the nouns that are stored and shown."""
    return tuple(
        TableColumn(name=c.name, type=c.type, source_path=c.source_path, nullable=c.nullable, note=c.note)
        for c in schema.columns
    )


async def _detect(ctx: Context, connection: Connection, settings: TableSettings, asked: Asked = EVERYTHING) -> Detected:
    connections.require_use(ctx, connection)
    settings, above = await parents.checked(ctx, connection, settings)
    found, keys = await _found(ctx, connection, settings, above, asked)
    # What is found to be unique is so among the rows of one row of the parent.
    unique = (*dict.fromkeys(keys), *found.primary_key) if found.primary_key else ()
    settings = settings.model_copy(
        update={
            "rows_path": settings.rows_path or found.rows_path,
            "pagination": found.pagination,
            "primary_key": settings.primary_key or unique,
            "total_path": settings.total_path or found.reported_total_path,
        }
    )
    came = Shaper(shape_of(settings)).add([with_keys(row, keys) for row in found.rows] if keys else found.rows)[MAIN]
    schema = infer(came, pins=pins(settings), infer_types=settings.infer_types)
    sample = to_json_rows(schema, came[:100])
    evidence = tuple(_told(item) for item in found.evidence)
    total = None if keys else found.reported_total
    return Detected(
        settings, evidence, as_columns(schema), sample, total, len(found.rows), found.request, found.response
    )


async def _found(
    ctx: Context, connection: Connection, settings: TableSettings, above: Parents, asked: Asked
) -> tuple[Detection, dict[str, Any]]:
    """What an endpoint tells of itself, and the keys of its rows: with a parent, for the first row that has any."""
    tries = await samples(ctx, connection, settings, above, asked) if settings.parent is not None else [{}]
    asked = own_part(settings, above, asked)
    for number, filled in enumerate(tries, 1):
        keys, each, now = keys_of(settings, filled), replace(asked, filled=filled), ctx.clock()
        first = first_request(connection, settings, each, now=now)
        try:
            found = await detect_endpoint(
                first,
                sender(ctx, connection, settings, each, first, now=now),
                rows_path=settings.rows_path,
                pagination=None if settings.pagination.type == "auto" else settings.pagination,
                primary_key=tuple(name for name in settings.primary_key if name not in keys),
                system=system_of(connection),
                pace=pace_of(ctx, connection, settings.requests_per_second),
                format=settings.format,
            )
        except UpstreamError as error:
            if error.details.get("status") not in MISSING or number == len(tries):
                raise
        else:
            return found, keys
    raise KeyturnError("There was nothing to ask with.")


def _sample_of(ctx: Context, found: Detected) -> LastSample:
    """What detection shows of how much there is; it asks more than once, so its time tells nothing."""
    paged = found.settings.pagination.type != "none"
    return LastSample.of(ctx.clock(), found.came, found.reported_total, paged, found.response)


def _told(item: Evidence) -> dict[str, str]:
    return {"at": item.at, "sentence": item.sentence, **({"kind": "doubt"} if item.doubt else {})}


async def _preview(ctx: Context, settings: TableSettings, limit: int, asked: Asked) -> Preview:
    if not 1 <= limit <= PREVIEW_MOST:
        raise Invalid(f"Enter a whole number from 1 to {PREVIEW_MOST}.", at="limit")
    connection = await connections.get(ctx, settings.connection_id)
    connections.require_use(ctx, connection)
    if settings.is_draft:
        settings = (await _detect(ctx, connection, settings, asked)).settings
    settings, above = await parents.checked(ctx, connection, settings)
    reader = reader_of(ctx, connection, settings, above, max_rows=limit, asked=asked)
    async with aclosing(reader.pages()) as pages:
        async for page in pages:
            return _shown(ctx, settings, reader, page, limit)
    raise KeyturnError("The reader gave no page.")


def _shown(ctx: Context, settings: TableSettings, reader: Reader | ChildrenReader, page: Page, limit: int) -> Preview:
    came = Shaper(shape_of(settings)).add(page.rows)[MAIN]
    schema = infer(came, pins=pins(settings), infer_types=settings.infer_types)
    shown = came if settings.expand is not None else came[:limit]
    more = reader.has_more or len(page.rows) > limit or (settings.parent is not None and page.count > 0)
    first = reader.endpoint.request if reader.endpoint is not None else Request(settings.method, "", Headers(()))
    return Preview(
        columns=as_columns(schema),
        rows=to_json_rows(schema, shown),
        truncated=more,
        reported_total=page.reported_total,
        stop_reason="max_rows" if more else (reader.completeness.stop_reason or "no_next"),
        read_at=ctx.clock(),
        request=settings.pagination.first(first),
        response=page.response,
        expanded_from=page.count if settings.expand is not None else None,
        page_rows=page.count if page.full_count is None else page.full_count,
    )


def refuse_too_many(tx: Tx, ctx: Context, connection: Connection) -> None:
    """Raises `Conflict` where the connection has as many tables as a Workspace Admin lets it have."""
    found = rows.room_left(tx, ctx.workspace_id, connection.id)
    if found is not None and found[0] >= found[1]:
        count, most = found
        told = say("E-ENDPOINTS", connection=connection.name, count=count, s="" if count == 1 else "s", most=most)
        raise Conflict(told, message_code="E-ENDPOINTS")


def _differ(fields: tuple[str, ...], one: TableSettings, other: TableSettings) -> bool:
    return any(getattr(one, name) != getattr(other, name) for name in fields)


def _same(field: str, one: TableSettings, other: TableSettings) -> bool:
    """Whether what was found for a setting still speaks of what is set."""
    return all(getattr(one, name) == getattr(other, name) for name in {field, "path", "method", "query"})


def _parsed(raw: Mapping[str, Any]) -> TableSettings:
    return _checked(parse(TableSettings, raw))


def _checked(settings: TableSettings) -> TableSettings:
    problems = []
    for index, column in enumerate(settings.columns):
        try:
            parse_type(column.type)
        except ValueError as error:
            problems.append(Problem(f"columns.{index}.type", str(error)))
    if settings.method == "GET" and settings.body is not None:
        problems.append(Problem("body", "GET has no body. Choose POST, or use Parameters."))
    if problems:
        raise Invalid(problems=tuple(problems))
    check_names(settings)
    return settings


def _refuse_taken_name(tx: Tx, ctx: Context, connection_id: str, name: str, *, except_id: str | None = None) -> None:
    if rows.name_taken(tx, ctx.workspace_id, connection_id, name, except_id=except_id):
        raise Conflict(f"{name} exists already.", at="name")
