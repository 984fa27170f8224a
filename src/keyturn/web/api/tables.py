"""`/api/v1/tables` and `/api/v1/reads`."""

from __future__ import annotations

from dataclasses import asdict
from email.utils import formatdate
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from keyturn.errors import Invalid, NotFound
from keyturn.model.table_copies import CopySettings
from keyturn.model.tables import Table, TableColumn, TableSettings
from keyturn.services import (
    estimates,
    imports,
    partitions,
    reads,
    rows_out,
    samples,
    table_copies,
    table_drafts,
    tables,
)
from keyturn.services import rejects as rejects_of
from keyturn.services.context import Context
from keyturn.services.endpoints import Asked
from keyturn.web.api.answers import json_answer, json_body, listed, rfc3339
from keyturn.web.auth import api_context
from keyturn.web.files import FileAnswer
from keyturn.web.openapi import described
from keyturn.web.streams import StreamedAnswer

LATEST_TYPES = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv; charset=utf-8",
    "ndjson": "application/x-ndjson",
    "duckdb": "application/octet-stream",
}
router = APIRouter(prefix="/api/v1", tags=["Tables"])
Ctx = Annotated[Context, Depends(api_context)]


def shown_columns(columns: tuple[TableColumn, ...] | None) -> list[dict[str, Any]] | None:
    """Columns as JSON."""
    if columns is None:
        return None
    return [
        {"name": c.name, "type": c.type, "source_path": c.source_path, "nullable": c.nullable, "note": c.note}
        for c in columns
    ]


def shown(table: Table) -> dict[str, Any]:
    """A table as JSON."""
    return {
        "id": table.id,
        "full_name": table.full_name,
        **table.settings.model_dump(mode="json"),
        "schema": shown_columns(table.columns),
        "evidence": list(table.evidence),
        "last_read_at": rfc3339(table.last_read_at),
        "created_at": rfc3339(table.created_at),
        "updated_at": rfc3339(table.updated_at),
    }


def _asked(request: Request, since: str | None = None) -> Asked:
    """What a read is asked for in its query: `param.NAME=value`, and `since`."""
    query = request.query_params
    names = [name for name in query if name.startswith("param.")]
    return Asked({name.removeprefix("param."): query[name] for name in names}, since or None)


Values = Annotated[Asked, Depends(_asked)]


@router.post("/tables", status_code=201, openapi_extra=described(TableSettings))
async def create(ctx: Ctx, request: Request, asked: Values, draft: bool = False) -> Response:
    """Save a table; with `auto` paging the endpoint is asked first. A `draft` is saved unasked, and cannot be read."""
    return json_answer(shown(await tables.create(ctx, await json_body(request), asked=asked, draft=draft)), 201)


@router.get("/tables")
async def list_(
    ctx: Ctx, connection_id: str | None = None, limit: int | None = None, cursor: str | None = None
) -> Response:
    """The tables the caller may see."""
    return listed([shown(table) for table in await tables.list_(ctx, connection_id)], limit=limit, cursor=cursor)


@router.post("/tables/detect", openapi_extra=described(TableSettings))
async def detect(ctx: Ctx, request: Request, asked: Values) -> Response:
    """A draft in; detected settings with their evidence out."""
    found = await tables.detect(ctx, await json_body(request), asked=asked)
    return json_answer(
        {
            "table": found.settings.model_dump(mode="json"),
            "evidence": list(found.evidence),
            "columns": shown_columns(found.columns),
            "rows": found.rows,
            "reported_total": found.reported_total,
        }
    )


@router.post("/tables/drafts")
async def drafts(ctx: Ctx, request: Request) -> Response:
    """Drafts out of `source`, a cURL line, an OpenAPI 3 document or a Postman collection; nothing is saved.

    Without a `source` the API is asked for the description that it publishes of itself: `found_at` says where.
    """
    found = await table_drafts.drafts(ctx, await json_body(request))
    answer = {"kind": found.kind, "data": found.drafts, "left_out": found.left_out, "found_at": found.found_at}
    return json_answer(answer)


@router.get("/tables/{table_id}")
async def get(ctx: Ctx, table_id: str) -> Response:
    """One table."""
    return json_answer(shown(await tables.get(ctx, table_id)))


@router.patch("/tables/{table_id}", openapi_extra=described(TableSettings))
async def update(ctx: Ctx, table_id: str, request: Request, asked: Values, publish: bool = False) -> Response:
    """Change it by JSON merge patch. With `publish` a draft's endpoint is asked and what was found is saved."""
    body = await json_body(request)
    return json_answer(shown(await tables.update(ctx, table_id, body, publish=publish, asked=asked)))


@router.delete("/tables/{table_id}", status_code=204)
async def delete(ctx: Ctx, table_id: str) -> Response:
    """Delete it; finished files stay."""
    await tables.delete(ctx, table_id)
    return Response(status_code=204)


@router.post("/tables/{table_id}/copies", status_code=201, openapi_extra=described(CopySettings))
async def copy(ctx: Ctx, table_id: str, request: Request) -> Response:
    """Use its settings on another connection too; `also_copied` are the parents that went along."""
    made = await table_copies.copy(ctx, table_id, await json_body(request))
    return json_answer(shown(made.table) | {"also_copied": list(made.parents)}, 201)


@router.get("/tables/{table_id}/preview")
async def preview(ctx: Ctx, table_id: str, asked: Values, limit: int = 100) -> Response:
    """A sample: the first page, at most `limit` rows. `param.NAME=value` gives what the table asks for.

    `request` and `response` are what was sent and what came, with secrets masked and without the sign-in.
    """
    found, exchange = await samples.of_table(ctx, table_id, limit=limit, asked=asked)
    return json_answer(
        {
            "columns": shown_columns(found.columns),
            "rows": found.rows,
            "truncated": found.truncated,
            "reported_total": found.reported_total,
            "stop_reason": found.stop_reason,
            "read_at": rfc3339(found.read_at),
            "expanded_from": found.expanded_from,
            **exchange,
        }
    )


@router.get("/tables/{table_id}/estimate")
async def estimate(ctx: Ctx, table_id: str) -> Response:
    """About how many requests and seconds an import of it is, from what is known by now; null is what is not."""
    return json_answer((await estimates.of_table(ctx, table_id)).as_dict())


@router.get("/tables/{table_id}/schema")
async def schema(ctx: Ctx, table_id: str, asked: Values, format: Literal["json", "arrow"] = "json") -> Response:
    """The learned schema, null before the first read; as `arrow` it is learned then, and answered in IPC form."""
    if format == "arrow":
        return Response(await rows_out.schema(ctx, table_id, asked=asked), media_type=rows_out.ARROW_TYPE)
    return json_answer({"columns": shown_columns((await tables.get(ctx, table_id)).columns)})


@router.get("/tables/{table_id}/schema/history")
async def schema_history(ctx: Ctx, table_id: str, limit: int | None = None, cursor: str | None = None) -> Response:
    """The differences that reads met, newest first; `left_out` are new fields that a table which asks did not take."""
    found = await tables.schema_history(ctx, table_id)
    return listed([{"seen_at": rfc3339(at), "changes": changes} for at, changes in found], limit=limit, cursor=cursor)


@router.post("/tables/{table_id}/schema/refresh")
async def refresh_schema(ctx: Ctx, table_id: str, asked: Values) -> Response:
    """Learn the schema from the endpoint again."""
    found = await tables.refresh_schema(ctx, table_id, asked=asked)
    return json_answer({"columns": shown_columns(found.columns)})


@router.get("/tables/{table_id}/latest.{ending}")
async def latest(ctx: Ctx, table_id: str, ending: str, request: Request) -> Response:
    """The newest whole file of the table, always at this address; with ETag and ranges, to be read in place."""
    if ending not in LATEST_TYPES:
        raise NotFound("There is nothing at this address.")
    path, file, finished_at = await imports.latest(ctx, table_id, f".{ending}")
    etag = f'"{file.sha256}"'
    headers = {
        "ETag": etag,
        "Cache-Control": "private, no-cache",
        "Last-Modified": formatdate(finished_at, usegmt=True),
    }
    if etag in {item.strip() for item in request.headers.get("if-none-match", "").split(",")}:
        return Response(status_code=304, headers=headers)
    return FileAnswer(path, headers=headers, media_type=LATEST_TYPES[ending], filename=file.name)


@router.get("/tables/{table_id}/partitions")
async def partitions_(ctx: Ctx, table_id: str, asked: Values, at_most: int | None = None) -> Response:
    """Stretches of the table that can be read side by side: `/rows?partition=…`. Asks the API for the first page."""
    found = await partitions.split(ctx, table_id, at_most=at_most, asked=asked)
    return json_answer({"data": [{"id": part.id, **asdict(part)} for part in found], "next_cursor": None})


@router.get("/tables/{table_id}/rows")
async def rows(
    ctx: Ctx,
    table_id: str,
    asked: Values,
    format: str = "ndjson",
    limit: int | None = None,
    columns: Annotated[list[str] | None, Query(max_length=2000)] = None,
    partition: str | None = None,
    part: str | None = None,
) -> Response:
    """Everything, streamed as arrow, ndjson, csv or parquet; the completeness stamp travels with the data.

    `param.NAME=value` gives what the table asks for; `since` (a time, a day, a number) reads only new rows.
    `columns` (repeatable) leaves all others out, at the API too where the table has a Columns parameter. `partition`
    reads one of the table's partitions; `part` a child table of the relational model, and `*` all of them as Parquet
    files in one ZIP, from one fetch.

    A read that fails in the middle ends the body without its terminator: what arrived is not the whole.
    """
    if limit is not None and limit < 1:
        raise Invalid("Enter a whole number greater than 0.", at="limit")
    stream = await rows_out.begin(
        ctx, table_id, format=format, limit=limit, columns=columns, partition=partition, asked=asked, part=part
    )
    headers = {"Keyturn-Read-Id": stream.read_id}
    return StreamedAnswer(stream.chunks, headers=headers, media_type=stream.media_type, close=stream.close)


@router.get("/reads/{read_id}")
async def read(ctx: Ctx, read_id: str) -> Response:
    """The stamp of a read, null while it runs."""
    found = await reads.stamp(ctx, read_id)
    return json_answer(
        {
            "id": found["id"],
            "table_id": found["table_id"],
            "completeness": found["completeness"],
            "error": found["error"],
            "started_at": rfc3339(found["started_at"]),
            "finished_at": rfc3339(found["finished_at"]),
        }
    )


@router.get("/reads/{read_id}/rejects")
async def rejects(ctx: Ctx, read_id: str) -> Response:
    """The values of a read that did not fit their columns, as NDJSON: row, column, path, value, reason."""
    return StreamedAnswer(await rejects_of.of_read(ctx, read_id), media_type="application/x-ndjson")
