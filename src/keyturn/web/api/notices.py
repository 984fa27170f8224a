"""`/api/v1/notices`: what is wrong now, and what was."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from keyturn.model.notices import KINDS, Notice
from keyturn.services import notices
from keyturn.services.context import Context, check_limit
from keyturn.web.api.answers import json_answer, rfc3339
from keyturn.web.auth import api_context

router = APIRouter(prefix="/api/v1/notices", tags=["Notices"])
Ctx = Annotated[Context, Depends(api_context)]


def shown(notice: Notice) -> dict[str, Any]:
    """A notice as JSON."""
    return {
        "id": notice.id,
        "kind": notice.kind,
        "subject": {"type": KINDS[notice.kind].noun, "id": notice.subject_id, "name": notice.data.get("name")},
        "account_id": notice.account_id,
        "title": notice.title,
        "message": notice.sentence,
        "opened_at": rfc3339(notice.opened_at),
        "closed_at": rfc3339(notice.closed_at),
    }


@router.get("")
async def list_(ctx: Ctx, *, open: bool = False, limit: int | None = None, cursor: str | None = None) -> Response:
    """Episodes of trouble about what the caller may see, newest first; `open=true`: only those that last."""
    found, following = await notices.list_(ctx, open_only=open, limit=check_limit(limit), cursor=cursor)
    return json_answer({"data": [shown(notice) for notice in found], "next_cursor": following})
