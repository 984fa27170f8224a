"""`/api/v1/schedules`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from keyturn.model.schedules import Schedule, ScheduleSettings, UnreadableSettings
from keyturn.services import schedules
from keyturn.services.context import Context
from keyturn.web.api.answers import json_answer, json_body, listed, rfc3339
from keyturn.web.auth import api_context
from keyturn.web.openapi import described

router = APIRouter(prefix="/api/v1/schedules", tags=["Schedules"])
Ctx = Annotated[Context, Depends(api_context)]


def shown(item: Schedule) -> dict[str, Any]:
    """A schedule as JSON."""
    last = None if item.last is None else {**item.last, "at": rfc3339(item.last["at"])}
    return {
        "id": item.id,
        **_settings(item),
        "name": item.name,
        "table_name": item.table_name,
        "status": item.status,
        "label": item.label,
        "words": item.settings.words,
        "next_runs": [rfc3339(at) for at in item.next_runs(5)],
        "problems": [{"at": problem.at, "message": problem.message} for problem in item.problems],
        "last": last,
        "paused": item.paused,
        "created_by": {"id": item.created_by, "name": item.created_by_name},
        "created_at": rfc3339(item.created_at),
        "updated_at": rfc3339(item.updated_at),
    }


def _settings(item: Schedule) -> dict[str, Any]:
    if isinstance(item.settings, UnreadableSettings):
        # As it is stored, with every name that a schedule has; `problems` say what is wrong with it.
        return {
            **dict.fromkeys(ScheduleSettings.model_fields),
            **item.settings.known,
            "table_id": item.settings.table_id,
        }
    return item.settings.model_dump(mode="json")


@router.post("", status_code=201, openapi_extra=described(ScheduleSettings))
async def create(ctx: Ctx, request: Request) -> Response:
    """Import a table again and again, or once at a set time; it runs as whoever makes it."""
    return json_answer(shown(await schedules.create(ctx, await json_body(request))), 201)


@router.get("")
async def list_(ctx: Ctx, table_id: str | None = None, limit: int | None = None, cursor: str | None = None) -> Response:
    """The schedules of tables the caller may see, by name."""
    found = await schedules.list_(ctx, table_id=table_id)
    return listed([shown(item) for item in found], limit=limit, cursor=cursor)


@router.post("/preview", openapi_extra=described(ScheduleSettings))
async def preview(ctx: Ctx, request: Request) -> Response:
    """When a schedule would run, in words, and its next five moments; nothing is stored."""
    words, following = await schedules.preview(ctx, await json_body(request))
    return json_answer({"words": words, "next_runs": [rfc3339(at) for at in following]})


@router.get("/{schedule_id}")
async def get(ctx: Ctx, schedule_id: str) -> Response:
    """One schedule, with its next five moments."""
    return json_answer(shown(await schedules.get(ctx, schedule_id)))


@router.patch("/{schedule_id}", openapi_extra=described(ScheduleSettings))
async def update(ctx: Ctx, schedule_id: str, request: Request) -> Response:
    """Change it by JSON merge patch; `paused` pauses it."""
    return json_answer(shown(await schedules.update(ctx, schedule_id, await json_body(request))))


@router.delete("/{schedule_id}", status_code=204)
async def delete(ctx: Ctx, schedule_id: str) -> Response:
    """Delete it; imports it asked for stay."""
    await schedules.delete(ctx, schedule_id)
    return Response(status_code=204)
