"""Imports: the dialog, the list, one import live with its stamp, and its files."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from keyturn.errors import Conflict, Invalid, KeyturnError
from keyturn.model.imports import FINISHED, Import, ImportSettings
from keyturn.model.schedules import EVERY_LABELS
from keyturn.services import connections, estimates, imports, reads, retention, rows_out, tables
from keyturn.services import rejects as rejects_of
from keyturn.services.endpoints import Asked
from keyturn.web import forms, rendering
from keyturn.web.auth import Visit, visit, visit_for
from keyturn.web.files import FileAnswer
from keyturn.web.pages import destinations, onward, values
from keyturn.web.streams import StreamedAnswer

router = APIRouter(include_in_schema=False)
Here = Annotated[Visit, Depends(visit)]
Importer = Annotated[Visit, Depends(visit_for("imports.create"))]
FIELDS = ("destination.url", "destination.type", "destination.table", "destination.partition_by", "mode", "limit")
FORMATS = {"parquet": "Parquet", "csv": "CSV", "ndjson": "NDJSON", "duckdb": "DuckDB file"}
MODES = {"replace": "Replace", "append": "Append", "update": "Update by key"}
# Stop reasons as people read them.
STOPPED = {
    "no_next": "no next link",
    "has_more_false": "the API said there are no more",
    "total_reached": "the reported total was reached",
    "empty_page": "an empty page",
    "short_page": "a page that was not full",
    "max_pages": "the limit of pages",
    "max_rows": "the limit of rows",
    "repeated_page": "a page identical to the one before",
    "repeated_cursor": "a page that led back to one we had",
    "error": "an error",
    "cancelled": "cancelled",
}


@router.get("/tables/{table_id}/import")
async def dialog(request: Request, visit: Importer, table_id: str) -> Response:
    """Where to, and what if it exists; begins with what was chosen before a key was set."""
    table = await tables.get(visit.ctx, table_id)
    fields = (*FIELDS, *await values.fields(visit, table))
    chosen = {name: value for name, value in request.query_params.items() if name in fields}
    return await _dialog(visit, table_id, forms.Form({"destination.url": f"{table.name}.parquet", **chosen}))


@router.post("/tables/{table_id}/import")
async def create(request: Request, visit: Here, table_id: str) -> Response:
    """Start it; one that repeats goes on to the schedule, where its time is chosen."""
    sent = forms.typed(await request.form())

    async def do() -> str:
        if sent.get("every", "once") != "once":
            chosen = {name: sent[name] for name in (*FIELDS, "every") if sent.get(name)}
            chosen |= values.filled(values.typed(sent))
            if chosen.pop("limit", ""):
                raise Invalid("A schedule imports every row. Leave it empty, or choose Once.", at="limit")
            return f"/tables/{table_id}/schedule?{urlencode(chosen)}"
        where = await destinations.typed(visit, sent, FORMATS)
        raw = {
            "table_id": table_id,
            "destination": where,
            "mode": sent.get("mode", "replace"),
            "parameters": values.typed(sent),
            "limit": sent.get("limit", "").strip() or None,
        }
        return f"/imports/{(await imports.create(visit.ctx, raw)).id}"

    async def again(error: KeyturnError, status: int) -> Response:
        table = await tables.get(visit.ctx, table_id)
        form = forms.failed(error, sent, (*FIELDS, *await values.fields(visit, table)))
        return await _dialog(visit, table_id, form, status=status)

    return await forms.attempt(do, again)


@router.get("/tables/{table_id}/parts")
async def parts(request: Request, visit: Here, table_id: str) -> Response:
    """The table and its child tables of the relational model, of one fetch: a ZIP of Parquet files."""
    table = await tables.get(visit.ctx, table_id)
    asked = Asked(values.typed(dict(request.query_params)))
    stream = await rows_out.begin(visit.ctx, table_id, format="parquet", part=rows_out.EVERY_PART, asked=asked)
    headers = {"Content-Disposition": f'attachment; filename="{table.name}.zip"', "Keyturn-Read-Id": stream.read_id}
    return StreamedAnswer(stream.chunks, headers=headers, media_type=stream.media_type, close=stream.close)


@router.get("/imports")
async def list_(visit: Here) -> Response:
    """The newest imports."""
    found = await imports.list_(visit.ctx, limit=100)
    return await rendering.shell(visit, "imports/list.html", active="imports", imports=found)


@router.get("/imports/{import_id}")
async def show(visit: Here, import_id: str) -> Response:
    """One import: live while it runs, the stamp and the files once it ended."""
    found = await imports.get(visit.ctx, import_id)
    return await rendering.shell(visit, "imports/show.html", active="imports", **await _shown(visit, found))


@router.get("/imports/{import_id}/live")
async def live(visit: Here, import_id: str) -> Response:
    """The part of the page that changes while it runs."""
    found = await imports.get(visit.ctx, import_id)
    answer = rendering.fragment("imports/live.html", visit, **await _shown(visit, found))
    if found.status in FINISHED:
        answer.headers["Keyturn-Final"] = "yes"
    return answer


@router.post("/imports/{import_id}/cancel")
async def cancel(visit: Here, import_id: str) -> Response:
    """Stop it at the next page."""
    try:
        await imports.cancel(visit.ctx, import_id)
    except Conflict:
        pass  # It ended meanwhile, and its page says how.
    return RedirectResponse(f"/imports/{import_id}", 303)


@router.post("/imports/{import_id}/resume")
async def resume(visit: Here, import_id: str) -> Response:
    """Go on behind the last safe page."""
    try:
        await imports.resume(visit.ctx, import_id)
    except Conflict:
        pass  # Somebody else resumed it, and its page shows it at work.
    return RedirectResponse(f"/imports/{import_id}", 303)


@router.get("/imports/{import_id}/files/{name}")
async def download(visit: Here, import_id: str, name: str) -> Response:
    """One finished file."""
    path = await imports.file_path(visit.ctx, import_id, name)
    return FileAnswer(path, filename=name, media_type="application/octet-stream")


@router.get("/imports/{import_id}/rejects")
async def rejects(visit: Here, import_id: str) -> Response:
    """The values that did not fit, as NDJSON."""
    lines = await rejects_of.of_import(visit.ctx, import_id)
    headers = {"Content-Disposition": f'attachment; filename="{import_id}-rejects.ndjson"'}
    return StreamedAnswer(lines, media_type="application/x-ndjson", headers=headers)


async def _shown(visit: Visit, found: Import) -> dict[str, Any]:
    table = await tables.get(visit.ctx, found.settings.table_id)
    before = await imports.list_(visit.ctx, limit=6, table_id=table.id)
    finished = found.status in FINISHED
    files = await imports.files(visit.ctx, found.id) if finished else []
    return {
        "item": found,
        "table": table,
        "connection": await connections.get(visit.ctx, table.settings.connection_id),
        "before": [item for item in before if item.id != found.id][:5],
        "files": files,
        "fates": await retention.fates(visit.ctx, found, files),
        "finished": finished,
        "sunset": reads.sunset_of(table, found.completeness),
        "stopped": STOPPED,
        "there": (await destinations.choices(visit)).get(found.settings.destination.destination_id or ""),
        "now": visit.ctx.clock(),
    }


async def _dialog(visit: Visit, table_id: str, form: forms.Form, *, status: int = 200) -> Response:
    table = await tables.get(visit.ctx, table_id)
    chosen, asked = await destinations.choices(visit), await values.fields(visit, table)
    return await rendering.shell(
        visit,
        "imports/new.html",
        active="tables",
        status=status,
        table=table,
        form=form,
        estimate=await estimates.of_table(visit.ctx, table_id),
        labels={**forms.labels(ImportSettings), **asked.labels},
        values=asked,
        formats=FORMATS,
        elsewhere=[(found.id, destinations.words_of(found)) for found in chosen.values()],
        kinds={found.settings.type for found in chosen.values()},
        buckets=any(found.settings.is_bucket for found in chosen.values()),
        modes=MODES,
        set_key=onward.to_key(table, "import", form.values, (*FIELDS, *asked)),
        every=EVERY_LABELS,
    )
