"""`/api/v1/doctor`: whether the deployment stands as it should."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from keyturn.services import doctor
from keyturn.services.context import Context
from keyturn.web.api.answers import json_answer
from keyturn.web.auth import api_context

router = APIRouter(prefix="/api/v1/doctor", tags=["Doctor"])
Ctx = Annotated[Context, Depends(api_context)]


@router.get("")
async def examine(
    ctx: Ctx,
    reached_at: Annotated[str | None, Query(max_length=2000, description="The address you typed.")] = None,
    clock: Annotated[float | None, Query(ge=0, le=1e11, description="Your clock, in epoch seconds.")] = None,
) -> Response:
    """Every check with its fix: version, Public URL, clock, key, database, egress, disk, backup."""
    found = await doctor.examine(ctx, reached_at=reached_at, their_clock=clock)
    checks = [
        {"name": check.name, "state": check.state, "message": check.sentence, "fix": check.fix} for check in found
    ]
    return json_answer({"ok": all(check.state != "fail" for check in found), "checks": checks})
