"""Send reconnect links: the one form behind the list of connections and an OAuth client's Connections tab."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from keyturn.model.connect_links import OUTCOME_WORDS, Reconnect
from keyturn.services import reconnect_links
from keyturn.web import forms, rendering
from keyturn.web.auth import Visit, visit_for

router = APIRouter(prefix="/connections/reconnect-links", include_in_schema=False)
Sender = Annotated[Visit, Depends(visit_for("connect_links.reconnect"))]


@router.post("")
async def send(request: Request, visit: Sender) -> Response:
    """What became of each; links to copy are on this page alone, so it is no redirect."""
    sent = await request.form()
    raw: dict[str, Any] = {}
    if client_id := str(sent.get("oauth_client_id", "")):
        raw["oauth_client_id"] = client_id
    else:
        raw["connection_ids"] = [str(value) for value in sent.getlist("connection_ids")]
    found: list[Reconnect] = []
    error: str | None = None
    try:
        found = await reconnect_links.send_reconnect_links(visit.ctx, raw)
    except forms.MENDABLE as problem:
        error = problem.message if "connection_ids" not in raw or raw["connection_ids"] else "Choose connections first."
    return await rendering.shell(
        visit,
        "connections/reconnect_links.html",
        active="connections",
        status=200 if error is None else 409,
        found=found,
        error=error,
        words=OUTCOME_WORDS,
        counts={outcome: sum(one.outcome == outcome for one in found) for outcome in OUTCOME_WORDS},
        wait=max((one.retry_after_seconds or 0 for one in found), default=0),
    )
