"""Copy to another connection: a table's settings used there too."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from keyturn.errors import KeyturnError
from keyturn.model.table_copies import CopySettings
from keyturn.services import connections, table_copies, tables
from keyturn.web import forms, rendering
from keyturn.web.auth import Visit, visit, visit_for

router = APIRouter(prefix="/tables/{table_id}/copy", include_in_schema=False)
Here = Annotated[Visit, Depends(visit)]
Copier = Annotated[Visit, Depends(visit_for("tables.copy"))]
FIELDS = ("connection_id", "name")


@router.get("")
async def show(visit: Copier, table_id: str) -> Response:
    """The form: where to, and under which name."""
    return await _page(visit, table_id, forms.Form())


@router.post("")
async def copy(request: Request, visit: Here, table_id: str) -> Response:
    """Copy it, and show the copy."""
    sent = forms.typed(await request.form())
    raw = {name: sent[name] for name in FIELDS if sent.get(name, "").strip()}

    async def do() -> str:
        made = await table_copies.copy(visit.ctx, table_id, raw)
        return f"/tables/{made.table.id}?done=copied"

    async def again(error: KeyturnError, status: int) -> Response:
        return await _page(visit, table_id, forms.failed(error, sent, FIELDS), status=status)

    return await forms.attempt(do, again)


async def _page(visit: Visit, table_id: str, form: forms.Form, *, status: int = 200) -> Response:
    table = await tables.get(visit.ctx, table_id)
    actor = visit.ctx.actor
    others = [
        item
        for item in await connections.list_(visit.ctx)
        if item.id != table.settings.connection_id and item.tables_editable_by(actor.account_id, actor.role)
    ]
    return await rendering.shell(
        visit,
        "tables/copy.html",
        active="tables",
        status=status,
        table=table,
        form=form,
        labels=forms.labels(CopySettings),
        others={item.id: item.name for item in others},
    )
