"""`/api/v1/settings`: what the operator set, and whether mail arrives."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from keyturn.services import settings
from keyturn.services.context import Context
from keyturn.web.api.answers import json_answer
from keyturn.web.auth import api_context

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


@router.post("/mail/test")
async def test_mail(ctx: Ctx) -> Response:
    """Send a test message to the caller's own address, now."""
    return json_answer({"sent_to": await settings.test_mail(ctx)})
