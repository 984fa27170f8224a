"""Readers of tables: of an endpoint, or of one for each row of a parent; every page asks for a fresh token."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from keyturn.columns.build import to_json
from keyturn.columns.schema import path_of, value_at
from keyturn.columns.shapes import MAIN, Shape, Shaper
from keyturn.errors import Invalid, UpstreamError
from keyturn.model.connections import Connection
from keyturn.model.messages import say
from keyturn.model.tables import ParentSettings, Table, TableSettings
from keyturn.rest.children import ChildrenReader, Family, ParentRow
from keyturn.rest.reader import Endpoint, Page, Reader
from keyturn.services import calls, secrets
from keyturn.services.context import Context
from keyturn.services.endpoints import EVERYTHING, Asked, first_request, secret_parts
from keyturn.services.one_ahead import ahead_bytes
from keyturn.services.paces import pace_of
from keyturn.wire import Request, Response

if TYPE_CHECKING:
    from keyturn.rest.checkpoints import Checkpoint
    from keyturn.rest.pace import Pace
    from keyturn.services.page_room import PageRoom

# A path cannot have these as a step, and nothing is found by them.
_NO_VALUES = (None, "", ".", "..")
_INT64 = 1 << 63
Parents = tuple[Table, ...]


def pins(settings: TableSettings) -> dict[str, str]:
    """The pinned types by column."""
    return {column.name: column.type for column in settings.columns}


def shape_of(settings: TableSettings) -> Shape:
    """How the table's rows become columns."""
    return Shape(
        settings.data_model, settings.arrays, settings.array_items, settings.expand, settings.name, settings.primary_key
    )


def system_of(connection: Connection) -> str:
    """The end system's name in sentences."""
    return connection.oauth_client_name or connection.name


def reader_of(
    ctx: Context,
    connection: Connection,
    settings: TableSettings,
    parents: Parents = (),
    *,
    max_rows: int | None = None,
    on_wait: Any = None,
    ahead: int = 0,
    resume_from: Checkpoint | None = None,
    asked: Asked = EVERYTHING,
    room: PageRoom | None = None,
) -> Reader | ChildrenReader:
    """A reader of a table; `parents` are the tables for whose rows it is read, the nearest first.

    With `room` it waits for room before it asks for a page. All readers of a connection share its pace.
    Raises `Invalid` for values that are not right.
    """
    if settings.parent is not None:
        family = family_of(ctx, connection, settings, parents, on_wait=on_wait, ahead=ahead, asked=asked,
                           room=room)  # fmt: skip
        return ChildrenReader(family, now=ctx.clock(), max_rows=max_rows, resume_from=resume_from)
    return _endpoint_reader(
        ctx, connection, settings, asked, now=ctx.clock(), pace=pace_of(ctx, connection, settings.requests_per_second),
        max_rows=max_rows, on_wait=on_wait, ahead=ahead, resume_from=resume_from, room=room,
    )  # fmt: skip


def family_of(
    ctx: Context,
    connection: Connection,
    settings: TableSettings,
    parents: Parents,
    *,
    on_wait: Any = None,
    ahead: int = 0,
    asked: Asked = EVERYTHING,
    room: PageRoom | None = None,
) -> Family:
    """A table and its parent as endpoints. Raises `Invalid` for wrong parameters, before anything is asked."""
    link, above = settings.parent, parents[0]
    if link is None:
        raise Invalid("This table has no parent.", at="parent")
    mine, theirs = _shared(settings, parents, asked)
    pace = pace_of(ctx, connection, settings.requests_per_second)
    first_request(connection, settings, replace(mine, filled=dict.fromkeys(link.values, "x")), now=ctx.clock())

    def parent(point: Checkpoint | None) -> Reader | ChildrenReader:
        return reader_of(ctx, connection, above.settings, parents[1:], on_wait=on_wait, ahead=min(ahead, 1),
                         resume_from=point, asked=theirs, room=room)  # fmt: skip

    def child(values: tuple[Any, ...], now: float, point: Checkpoint | None) -> Reader:
        filled = replace(mine, filled=dict(zip(link.values, values, strict=True)))
        return _endpoint_reader(ctx, connection, settings, filled, now=now, pace=pace, on_wait=on_wait, ahead=ahead,
                                resume_from=point, room=room)  # fmt: skip

    return Family(
        name=_name(connection, settings, parents),
        parent_name=above.name,
        keys=link.key_columns,
        parent=parent,
        rows_of=_rows_of(above, link),
        child=child,
        max_pages=settings.pagination.max_pages,
        ahead_bytes=ahead_bytes,
    )


async def samples(
    ctx: Context, connection: Connection, settings: TableSettings, parents: Parents, asked: Asked, *, most: int = 5
) -> list[Mapping[str, Any]]:
    """The values of the first rows of the parent that have some, by placeholder. Raises `Invalid` if there are none."""
    family = family_of(ctx, connection, settings, parents, asked=asked)
    found: list[Mapping[str, Any]] = []
    names = tuple(settings.parent.values) if settings.parent is not None else ()
    async with aclosing(family.parent(None).pages()) as pages:
        async for page in pages:
            rows = [row.values for row in family.rows_of(page) if row.values is not None]
            found += [dict(zip(names, values, strict=True)) for values in rows[: most - len(found)]]
            if len(found) >= most:
                break
    if not found:
        raise Invalid(
            f"{family.parent_name} has no row to ask with, so nothing can be found. Set where the rows are and Pages "
            "by hand.",
            at="parent.table",
        )
    return found


def keys_of(settings: TableSettings, filled: Mapping[str, Any]) -> dict[str, Any]:
    """The key columns of the rows that are read with these values."""
    link = settings.parent
    return {} if link is None else {n: filled[p] for n, p in zip(link.key_columns, link.values, strict=True)}


def own_part(settings: TableSettings, parents: Parents, asked: Asked) -> Asked:
    """What is asked of the table itself, without what those above it ask for."""
    return _shared(settings, parents, asked)[0]


def _endpoint_reader(
    ctx: Context,
    connection: Connection,
    settings: TableSettings,
    asked: Asked,
    *,
    now: float,
    pace: Pace,
    max_rows: int | None = None,
    on_wait: Any = None,
    ahead: int = 0,
    resume_from: Checkpoint | None = None,
    room: PageRoom | None = None,
) -> Reader:
    first = first_request(connection, settings, asked, now=now)
    send = sender(ctx, connection, settings, asked, first, now=now)
    endpoint = Endpoint(
        request=first,
        rows_path=settings.rows_path,
        pagination=settings.pagination,
        format=settings.format,
        total_path=settings.total_path,
    )
    return Reader(
        endpoint,
        send if room is None else room.around(send),
        max_rows=max_rows,
        on_wait=on_wait,
        system=system_of(connection),
        pace=pace,
        ahead=ahead,
        ahead_bytes=ahead_bytes,
        resume_from=resume_from,
    )


def narrowed(table: Table, columns: Sequence[str]) -> TableSettings:
    """The settings that ask the API for these columns alone, and the key; as they are before the columns are known."""
    settings = table.settings
    if settings.columns_param is None or table.columns is None:
        return settings
    wanted = {*columns, *settings.primary_key}
    if settings.incremental is not None:
        wanted.add(settings.incremental.column)
    wanted -= set(settings.parent.key_columns) if settings.parent is not None else set()
    paths = [path_of(column.source_path) for column in table.columns if column.name in wanted]
    # The parts of an object come together: not every API takes dotted names.
    fields = dict.fromkeys(path[0] for path in paths)
    return settings.model_copy(update={"query": {**settings.query, settings.columns_param: ",".join(fields)}})


def sender(
    ctx: Context, connection: Connection, settings: TableSettings, asked: Asked, first: Request, *, now: float
) -> Callable[..., Awaitable[Response]]:
    """What sends a table's requests: the connection's credential and the table's secrets are looked up for each."""
    known, names = calls.Known(), secrets.named_by(settings)

    async def send(request: Request, max_bytes: int = calls.MAX_BYTES) -> Response:
        limit, seconds = min(max_bytes, calls.MAX_BYTES), settings.timeout_seconds
        filled = calls.NOTHING
        if names:
            opened = await secrets.opened(ctx, settings, connection)
            filled = secret_parts(settings, asked, opened, first, now=now)
        response = await calls.send(
            ctx, connection, request, timeout_seconds=seconds, max_bytes=limit, known=known, filled=filled
        )
        if calls.rejects_new_token(connection, response):
            raise _rejected(connection, request)
        return response

    return send


def _rejected(connection: Connection, request: Request) -> UpstreamError:
    path = urlsplit(request.url).path
    sentence = say("E-REJECTED", system=system_of(connection), path=path)
    return UpstreamError(sentence, message_code="E-REJECTED", status=401, token_rejected=True, sent=True)


def _shared(settings: TableSettings, parents: Parents, asked: Asked) -> tuple[Asked, Asked]:
    """What is asked of the table, and of those above it: a name that both ask for is given to both."""
    own = {parameter.name for parameter in settings.parameters}
    above = {parameter.name for table in parents for parameter in table.settings.parameters}
    mine = {name: value for name, value in asked.parameters.items() if name in own or name not in above}
    theirs = {name: value for name, value in asked.parameters.items() if name in above}
    return replace(asked, parameters=mine), Asked(theirs, last_run_at=asked.last_run_at)


def _name(connection: Connection, settings: TableSettings, parents: Parents) -> str:
    """What a checkpoint must agree with: where each of the tables asks, and what leads from one to the next."""
    asked = ("method", "path", "rows_path", "format", "pagination", "parent")
    tables = (settings, *(table.settings for table in parents))
    told = [table.model_dump(mode="json", include=set(asked)) for table in tables]
    text = orjson.dumps([connection.settings.base_url, told], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()[:24]


def _rows_of(parent: Table, link: ParentSettings) -> Callable[[Page], list[ParentRow]]:
    """What is needed of a page of the parent. Raises `Invalid` for a column that it has not, or that is a list."""
    known = {column.name: path_of(column.source_path) for column in parent.columns or ()}
    shaper = Shaper(shape_of(parent.settings))

    def path(column: str) -> tuple[str, ...]:
        return known.get(column) or tuple(column.split("."))

    def rows_of(page: Page) -> list[ParentRow]:
        rows = shaper.add(page.rows)[MAIN]
        for name, column in link.values.items():
            if rows and column not in known and all(value_at(row, path(column)) is None for row in rows):
                has = ", ".join([*rows[0]][:10]) if isinstance(rows[0], Mapping) else "value"
                raise Invalid(f"{parent.name} has no values in a column {column[:60]}. It has {has}.",
                              at=f"parent.values.{name}")  # fmt: skip
        return [_row(row) for row in rows]

    def _row(row: Any) -> ParentRow:
        values = tuple(_asked_with(value_at(row, path(c)), parent, c, n) for n, c in link.values.items())
        key = [value_at(row, path(column)) for column in parent.settings.row_key]
        identity = to_json(key) if key and None not in key else None
        return ParentRow(None if None in values else values, identity)

    return rows_of


def _asked_with(value: Any, parent: Table, column: str, name: str) -> Any:
    """A value as it is asked with, and stands in the key column; None for one that nothing can be asked with."""
    if isinstance(value, str | bool | float) or value is None:
        return None if value in _NO_VALUES else value
    if isinstance(value, int):
        return value if -_INT64 <= value < _INT64 else str(value)
    if isinstance(value, Decimal):
        return str(value)
    raise Invalid(f"{column} of {parent.name} is a list or an object, not a single value. Choose another column.",
                  at=f"parent.values.{name}")  # fmt: skip
