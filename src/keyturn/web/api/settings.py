"""`/api/v1/settings`: what the operator set, whether mail arrives, and files of imports."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from keyturn.model.kept_files import FileLimits
from keyturn.services import file_limits, settings
from keyturn.services.context import Context
from keyturn.web.api.answers import json_answer, json_body
from keyturn.web.auth import api_context
from keyturn.web.openapi import described

router = APIRouter(prefix="/api/v1/settings", tags=["Settings"])
Ctx = Annotated[Context, Depends(api_context)]


@router.get("")
async def get(ctx: Ctx) -> Response:
    """The mail server, and the operator's settings: read-only, secrets left out, each with the line that sets it."""
    found = settings.get(ctx)
    operator = [
        {"name": item.name, "meaning": item.meaning, "value": item.value, "line": item.line} for item in found.operator
    ]
    mail = {"server": found.mail.server, "from": found.mail.sender}
    return json_answer({"mail": mail, "operator": operator})


@router.get("/files")
async def files(ctx: Ctx) -> Response:
    """How long files of imports stay on the server, how large they may be, and what is used of the room."""
    limits, used = await file_limits.get(ctx)
    return json_answer(limits.model_dump() | {"used": asdict(used)})


@router.patch("/files", openapi_extra=described(FileLimits))
async def change_files(ctx: Ctx, request: Request) -> Response:
    """Change them; they hold at once. Sizes are bytes, or text like 500 MB; 0 is for ever, or no limit."""
    limits = await file_limits.update(ctx, await json_body(request))
    _, used = await file_limits.get(ctx)
    return json_answer(limits.model_dump() | {"used": asdict(used)})


@router.post("/mail/test")
async def test_mail(ctx: Ctx) -> Response:
    """Send a test message to the caller's own address, now."""
    return json_answer({"sent_to": await settings.test_mail(ctx)})
