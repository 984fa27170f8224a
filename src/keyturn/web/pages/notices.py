"""Notices: what is wrong now, and what was, about all that the person may see."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from keyturn.services import notices, outbox
from keyturn.web import rendering
from keyturn.web.auth import Visit, visit

router = APIRouter(prefix="/notices", include_in_schema=False)
Here = Annotated[Visit, Depends(visit)]
PAGE = 50


@router.get("")
async def list_(visit: Here, cursor: str | None = None) -> Response:
    """Those that last first, then those that are over, newest first."""
    lasting, _ = await notices.list_(visit.ctx, open_only=True, limit=1000)
    found, older = await notices.list_(visit.ctx, limit=PAGE, cursor=cursor)
    over = [notice for notice in found if notice.closed_at is not None]
    return await rendering.shell(
        visit,
        "notices.html",
        active="notices",
        lasting=lasting,
        over=over,
        older=older,
        cursor=cursor,
        pages=outbox.PAGES,
    )
