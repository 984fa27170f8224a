"""The Sharing tab of a connection: who reads as whom, who may change it, and taking it back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from keyturn.errors import KeyturnError, NotFound
from keyturn.model.shares import RIGHTS_LABELS, RIGHTS_WORDS, ShareSettings
from keyturn.services import connections, members, shares
from keyturn.web import forms
from keyturn.web.auth import Visit, visit
from keyturn.web.pages.connections import detail_page

router = APIRouter(prefix="/connections/{connection_id}", include_in_schema=False)
Here = Annotated[Visit, Depends(visit)]
FIELDS = ("account_id", "rights", "with_credentials")
DONE = {"shared": "Shared.", "changed": "Changed.", "removed": "Taken back. It ended at once."}


@router.get("/sharing")
async def sharing(visit: Here, connection_id: str, done: str = "") -> Response:
    """With whom it is shared, and whose account each of them reads."""
    return await _page(visit, connection_id, forms.Form({"rights": "viewer"}), sentence=DONE.get(done))


@router.post("/shares")
async def put(request: Request, visit: Here, connection_id: str) -> Response:
    """Share it with a member, or change what they may do."""
    sent = forms.typed(await request.form())
    account_id = sent.get("account_id", "")
    raw = {"rights": sent.get("rights", "viewer"), "with_credentials": sent.get("with_credentials") == "yes"}

    async def do() -> str:
        new = all(share.account_id != account_id for share in await shares.list_(visit.ctx, connection_id))
        await shares.put(visit.ctx, connection_id, account_id, raw)
        return f"/connections/{connection_id}/sharing?done={'shared' if new else 'changed'}"

    async def again(error: KeyturnError, status: int) -> Response:
        return await _page(visit, connection_id, forms.failed(error, sent, FIELDS), status=status)

    return await forms.attempt(do, again)


@router.post("/shares/{account_id}/remove")
async def remove(visit: Here, connection_id: str, account_id: str) -> Response:
    """Take it back; who leaves a share may not see the connection any more."""
    await shares.remove(visit.ctx, connection_id, account_id)
    try:
        await connections.get(visit.ctx, connection_id)
    except NotFound:
        return RedirectResponse("/connections", 303)
    return RedirectResponse(f"/connections/{connection_id}/sharing?done=removed", 303)


async def _page(
    visit: Visit, connection_id: str, form: forms.Form, *, sentence: str | None = None, status: int = 200
) -> Response:
    connection = await connections.get(visit.ctx, connection_id)
    found = await shares.list_(visit.ctx, connection_id)
    everybody = await members.list_(visit.ctx)
    actor = visit.ctx.actor
    return await detail_page(
        visit,
        connection,
        "sharing",
        status=status,
        form=form,
        labels=forms.labels(ShareSettings),
        sentence=sentence,
        shares=found,
        members=[member for member in everybody if member.account_id != connection.owner_id],
        rights=RIGHTS_LABELS,
        rights_words=RIGHTS_WORDS,
        may_share=visit.ctx.may("shares.put") and (actor.is_admin or connection.owner_id == actor.account_id),
        may_take_back=actor.is_admin or connection.owner_id == actor.account_id,
        me=actor.account_id,
    )
