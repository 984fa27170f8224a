"""`/api/v1/audit`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from keyturn.errors import Invalid
from keyturn.services import audit
from keyturn.services.audit import Filter
from keyturn.services.context import Context, check_limit
from keyturn.web.api.answers import json_answer
from keyturn.web.auth import api_context
from keyturn.web.streams import StreamedAnswer

router = APIRouter(prefix="/api/v1/audit", tags=["Audit log"])
Ctx = Annotated[Context, Depends(api_context)]


@router.get("")
async def list_(
    ctx: Ctx,
    actor_id: str | None = None,
    subject_id: str | None = None,
    verb: str | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Response:
    """Audit entries, newest first. `verb` is one (`connection.refreshed`) or a noun with its dot (`connection.`)."""
    wanted = Filter(actor_id, subject_id, verb, _seconds(since, "since"), _seconds(until, "until"))
    entries, before = await audit.list_(ctx, wanted, limit=check_limit(limit), before_seq=_before(cursor))
    following = None if before is None else base64.urlsafe_b64encode(str(before).encode()).decode()
    return json_answer({"data": entries, "next_cursor": following})


@router.get("/head")
async def head(ctx: Ctx) -> Response:
    """The newest entry's number and hash: kept elsewhere, they prove later that nothing was cut off."""
    seq, value = await audit.head(ctx)
    return json_answer({"seq": seq, "hash": value})


@router.get("/export")
async def export(ctx: Ctx, after_seq: int = 0) -> Response:
    """The whole chain in order as JSONL; `keyturn audit verify` proves it."""
    lines = audit.export(ctx, after_seq=after_seq)
    first = await anext(lines, b"")

    async def body() -> AsyncGenerator[bytes]:
        yield first
        async for page in lines:
            yield page

    headers = {"Cache-Control": "no-store", "Content-Disposition": 'attachment; filename="keyturn-audit.jsonl"'}
    return StreamedAnswer(body(), media_type="application/jsonl", headers=headers)


def _before(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    try:
        return int(base64.urlsafe_b64decode(cursor.encode()))
    except (ValueError, binascii.Error):
        raise Invalid("This cursor is not one of ours. Take next_cursor as it was answered.", at="cursor") from None


def _seconds(value: str | None, at: str) -> float | None:
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise Invalid("Send a time as RFC 3339, for example 2026-11-24T00:00:00Z.", at=at) from None
    if found.tzinfo is None:
        raise Invalid("Say the timezone too, for example 2026-11-24T00:00:00Z.", at=at)
    return found.timestamp()
