"""Schedules: the list, the dialog with its next five runs, one schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from keyturn.errors import Invalid, KeyturnError
from keyturn.model.recurrence import WEEKDAYS, timezones
from keyturn.model.schedules import (
    CLOCK_CHANGES,
    EVERY_LABELS,
    MISSED_LABELS,
    RUNNING_LABELS,
    Schedule,
    ScheduleSettings,
    UnreadableSettings,
)
from keyturn.services import estimates, imports, schedules, tables
from keyturn.web import forms, rendering
from keyturn.web.api.answers import rfc3339
from keyturn.web.auth import Visit, visit, visit_for
from keyturn.web.pages import destinations, onward, values
from keyturn.web.pages.imports import FORMATS, MODES

router = APIRouter(include_in_schema=False)
Here = Annotated[Visit, Depends(visit)]
Maker = Annotated[Visit, Depends(visit_for("schedules.create"))]
FIELDS = ("destination.url", "destination.type", "destination.table", "destination.partition_by", "mode", "name",
          "every", "at", "on", "cron", "timezone", "if_missed", "if_running")  # fmt: skip
# Where the day is typed, by repetition.
_ON = {"week": "on.week", "month": "on.month", "once": "on.once"}
_RECENT = 5


@router.get("/schedules")
async def list_(visit: Here, done: str = "") -> Response:
    """All schedules of tables the person may see."""
    found = await schedules.list_(visit.ctx)
    return await rendering.shell(visit, "schedules/list.html", active="schedules", schedules=found, done=done)


@router.get("/schedules/next")
async def next_runs(request: Request, visit: Here) -> Response:
    """When what is typed would run, for the dialog's script."""
    sent = dict(request.query_params)
    try:
        words, following = await schedules.preview(visit.ctx, _when(sent))
    except Invalid as error:
        first = error.problems[0].message if error.problems else error.message
        return JSONResponse({"words": first, "next_runs": []})
    return JSONResponse({"words": words, "next_runs": [rfc3339(at) for at in following]})


@router.get("/tables/{table_id}/schedule")
async def dialog(request: Request, visit: Maker, table_id: str) -> Response:
    """Where to, how often, and what if that cannot be; begins with what was chosen for an import."""
    table = await tables.get(visit.ctx, table_id)
    usual = {"destination.url": f"{table.name}.parquet", "every": "day", "at": "06:00", "timezone": "UTC"}
    fields = (*FIELDS, *_ON.values(), *await values.fields(visit, table))
    chosen = {name: value for name, value in request.query_params.items() if name in fields}
    return await _dialog(
        visit, table_id, forms.Form({**usual, "if_missed": "run_once", "if_running": "skip", **chosen})
    )


@router.post("/tables/{table_id}/schedule")
async def create(request: Request, visit: Here, table_id: str) -> Response:
    """Save it."""
    sent = forms.typed(await request.form())

    async def do() -> str:
        await schedules.create(visit.ctx, {"table_id": table_id, **await _raw(visit, sent)})
        return "/schedules?done=created"

    async def again(error: KeyturnError, status: int) -> Response:
        fields = (*FIELDS, *await values.fields(visit, await tables.get(visit.ctx, table_id)))
        return await _dialog(visit, table_id, forms.failed(error, sent, fields), status=status)

    return await forms.attempt(do, again)


@router.get("/schedules/{schedule_id}")
async def show(visit: Here, schedule_id: str, done: str = "") -> Response:
    """One schedule: its settings, next runs and last imports."""
    schedule = await schedules.get(visit.ctx, schedule_id)
    return await _dialog(visit, schedule.settings.table_id, _form(schedule), schedule=schedule, done=done)


@router.post("/schedules/{schedule_id}")
async def update(request: Request, visit: Here, schedule_id: str) -> Response:
    """Change it."""
    sent = forms.typed(await request.form())
    schedule = await schedules.get(visit.ctx, schedule_id)

    async def do() -> str:
        patch: dict[str, Any] = {"on": None, "cron": None, **await _raw(visit, sent)}
        patch["parameters"] = forms.merged_pairs(values.typed(sent), _parameters(schedule))
        patch["destination"] = {
            "url": None,
            "table": None,
            "destination_id": None,
            "partition_by": None,
            **patch["destination"],
        }
        await schedules.update(visit.ctx, schedule_id, patch)
        return f"/schedules/{schedule_id}?done=saved"

    async def again(error: KeyturnError, status: int) -> Response:
        table = await tables.get(visit.ctx, schedule.settings.table_id)
        form = forms.failed(error, sent, (*FIELDS, *await values.fields(visit, table)))
        return await _dialog(visit, schedule.settings.table_id, form, schedule=schedule, status=status)

    return await forms.attempt(do, again)


@router.post("/schedules/{schedule_id}/paused")
async def pause(request: Request, visit: Here, schedule_id: str) -> Response:
    """Pause it, or go on from now."""
    sent = forms.typed(await request.form())
    await schedules.update(visit.ctx, schedule_id, {"paused": sent.get("paused") == "yes"})
    return RedirectResponse(f"/schedules/{schedule_id}", 303)


@router.post("/schedules/{schedule_id}/delete")
async def delete(visit: Here, schedule_id: str) -> Response:
    """Delete it; its imports stay."""
    await schedules.delete(visit.ctx, schedule_id)
    return RedirectResponse("/schedules?done=deleted", 303)


async def _dialog(
    visit: Visit,
    table_id: str,
    form: forms.Form,
    *,
    schedule: Schedule | None = None,
    status: int = 200,
    done: str = "",
) -> Response:
    table = await tables.get(visit.ctx, table_id)
    recent = await imports.list_(visit.ctx, limit=100, table_id=table_id) if schedule else []
    chosen, asked = await destinations.choices(visit), await values.fields(visit, table)
    sent_back = (*FIELDS, *_ON.values(), *asked)
    return await rendering.shell(
        visit,
        "schedules/form.html",
        active="schedules",
        status=status,
        table=table,
        schedule=schedule,
        following=schedule.next_runs(5) if schedule else [],
        recent=[item for item in recent if schedule and item.schedule_id == schedule.id][:_RECENT],
        form=form,
        estimate=await estimates.of_table(visit.ctx, table_id),
        labels={**forms.labels(ScheduleSettings), **asked.labels},
        values=asked,
        formats={**FORMATS, **{id_: destinations.words_of(found) for id_, found in chosen.items()}},
        kinds={found.settings.type for found in chosen.values()},
        buckets=any(found.settings.is_bucket for found in chosen.values()),
        modes=MODES,
        every=EVERY_LABELS,
        weekdays={name: name.capitalize() for name in WEEKDAYS},
        missed=MISSED_LABELS,
        running=RUNNING_LABELS,
        set_key=onward.to_key(table, f"schedules/{schedule.id}" if schedule else "schedule", form.values, sent_back),
        timezones=_timezones(schedule),
        clock_changes=CLOCK_CHANGES,
        done=done,
    )


async def _raw(visit: Visit, sent: dict[str, str]) -> dict[str, Any]:
    """What was typed as the verb takes it."""
    raw: dict[str, Any] = {**_when(sent), "destination": await destinations.typed(visit, sent, FORMATS)}
    raw |= {name: sent[name] for name in ("mode", "if_missed", "if_running") if name in sent}
    raw["parameters"] = values.typed(sent)
    if sent.get("name", "").strip():
        raw["name"] = sent["name"]
    return raw


def _when(sent: dict[str, str]) -> dict[str, Any]:
    when: dict[str, Any] = {name: sent[name] for name in ("every", "at", "timezone") if sent.get(name)}
    every = when.get("every", "day")
    if every in _ON:
        when["on"] = sent.get(_ON[every], "")
    if every == "cron":
        when["cron"] = sent.get("cron", "")
    return when


def _timezones(schedule: Schedule | None) -> list[str]:
    if schedule is None or isinstance(schedule.settings, UnreadableSettings):
        return list(timezones())
    # One that was chosen over the API stays, though it is none of those we offer.
    return list(dict.fromkeys([*timezones(), schedule.settings.timezone]))


def _parameters(schedule: Schedule) -> Mapping[str, Any]:
    settings = schedule.settings
    found = settings.known.get("parameters") if isinstance(settings, UnreadableSettings) else settings.parameters
    return found if isinstance(found, Mapping) else {}


def _form(schedule: Schedule) -> forms.Form:
    """What is in its fields; of one that cannot be read, what can be, with what is wrong beside the fields."""
    settings = schedule.settings
    if not isinstance(settings, UnreadableSettings):
        return forms.Form(_values(schedule, settings))
    found = {name: value for name, value in settings.known.items() if isinstance(value, str)}
    place = settings.known.get("destination")
    for name, value in (place if isinstance(place, Mapping) else {}).items():
        found[f"destination.{name}"] = value if isinstance(value, str) else ""
    found["destination.type"] = found.get("destination.destination_id") or found.get("destination.type", "parquet")
    if found.get("every") in _ON:
        found[_ON[found["every"]]] = found.get("on", "")
    return forms.failed(Invalid(problems=settings.problems), {**found, "name": schedule.name}, FIELDS)


def _values(schedule: Schedule, settings: ScheduleSettings) -> dict[str, Any]:
    found = settings.model_dump(mode="json", exclude_none=True)
    found |= {f"destination.{name}": value for name, value in found.pop("destination").items()}
    found |= values.filled(found.pop("parameters"))
    found["destination.type"] = settings.destination.destination_id or settings.destination.type
    found["destination.partition_by"] = ", ".join(settings.destination.partition_by)
    if settings.every in _ON:
        found[_ON[settings.every]] = settings.on
    return {**found, "name": schedule.name}
