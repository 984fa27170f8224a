"""Schedules: when tables are imported again. One tick on each replica; each moment is met by one of them alone.

Whether a moment has come is read off the database's clock, and a schedule moves on by a compare-and-set in the
transaction that queues its import: replicas whose clocks differ, or that look at one time, double and miss nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import structlog

from keyturn.errors import Conflict, Forbidden, Invalid, KeyturnError, NotFound, Unavailable
from keyturn.model.ids import new_id
from keyturn.model.schedules import Schedule, ScheduleSettings, UnreadableSettings
from keyturn.model.validation import merge_patch, merged, parse
from keyturn.services import audit, connections, imports, incidents, members, notices, tables
from keyturn.services.context import Context
from keyturn.storage import imports as import_rows
from keyturn.storage import notices as notice_rows
from keyturn.storage import schedules as rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

log = structlog.get_logger(__name__)

# What is met later than this was missed.
GRACE_SECONDS = 300.0
_UNREADABLE = "schedule_unreadable"
_GONE = "There is no such schedule in this workspace."


async def create(ctx: Context, raw: Mapping[str, Any]) -> Schedule:
    """Make a schedule; it runs as whoever made it. Raises `Invalid`, `Conflict` (name)."""
    ctx.require("imports:run")
    fields, paused = _with_paused(raw, False)
    settings = parse(ScheduleSettings, fields)
    table, _ = await imports.check(ctx, settings)
    named = settings.name
    schedule_id = new_id("sc")

    def write(tx: Tx) -> None:
        name = named or _free_name(tx, ctx, table.full_name)
        if rows.by_name(tx, ctx.workspace_id, name) is not None:
            raise Conflict(f"{name} is taken. Choose a different name.", at="name")
        values = {
            "id": schedule_id,
            "table_id": table.id,
            "name": name,
            "paused": paused,
            "created_by": ctx.actor.account_id,
            "created_at": ctx.clock(),
            "updated_at": ctx.clock(),
            **_timed(settings, rows.now(tx)),
        }
        rows.insert(tx, ctx.workspace_id, values)
        audit.record(tx, ctx, "schedule.created", schedule_id, name=name, when=settings.words)

    await ctx.database.run(write)
    return await get(ctx, schedule_id)


async def get(ctx: Context, schedule_id: str) -> Schedule:
    """One schedule. Raises `NotFound`, also when its table is not the actor's to see."""
    found = await ctx.database.read(rows.get, ctx.workspace_id, schedule_id)
    if found is None:
        raise NotFound(_GONE)
    try:
        await tables.get(ctx, found.settings.table_id)
    except NotFound:
        raise NotFound(_GONE) from None
    return found


async def list_(ctx: Context, *, table_id: str | None = None) -> list[Schedule]:
    """The schedules of tables the actor may see, by name."""
    ctx.require("tables:read")
    visible = {table.id for table in await tables.list_(ctx)}
    if table_id is not None:
        visible &= {table_id}
    found = await ctx.database.read(rows.all_of, ctx.workspace_id)
    return [item for item in found if item.settings.table_id in visible]


async def update(ctx: Context, schedule_id: str, patch: Mapping[str, Any]) -> Schedule:
    """JSON merge patch, `paused` included. Raises `Forbidden` unless it is theirs or they are an admin."""
    ctx.require("imports:run")
    schedule = await get(ctx, schedule_id)
    _require_ownership(ctx, schedule)
    changes, paused = _with_paused(patch, schedule.paused)
    if schedule.problems and paused and not changes:
        return await _pause(ctx, schedule)
    settings = _changed(schedule, changes)
    await imports.check(ctx, settings)
    name = settings.name or schedule.name

    def write(tx: Tx) -> None:
        holder = rows.by_name(tx, ctx.workspace_id, name)
        if holder not in {None, schedule_id}:
            raise Conflict(f"{name} is taken. Choose a different name.", at="name")
        before = schedule.settings
        mended = isinstance(before, UnreadableSettings)
        moved = isinstance(before, UnreadableSettings) or settings.when != before.when or paused != schedule.paused
        values: dict[str, Any] = _timed(settings, rows.now(tx))
        if not moved:
            # What is due or held stays so when only the destination changes.
            values.pop("next_at")
        else:
            values["held"] = False
        values |= {"name": name, "table_id": settings.table_id, "paused": paused, "updated_at": ctx.clock()}
        if not rows.update(tx, ctx.workspace_id, schedule_id, values):
            raise NotFound(_GONE)
        if mended:
            notices.close(tx, ctx, _UNREADABLE, schedule_id, account_id=schedule.created_by)
        audit.record(tx, ctx, "schedule.changed", schedule_id, name=name, when=settings.words, paused=paused)

    await ctx.database.run(write)
    return await get(ctx, schedule_id)


async def _pause(ctx: Context, schedule: Schedule) -> Schedule:
    """Pause one whose settings cannot be read, as they are."""

    def write(tx: Tx) -> None:
        rows.update(tx, ctx.workspace_id, schedule.id, {"paused": True, "held": False, "updated_at": ctx.clock()})
        audit.record(tx, ctx, "schedule.changed", schedule.id, name=schedule.name, paused=True)

    await ctx.database.run(write)
    return await get(ctx, schedule.id)


def _changed(schedule: Schedule, changes: Mapping[str, Any]) -> ScheduleSettings:
    if not isinstance(schedule.settings, UnreadableSettings):
        return merged(ScheduleSettings, schedule.settings, changes)
    if not isinstance(changes, Mapping):
        raise Invalid("Send a JSON object.", at="body")
    return parse(ScheduleSettings, merge_patch(schedule.settings.known, changes))


async def delete(ctx: Context, schedule_id: str) -> None:
    """Delete it; imports it asked for stay. Raises as `update` does."""
    ctx.require("imports:run")
    schedule = await get(ctx, schedule_id)
    _require_ownership(ctx, schedule)

    def write(tx: Tx) -> None:
        rows.delete(tx, ctx.workspace_id, schedule_id)
        notices.close(tx, ctx, _UNREADABLE, schedule_id, account_id=schedule.created_by, silently=True)
        audit.record(tx, ctx, "schedule.deleted", schedule_id, name=schedule.name)

    await ctx.database.run(write)


async def preview(ctx: Context, raw: Mapping[str, Any]) -> tuple[str, list[float]]:
    """When a schedule with these settings would run, in words, and its next five moments."""
    ctx.require("tables:read")
    some = {"table_id": "-", "destination": {"url": "preview.parquet"}}
    settings = parse(ScheduleSettings, {**raw, **some} if isinstance(raw, Mapping) else raw)
    now = await ctx.database.read(rows.now)
    following = settings.recurrence.next_runs(now)
    return settings.words + ("" if following else ". That has passed: it would not run"), following


async def tick(scene: Context, *, held: bool = False) -> int:
    """Queue the imports of all schedules that are due; those that were held too, if asked. Answers how many.

    Raises `Unavailable` when the database is away; what else is wrong with one schedule does not keep the others.
    """
    started, after = 0, None
    while True:
        now, due, after = await scene.database.read(rows.due_anywhere, held=held, after=after)
        for schedule in due:
            try:
                ctx = await members.acting_as(
                    scene, schedule.workspace_id, schedule.created_by, schedule.created_by_name
                )
                started += await _meet(ctx, schedule, now)
            except Unavailable:
                raise
            except Exception:
                log.exception("schedule_failed", schedule_id=schedule.id)
        if after is None:
            return started


async def _meet(ctx: Context, schedule: Schedule, now: float) -> bool:
    """Queue one import for a schedule that is due, or say why not; holds it while its connection is not signed in,
    and while its settings cannot be read.
    """
    settings, due_at = schedule.settings, schedule.next_at
    if due_at is None:
        return False
    if isinstance(settings, UnreadableSettings):
        await ctx.database.run(_hold_unread, ctx, schedule, settings, due_at)
        return False
    if schedule.held and await ctx.database.read(_is_told, ctx, schedule):
        # It can be read again: a newer version runs here now, or the machine has its timezone back.
        await ctx.database.run(notices.close, ctx, _UNREADABLE, schedule.id, account_id=schedule.created_by)
    if await _waits(ctx, schedule):
        if not schedule.held and await ctx.database.run(rows.hold, ctx.workspace_id, schedule.id, due_at=due_at):
            log.info("schedule_held", schedule_id=schedule.id)
        return False
    recurrence = settings.recurrence
    at = max(due_at, recurrence.preceding(now) or due_at)
    missed = now - at > GRACE_SECONDS and not schedule.held
    try:
        _, place = await imports.check(ctx, settings)
    except KeyturnError as error:
        return await ctx.database.run(_move_on, ctx, schedule, now, at, why=error.message)
    why = "The server was away at that time." if missed and settings.if_missed == "skip" else None
    return await ctx.database.run(_move_on, ctx, schedule, now, at, why=why, place=place)


def _hold_unread(tx: Tx, ctx: Context, schedule: Schedule, settings: UnreadableSettings, due_at: float) -> None:
    """Hold it and tell whoever made it and the Workspace Admins, once."""
    if rows.hold(tx, ctx.workspace_id, schedule.id, due_at=due_at) or schedule.held:
        holder = schedule.created_by
        notices.open(tx, ctx, _UNREADABLE, schedule.id, account_id=holder, sentence=settings.words)


def _is_told(tx: Tx, ctx: Context, schedule: Schedule) -> bool:
    return notice_rows.is_open(tx, ctx.workspace_id, _UNREADABLE, schedule.id, schedule.created_by)


def _move_on(
    tx: Tx, ctx: Context, schedule: Schedule, now: float, at: float, *, why: str | None, place: str = ""
) -> bool:
    """One transaction: the schedule's next moment, and the import of this one unless there is a reason against it."""
    wanted = schedule.settings
    if isinstance(wanted, UnreadableSettings):
        return False
    unfinished = import_rows.unfinished_of(tx, ctx.workspace_id, schedule.id)
    if why is None and unfinished and wanted.if_running == "skip":
        why = "The one before was still running."
    if why is None and "queued" in unfinished:
        why = "Another one was queued already."
    if import_rows.is_met(tx, schedule.id, at):
        # The database's clock was set back, and somebody changed the schedule meanwhile: this moment came before.
        why = "It ran for this time already."
    import_id = new_id("im")
    last: dict[str, Any] = {"at": at, "outcome": "skipped", "why": why, "import_id": None}
    if why is None:
        last |= {"outcome": "started", "import_id": import_id}
    following = wanted.recurrence.following(max(now, at))
    if not rows.move_on(tx, ctx.workspace_id, schedule.id, due_at=schedule.next_at or at, next_at=following, last=last):
        return False
    if why is not None:
        audit.record(tx, ctx, "schedule.skipped", schedule.id, why=why)
        return False
    settings = parse(imports.ImportSettings, wanted.as_import)
    values = imports.row_of(ctx, import_id, settings, place)
    import_rows.insert(tx, ctx.workspace_id, {**values, "schedule_id": schedule.id, "due_at": at})
    audit.record(tx, ctx, "import.created", import_id, table_id=settings.table_id, schedule=schedule.name)
    return True


async def _waits(ctx: Context, schedule: Schedule) -> bool:
    """Whether somebody has to reconnect, or resume, its connection first."""
    try:
        table = await tables.get(ctx, schedule.settings.table_id)
        connection = await connections.get(ctx, table.settings.connection_id)
    except KeyturnError:
        return False  # the import says what is wrong
    waiting = connection.status in {"reconnect_needed", "not_connected", "paused"}
    return waiting or connection.status_detail in incidents.REASONS


def _with_paused(raw: Mapping[str, Any] | Any, usual: bool) -> tuple[Any, bool]:
    """The settings alone, and whether it is paused, which is none of them."""
    if not isinstance(raw, Mapping):
        return raw, usual
    fields = dict(raw)
    paused = fields.pop("paused", usual)
    if not isinstance(paused, bool):
        raise Invalid("Send true or false.", at="paused")
    return fields, paused


def _timed(settings: ScheduleSettings, now: float) -> dict[str, Any]:
    return {
        "settings": settings.model_dump(mode="json"),
        "next_at": settings.recurrence.following(now),
    }


def _free_name(tx: Tx, ctx: Context, wanted: str) -> str:
    name, number = wanted, 2
    while rows.by_name(tx, ctx.workspace_id, name) is not None:
        name, number = f"{wanted} {number}", number + 1
    return name


def _require_ownership(ctx: Context, schedule: Schedule) -> None:
    if schedule.created_by != ctx.actor.account_id and not ctx.actor.is_admin:
        raise Forbidden(f"It runs as {schedule.created_by_name}: they or a Workspace Admin may change {schedule.name}.")
