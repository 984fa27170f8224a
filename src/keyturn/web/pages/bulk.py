"""What is done with all that are ticked in a list: connections are tested, paused and resumed, schedules too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from keyturn.errors import KeyturnError
from keyturn.model.connections import Connection
from keyturn.model.schedules import Schedule
from keyturn.services import connection_tests, connections, schedules
from keyturn.web import rendering
from keyturn.web.auth import Visit, visit_for

router = APIRouter(include_in_schema=False)
Tester = Annotated[Visit, Depends(visit_for("connections.test"))]
Pauser = Annotated[Visit, Depends(visit_for("connections.update"))]
Scheduler = Annotated[Visit, Depends(visit_for("schedules.update"))]
MOST = 100
# Tests ask end systems: so many at a time.
_AT_ONCE = 5


@dataclass(frozen=True, slots=True)
class Became:
    """What became of one of them: its name and address, how its word is drawn, and a sentence."""

    name: str
    url: str
    drawn_as: str
    word: str
    sentence: str


@router.post("/connections/bulk/test")
async def test(request: Request, visit: Tester) -> Response:
    """Test each; the first step that failed is told."""

    async def one(connection_id: str) -> Became:
        found = await connections.get(visit.ctx, connection_id)
        url = f"/connections/{found.id}"
        try:
            steps = await connection_tests.run(visit.ctx, connection_id)
        except KeyturnError as error:
            return Became(found.name, url, "fail", "Not tested", error.message)
        bad = next((step for step in steps if step.state == "fail"), None)
        doubt = next((step for step in steps if step.state == "warn"), None)
        if bad is not None:
            return Became(found.name, url, "fail", "Failed", bad.sentence)
        if doubt is not None:
            return Became(found.name, url, "warn", "Works", doubt.sentence)
        return Became(found.name, url, "ok", "Works", "Everything works.")

    return await _told(request, visit, "connections", "Test", one)


@router.post("/connections/bulk/paused")
async def pause(request: Request, visit: Pauser) -> Response:
    """Pause or resume each."""
    return await _paused(request, visit, "connections", connections.get, connections.update)


@router.post("/schedules/bulk/paused")
async def pause_schedules(request: Request, visit: Scheduler) -> Response:
    """Pause or resume each."""
    return await _paused(request, visit, "schedules", schedules.get, schedules.update)


async def _paused(
    request: Request,
    visit: Visit,
    noun: str,
    get: Callable[..., Awaitable[Connection | Schedule]],
    update: Callable[..., Awaitable[object]],
) -> Response:
    paused = (await request.form()).get("paused") == "yes"

    async def one(thing_id: str) -> Became:
        found = await get(visit.ctx, thing_id)
        name, url = found.name, f"/{noun}/{found.id}"
        try:
            await update(visit.ctx, found.id, {"paused": paused})
        except KeyturnError as error:
            return Became(name, url, "fail", "Not done", error.message)
        return Became(name, url, "paused" if paused else "ok", "Paused" if paused else "Resumed", "")

    return await _told(request, visit, noun, "Pause" if paused else "Resume", one)


async def _told(
    request: Request, visit: Visit, noun: str, title: str, one: Callable[[str], Awaitable[Became]]
) -> Response:
    """The page that says what became of each, in the order of the list. What is gone meanwhile is said too."""
    ids = list(dict.fromkeys(str(value) for value in (await request.form()).getlist("ids")))[:MOST]
    turns = asyncio.Semaphore(_AT_ONCE)

    async def in_turn(thing_id: str) -> Became:
        async with turns:
            try:
                return await one(thing_id)
            except KeyturnError as error:
                return Became("–", f"/{noun}", "fail", "Not done", error.message)

    outcomes = await asyncio.gather(*map(in_turn, ids))
    status = 200 if outcomes else 409
    return await rendering.shell(
        visit, "bulk.html", active=noun, status=status, noun=noun, title=title, outcomes=outcomes
    )
