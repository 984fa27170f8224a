"""Tables: list, the builder with a sample from a real call, and one saved table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from keyturn import redaction
from keyturn.errors import KeyturnError
from keyturn.model.connections import Connection
from keyturn.model.tables import Table, TableSettings
from keyturn.rest.drafts import name_of
from keyturn.services import connections, tables
from keyturn.services.tables import Preview
from keyturn.web import forms, rendering
from keyturn.web.auth import Visit, visit
from keyturn.web.pages import table_form

router = APIRouter(prefix="/tables", include_in_schema=False)
Here = Annotated[Visit, Depends(visit)]
SAMPLE_ROWS = 100


@dataclass(frozen=True, slots=True)
class Result:
    """The right pane: a sample, or why there is none; the evidence for what was found."""

    preview: Preview | None = None
    error: KeyturnError | None = None
    evidence: tuple[dict[str, str], ...] = ()


@router.get("")
async def list_(visit: Here, done: str = "") -> Response:
    """All tables the person may see."""
    found = await tables.list_(visit.ctx)
    usable = [item for item in await connections.list_(visit.ctx) if item.status != "not_connected"]
    return await rendering.shell(
        visit, "tables/list.html", active="tables", tables=found, has_connections=bool(usable), done=done
    )


@router.get("/new")
async def new(visit: Here, connection_id: str = "") -> Response:
    """The builder, empty."""
    found = await connections.list_(visit.ctx)
    chosen = connection_id or (found[0].id if found else "")
    return await _new(visit, forms.Form(table_form.empty(chosen)), Result())


@router.post("/draft")
async def look(request: Request, visit: Here) -> Response:
    """Ask the endpoint: where the rows are, how pages follow, and a sample. Nothing is stored."""
    sent = forms.typed(await request.form())
    form, result = await _looked(visit, sent)
    return await _new(visit, form, result, status=422 if form.wrong else 200)


@router.post("/new")
async def create(request: Request, visit: Here) -> Response:
    """Save it."""
    sent = forms.typed(await request.form())

    async def do() -> str:
        made = await tables.create(visit.ctx, table_form.raw(sent))
        return f"/tables/{made.id}?done=created"

    async def again(error: KeyturnError, status: int) -> Response:
        return await _new(visit, _failed(error, sent), Result(), status=status)

    return await forms.attempt(do, again)


@router.get("/{table_id}")
async def show(visit: Here, table_id: str, done: str = "") -> Response:
    """The builder with a saved table; its script asks for the sample once the page is there."""
    table = await tables.get(visit.ctx, table_id)
    form = forms.Form(table_form.values_of(table.settings))
    return await _edit(visit, table, form, Result(evidence=table.evidence), done=done)


@router.get("/{table_id}/sample")
async def sample(visit: Here, table_id: str) -> Response:
    """The right pane of a saved table, from a real call."""
    table = await tables.get(visit.ctx, table_id)
    result = await _sampled(visit, lambda: tables.preview(visit.ctx, table_id, limit=SAMPLE_ROWS))
    return rendering.fragment("tables/result.html", **_drawn(result), table=table, now=visit.ctx.clock())


@router.post("/{table_id}/draft")
async def look_again(request: Request, visit: Here, table_id: str) -> Response:
    """The builder of a saved table with what was typed, and a sample for it; nothing is stored yet."""
    table = await tables.get(visit.ctx, table_id)
    sent = {**forms.typed(await request.form()), "connection_id": table.settings.connection_id}
    form, result = await _looked(visit, sent)
    return await _edit(visit, table, form, result, status=422 if form.wrong else 200)


@router.post("/{table_id}")
async def update(request: Request, visit: Here, table_id: str) -> Response:
    """Save what was changed."""
    table = await tables.get(visit.ctx, table_id)
    sent = forms.typed(await request.form())

    async def do() -> str:
        await tables.update(visit.ctx, table_id, table_form.patch(sent, table.settings))
        return f"/tables/{table_id}?done=saved"

    async def again(error: KeyturnError, status: int) -> Response:
        return await _edit(visit, table, _failed(error, sent), Result(evidence=table.evidence), status=status)

    return await forms.attempt(do, again)


@router.post("/{table_id}/delete")
async def delete(visit: Here, table_id: str) -> Response:
    """Delete it; finished files stay."""
    await tables.delete(visit.ctx, table_id)
    return RedirectResponse("/tables?done=deleted", 303)


async def _looked(visit: Visit, sent: Mapping[str, str]) -> tuple[forms.Form, Result]:
    """The form with what was found in it, and the sample. What is wrong with a field is told at the field."""
    try:
        raw = table_form.raw(sent)
        typed_name = raw.pop("name", "")
        found = await tables.detect(visit.ctx, raw)
        settings = found.settings
    except forms.MENDABLE as error:
        if getattr(error, "problems", ()):
            return _failed(error, sent), Result()
        return forms.Form(sent), Result(error=error)
    except KeyturnError as error:
        return forms.Form(sent), Result(error=error)
    result = await _sampled(
        visit, lambda: tables.preview_draft(visit.ctx, settings.model_dump(mode="json"), limit=SAMPLE_ROWS)
    )
    name = typed_name or sent.get("name", "") or name_of(settings.path)
    form = forms.Form({**table_form.values_of(settings), "name": name})
    return form, Result(result.preview, result.error, found.evidence)


async def _sampled(visit: Visit, read: Any) -> Result:  # noqa: ARG001 - the visit says whose read it is
    try:
        return Result(preview=await read())
    except KeyturnError as error:
        return Result(error=error)


def _failed(error: KeyturnError, sent: Mapping[str, str]) -> forms.Form:
    """Problems of `pagination.x` are drawn at the field of the chosen way of paging."""
    form = forms.failed(error, sent, table_form.FIELDS)
    kind = sent.get("pagination", "auto")
    problems = {
        f"{kind}.{name.partition('.')[2]}"
        if name.startswith("pagination.") and "max_pages" not in name
        else name: words
        for name, words in form.problems.items()
    }
    return forms.Form(form.values, problems, form.sentence, form.message_code)


def _drawn(result: Result) -> dict[str, Any]:
    preview = result.preview
    objects: list[str] = []
    request: dict[str, Any] = {}
    if preview is not None:
        names = [column.name for column in preview.columns]
        objects = [
            orjson.dumps(dict(zip(names, row, strict=False)), option=orjson.OPT_INDENT_2).decode()
            for row in preview.rows[:20]
        ]
        request = {**preview.request, "url": redaction.url(preview.request["url"])}
    return {"result": result, "preview": preview, "objects": objects, "request": request, "evidence": _by_field(result)}


def _by_field(result: Result) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in result.evidence:
        found.setdefault(item["at"], []).append(item["sentence"])
    return found


async def _new(visit: Visit, form: forms.Form, result: Result, *, status: int = 200) -> Response:
    found = await connections.list_(visit.ctx)
    chosen = next((item for item in found if item.id == form.value("connection_id")), None)
    return await _builder(visit, form, result, connections=found, connection=chosen, table=None, done="", status=status)


async def _edit(
    visit: Visit, table: Table, form: forms.Form, result: Result, *, done: str = "", status: int = 200
) -> Response:
    connection = await connections.get(visit.ctx, table.settings.connection_id)
    return await _builder(
        visit, form, result, connections=[connection], connection=connection, table=table, done=done, status=status
    )


async def _builder(
    visit: Visit,
    form: forms.Form,
    result: Result,
    *,
    connections: list[Connection],
    connection: Connection | None,
    table: Table | None,
    done: str,
    status: int,
) -> Response:
    return await rendering.shell(
        visit,
        "tables/builder.html",
        active="tables",
        rail=True,
        status=status,
        form=form,
        labels=forms.labels(TableSettings),
        pages=table_form.PAGES,
        page_fields=table_form.page_fields(),
        choices=table_form.CHOICES,
        connections=connections,
        connection=connection,
        table=table,
        done=done,
        **_drawn(result),
    )
