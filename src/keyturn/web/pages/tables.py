"""Tables: list, the builder with a sample from a real call, and one saved table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from keyturn.errors import Invalid, KeyturnError
from keyturn.model.connections import Connection
from keyturn.model.tables import Table, TableSettings
from keyturn.rest.drafts import name_of
from keyturn.services import connection_lists, connections, samples, tables
from keyturn.services import rejects as rejects_of
from keyturn.services.endpoints import Asked
from keyturn.web import forms, rendering
from keyturn.web.auth import Visit, visit, visit_for
from keyturn.web.pages import onward, secrets, table_form, table_results, table_start, values
from keyturn.web.pages.table_results import Result
from keyturn.web.streams import StreamedAnswer

router = APIRouter(prefix="/tables", include_in_schema=False)
Here = Annotated[Visit, Depends(visit)]
Maker = Annotated[Visit, Depends(visit_for("tables.create"))]
Drafter = Annotated[Visit, Depends(visit_for("tables.drafts"))]
SAMPLE_ROWS = 100


@router.get("")
async def list_(visit: Here, done: str = "") -> Response:
    """All tables the person may see."""
    found = await tables.list_(visit.ctx)
    some, _ = await connection_lists.page(visit.ctx, connection_lists.Wanted())
    usable = [item for item in some if item.status != "not_connected"]
    return await rendering.shell(
        visit, "tables/list.html", active="tables", tables=found, has_connections=bool(usable), done=done
    )


@router.get("/new")
async def new(visit: Maker, connection_id: str = "") -> Response:
    """The builder, empty."""
    found = await connections.list_(visit.ctx)
    chosen = connection_id or (found[0].id if found else "")
    return await _new(visit, forms.Form(table_form.empty(chosen)), Result())


@router.post("/start")
async def start(request: Request, visit: Drafter, find: bool = False) -> Response:
    """Begin with what was pasted, or what the API says of itself: one endpoint is looked at, of many one is chosen."""
    sent = forms.typed(await request.form())
    try:
        drafts, left_out, found_at = await table_start.from_source(visit, sent, find=find)
    except forms.MENDABLE as error:
        return await _new(visit, forms.failed(error, sent, ("source", "connection_id")), Result(), status=422)
    picked = sent.get("pick", "0" if len(drafts) == 1 else "")
    if not picked.isdigit() or int(picked) >= len(drafts):
        result = Result(drafts=tuple(drafts), left_out=tuple(left_out), found_at=found_at)
        return await _new(visit, forms.Form(sent), result)
    values = table_start.values_of(drafts[int(picked)], sent.get("source", ""))
    form, result = await _looked(visit, values)
    return await _new(visit, form, result.noting(left_out if len(drafts) == 1 else []))


@router.post("/draft")
async def look(request: Request, visit: Drafter) -> Response:
    """Ask the endpoint: where the rows are, how pages follow, and a sample. Nothing is stored."""
    sent = forms.typed(await request.form())
    form, result = await _looked(visit, sent)
    return await _new(visit, form, result, status=422 if form.wrong else 200)


@router.post("/child")
async def child(request: Request, visit: Maker) -> Response:
    """A new table out of a list in the rows of this one: a row for each of its items, with those of the row around."""
    sent = forms.typed(await request.form())
    form, result = await _looked(visit, table_form.child_of(sent, sent.get("child_of", "")))
    if result.preview is not None:
        key = table_form.child_key(form.values, [column.name for column in result.preview.columns])
        form = forms.Form({**form.values, "primary_key": key})
    return await _new(visit, form, result, status=422 if form.wrong else 200)


@router.post("/new")
async def create(request: Request, visit: Here) -> Response:
    """Save it; as a draft, without asking the endpoint."""
    sent = forms.typed(await request.form())

    async def do() -> str:
        values, _ = await _taken_apart(visit, sent)
        asked = table_form.asked(sent)
        made = await tables.create(visit.ctx, table_form.raw(values), asked=asked, draft=sent.get("save") == "draft")
        return f"/tables/{made.id}?done=created"

    async def again(error: KeyturnError, status: int) -> Response:
        result = Result() if getattr(error, "problems", ()) else Result(error=error)
        form = forms.Form(sent) if result.error else _failed(error, sent)
        return await _new(visit, form, result, status=status)

    return await forms.attempt(do, again)


@router.get("/{table_id}")
async def show(visit: Here, table_id: str, done: str = "", then: str = "") -> Response:
    """The builder with a saved table; its script asks for the sample once the page is there."""
    table = await tables.get(visit.ctx, table_id)
    form = forms.Form({**table_form.values_of(table.settings), "then": then})
    return await _edit(visit, table, form, Result(evidence=table.evidence), done=done)


@router.get("/{table_id}/sample")
async def sample(visit: Here, table_id: str) -> Response:
    """The right pane of a saved table, from a real call."""
    table = await tables.get(visit.ctx, table_id)
    connection = await connections.get(visit.ctx, table.settings.connection_id)
    result = await table_results.sampled(lambda: tables.preview(visit.ctx, table_id, limit=SAMPLE_ROWS))
    drawn = table_results.drawn(result, connection, table, table_form.values_of(table.settings))
    drawn |= await table_results.history(visit, table)
    return rendering.fragment("tables/result.html", visit, **drawn, table=table, form=forms.Form())


@router.get("/{table_id}/reads/{read_id}/rejects")
async def rejects(visit: Here, table_id: str, read_id: str) -> Response:
    """The values of a read that did not fit, as NDJSON."""
    await tables.get(visit.ctx, table_id)
    lines = await rejects_of.of_read(visit.ctx, read_id)
    headers = {"Content-Disposition": f'attachment; filename="{read_id}-rejects.ndjson"'}
    return StreamedAnswer(lines, media_type="application/x-ndjson", headers=headers)


@router.post("/{table_id}/draft")
async def look_again(request: Request, visit: Drafter, table_id: str) -> Response:
    """The builder of a saved table with what was typed, and a sample for it; nothing is stored yet."""
    table = await tables.get(visit.ctx, table_id)
    sent = {**forms.typed(await request.form()), "connection_id": table.settings.connection_id}
    form, result = await _looked(visit, sent, table)
    return await _edit(visit, table, form, result, status=422 if form.wrong else 200)


@router.post("/{table_id}")
async def update(request: Request, visit: Here, table_id: str) -> Response:
    """Save what was changed."""
    table = await tables.get(visit.ctx, table_id)
    sent = forms.typed(await request.form())

    async def do() -> str:
        values, _ = await _taken_apart(visit, sent, table)
        patch = table_form.patch(values, table.settings)
        publish = sent.get("save") == "publish"
        await tables.update(visit.ctx, table_id, patch, publish=publish, asked=table_form.asked(sent))
        return onward.place(table, sent.get("then", "")) or f"/tables/{table_id}?done=saved"

    async def again(error: KeyturnError, status: int) -> Response:
        told = not getattr(error, "problems", ()) and sent.get("save") == "publish"
        form, failure = (forms.Form(sent), error) if told else (_failed(error, sent), None)
        return await _edit(visit, table, form, Result(error=failure, evidence=table.evidence), status=status)

    return await forms.attempt(do, again)


@router.post("/{table_id}/columns")
async def refresh_schema(request: Request, visit: Here, table_id: str) -> Response:
    """Ask the endpoint once and take the columns that it has now, also those that reads left out."""
    table = await tables.get(visit.ctx, table_id)
    asked = Asked(values.typed(forms.typed(await request.form())))

    async def do() -> str:
        await tables.refresh_schema(visit.ctx, table_id, asked=asked)
        return f"/tables/{table_id}?done=learned"

    async def again(error: KeyturnError, status: int) -> Response:
        form = forms.Form(table_form.values_of(table.settings))
        return await _edit(visit, table, form, Result(error=error, evidence=table.evidence), status=status)

    return await forms.attempt(do, again)


@router.post("/{table_id}/delete")
async def delete(visit: Here, table_id: str) -> Response:
    """Delete it; finished files stay."""
    await tables.delete(visit.ctx, table_id)
    return RedirectResponse("/tables?done=deleted", 303)


async def _looked(visit: Visit, sent: Mapping[str, str], table: Table | None = None) -> tuple[forms.Form, Result]:
    """The form with what was found in it, and the sample. What is wrong with a field is told at the field."""
    sent = {**sent, **{name: sent[f"use_{name}"] for name in ("rows_path", "expand") if sent.get(f"use_{name}")}}
    try:
        sent, left_out = await _taken_apart(visit, sent, table)
        raw = table_form.raw(sent)
        typed_name = raw.pop("name", "")
        found = await samples.look(visit.ctx, raw, limit=SAMPLE_ROWS, asked=table_form.asked(sent))
    except KeyturnError as error:
        if isinstance(error, forms.MENDABLE) and getattr(error, "problems", ()):
            return _failed(error, sent), Result()
        return forms.Form(sent), Result(error=error)
    name = typed_name or name_of(found.settings.path)
    kept = {"name": name, **{field: sent.get(field, "") for field in ("source", "values", "then")}}
    form = forms.Form({**table_form.values_of(found.settings), **kept})
    return form, Result(found.preview, evidence=found.evidence, settings=found.settings).noting(left_out)


async def _taken_apart(
    visit: Visit, sent: Mapping[str, str], table: Table | None = None
) -> tuple[Mapping[str, str], list[str]]:
    """The form with a URL in its path field taken apart, and what was left out of it. A saved table keeps its place."""
    if not table_start.is_address(sent.get("path", "")):
        return sent, []
    values, left_out = await table_start.with_address(visit, sent)
    if table is not None and values["connection_id"] != table.settings.connection_id:
        raise Invalid("This address is on another connection. Make another table there.", at="path")
    return values, left_out


def _failed(error: KeyturnError, sent: Mapping[str, str]) -> forms.Form:
    """Problems of `pagination.x` are drawn at the field of the chosen way of paging."""
    form = forms.failed(error, sent, (*table_form.FIELDS, *table_form.value_fields(error)))
    kind = sent.get("pagination", "auto")
    problems: dict[str, str] = {}
    for name, words in form.problems.items():
        if name.startswith("pagination.") and "max_pages" not in name:
            problems[f"{kind}.{name.partition('.')[2]}"] = words
        elif name.startswith("param."):
            told = f"{name.removeprefix('param.')}: {words}"
            problems["values"] = f"{problems['values']} {told}" if "values" in problems else told
        else:
            problems[name] = words
    return forms.Form(form.values, problems, form.sentence, form.message_code)


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
    result = await table_results.with_parent(visit, result, connection, table)
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
        then=None if table is None else onward.place(table, form.value("then")),
        secret_names=await secrets.names(visit),
        **table_results.drawn(result, connection, table, form.values),
        **await table_results.history(visit, table),
    )
