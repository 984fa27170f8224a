"""`/api/v1/imports`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import asdict
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from keyturn.model.imports import FINISHED, Import, ImportSettings
from keyturn.model.kept_files import Fate
from keyturn.services import imports, retention
from keyturn.services import rejects as rejects_of
from keyturn.services.context import Context
from keyturn.web.api.answers import json_answer, json_body, listed, rfc3339
from keyturn.web.auth import api_context
from keyturn.web.files import FileAnswer
from keyturn.web.openapi import described
from keyturn.web.streams import StreamedAnswer

Wait = Annotated[float, Query(ge=0, le=30, description="Answer when it has ended, or after so many seconds.")]
router = APIRouter(prefix="/api/v1/imports", tags=["Imports"])
Ctx = Annotated[Context, Depends(api_context)]


def shown(item: Import) -> dict[str, Any]:
    """An import as JSON."""
    waiting = None
    if item.waiting is not None:
        waiting = {**item.waiting, "until": rfc3339(item.waiting["until"])}
    return {
        "id": item.id,
        **item.settings.model_dump(mode="json"),
        "table_name": item.table_name,
        "schedule_id": item.schedule_id,
        "status": item.status,
        "label": item.label,
        "rows": item.rows,
        "pages": item.pages,
        "bytes": item.bytes,
        "reported_total": item.reported_total,
        "completeness": item.completeness,
        "error": item.error,
        "waiting": waiting,
        "resumes_at_page": item.resumes_at_page,
        "created_by": {"id": item.created_by, "name": item.created_by_name},
        "created_at": rfc3339(item.created_at),
        "started_at": rfc3339(item.started_at),
        "finished_at": rfc3339(item.finished_at),
        "files_removed_at": rfc3339(item.files_removed_at),
    }


@router.post("", status_code=202, openapi_extra=described(ImportSettings))
async def create(ctx: Ctx, request: Request) -> Response:
    """Ask for an import of a whole table."""
    return json_answer(shown(await imports.create(ctx, await json_body(request))), 202)


@router.get("")
async def list_(ctx: Ctx, table_id: str | None = None, limit: int | None = None, cursor: str | None = None) -> Response:
    """Imports, newest first."""
    found = await imports.list_(ctx, limit=1000, table_id=table_id)
    return listed([shown(item) for item in found], limit=limit, cursor=cursor)


@router.get("/{import_id}")
async def get(ctx: Ctx, import_id: str, wait_seconds: Wait = 0) -> Response:
    """One import: progress while it runs, the stamp once it ended; with `wait_seconds` as soon as that is."""
    return json_answer(shown(await imports.ended(ctx, import_id, wait_seconds)))


@router.post("/{import_id}/cancel")
async def cancel(ctx: Ctx, import_id: str) -> Response:
    """Stop it at the next page."""
    return json_answer(shown(await imports.cancel(ctx, import_id)))


@router.post("/{import_id}/resume")
async def resume(ctx: Ctx, import_id: str) -> Response:
    """Let one that failed, was cancelled or is incomplete go on behind its last safe page."""
    return json_answer(shown(await imports.resume(ctx, import_id)))


@router.get("/{import_id}/events")
async def watch(ctx: Ctx, import_id: str) -> Response:
    """Its progress as server-sent events: the import whenever it changes, the last one when it has ended."""
    news = imports.watch(ctx, import_id)
    first = await anext(news)
    return StreamedAnswer(_told(first, news), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _told(first: Import | None, news: AsyncGenerator[Import | None]) -> AsyncGenerator[bytes]:
    yield _event(first)
    async for item in news:
        yield _event(item)


def _event(item: Import | None) -> bytes:
    """One event, or a comment that keeps the line open."""
    if item is None:
        return b": still here\n\n"
    name = b"ended" if item.status in FINISHED else b"progress"
    return b"event: " + name + b"\ndata: " + orjson.dumps(shown(item)) + b"\n\n"


@router.get("/{import_id}/files")
async def files(ctx: Ctx, import_id: str) -> Response:
    """Its finished files with size and SHA-256, and what becomes of them: kept, latest, removed or replaced."""
    found = await imports.files(ctx, import_id)
    fates = await retention.fates(ctx, await imports.get(ctx, import_id), found)
    return listed([asdict(file) | _fate(fates.get(file.name)) for file in found], limit=None, cursor=None)


def _fate(fate: Fate | None) -> dict[str, Any]:
    fate = fate or Fate("kept")
    return {
        "state": fate.state,
        "kept_until": rfc3339(fate.kept_until),
        "removed_at": rfc3339(fate.removed_at),
        "kept_while_among_newest": fate.newest or None,
    }


@router.get("/{import_id}/files/{name}")
async def download(ctx: Ctx, import_id: str, name: str) -> Response:
    """One finished file."""
    path = await imports.file_path(ctx, import_id, name)
    return FileAnswer(path, filename=name, media_type="application/octet-stream")


@router.get("/{import_id}/rejects")
async def rejects(ctx: Ctx, import_id: str) -> Response:
    """The values of an import that did not fit their columns, as NDJSON: row, column, path, value, reason."""
    return StreamedAnswer(await rejects_of.of_import(ctx, import_id), media_type="application/x-ndjson")
