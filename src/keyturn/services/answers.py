"""Answers of authorization servers on their way into the database: they cannot be asked for again.

An answer is stored if its lease is still ours, else kept as an orphan. While the database is away it is held in
memory and, after two seconds, in a sealed file as well, which the next start reads.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import structlog

from keyturn.errors import Unavailable
from keyturn.model.grants import Grant
from keyturn.model.ids import new_id
from keyturn.services import events, incidents, orphans, refresh_metrics, spills
from keyturn.services.context import Context
from keyturn.storage import grants as grant_rows
from keyturn.storage import leases, refresh_attempts, token_generations, token_hosts

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

log = structlog.get_logger(__name__)

_SPILL_SECONDS = 2.0
_PAUSE_SECONDS = (0.05, 1.0)
# How far a server's clock must be off from what we knew before it is written down again.
_CLOCK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A token set as it goes into its row, sealed already; `generation` and `epoch` are those it was asked under."""

    workspace_id: str
    grant_id: str
    connection_id: str
    oauth_client_id: str
    attempt_id: str
    generation: int
    epoch: int
    origin: str
    rotated: bool
    clock_ahead_seconds: float | None
    values: dict[str, Any]

    def __repr__(self) -> str:
        return f"Answer({self.attempt_id})"


async def store(ctx: Context, answer: Answer) -> None:
    """Store it, however long the database is away."""
    data_dir = ctx.deployment.data_dir
    writing = asyncio.create_task(_persist(ctx, answer))
    # A database that hangs must not keep the answer from its file.
    await asyncio.wait({writing}, timeout=_SPILL_SECONDS)
    spilled = not writing.done() and await asyncio.to_thread(spills.put, data_dir, answer.attempt_id, asdict(answer))
    await writing
    if spilled:
        await asyncio.to_thread(spills.remove, data_dir, answer.attempt_id)


async def _persist(ctx: Context, answer: Answer) -> None:
    pause = _PAUSE_SECONDS[0]
    while True:
        try:
            # The database may be away for longer than a key stays.
            now = replace(answer, values=spills.rewrapped(answer.values, ctx.keyring))
            await ctx.database.run(write, ctx, now)
        except Unavailable:
            log.warning("answer_waits_for_database", grant=answer.grant_id, attempt=answer.attempt_id)
        else:
            return
        await asyncio.sleep(pause)
        pause = min(pause * 2, _PAUSE_SECONDS[1])


async def read_back(scene: Context) -> int:
    """Store what an earlier process left in files because the database was away. Answers how many."""
    data_dir = scene.deployment.data_dir
    found = [Answer(**fields) for fields in await asyncio.to_thread(spills.read_all, data_dir)]
    for answer in found:
        here = replace(scene, workspace_id=answer.workspace_id)
        await scene.database.run(write, here, answer)
        await asyncio.to_thread(spills.remove, data_dir, answer.attempt_id)
        log.info("answer_read_back", grant=answer.grant_id, attempt=answer.attempt_id)
    return len(found)


def write(tx: Tx, ctx: Context, answer: Answer) -> bool:
    """Put the answer where it belongs, once however often it is tried; answers whether it is the present token set."""
    grant = grant_rows.lock(tx, ctx.workspace_id, answer.grant_id)
    stage = refresh_attempts.stage_of(tx, ctx.workspace_id, answer.attempt_id)
    if grant is None or stage is None or stage in {"committed", "answered"}:
        # Disconnected meanwhile, or stored already before a connection broke.
        return False
    ours = grant.lease_epoch == answer.epoch and grant.generation == answer.generation
    if ours and answer.values["generation"] > grant.generation:
        token_generations.keep_replaced(tx, ctx.workspace_id, grant.id, new_id("tg"), ctx.clock())
    epoch, generation = answer.epoch, answer.generation
    if ours and leases.finish(tx, ctx.workspace_id, grant.id, epoch=epoch, generation=generation, values=answer.values):
        _committed(tx, ctx, grant, answer)
        return True
    token_generations.keep_orphan(tx, ctx.workspace_id, grant.id, answer.attempt_id, answer.values, ctx.clock())
    refresh_attempts.finish(tx, ctx.workspace_id, answer.attempt_id, "answered", outcome="ok")
    refresh_metrics.ORPHANS.labels(answer.origin).inc()
    log.warning("refresh_answer_late", grant=grant.id, attempt=answer.attempt_id, generation=answer.generation)
    if grant.state == "reconnect_needed":
        orphans.promote(tx, ctx, grant)
    return False


def _committed(tx: Tx, ctx: Context, grant: Grant, answer: Answer) -> None:
    refresh_attempts.finish(tx, ctx.workspace_id, answer.attempt_id, "committed", outcome="ok")
    if answer.values["generation"] > grant.generation:
        if grant.refresh_sealed is None:
            events.record(tx, ctx, grant.connection_id, "renewed")
        else:
            events.record(tx, ctx, grant.connection_id, "refreshed", rotated="yes" if answer.rotated else "no")
    if grant.last_error_class is not None or grant.state == "suspended":
        events.record(tx, ctx, grant.connection_id, "recovered")
    # The host's row before the client's, as everywhere: two that wait for each other would be one too many.
    host_answered(tx, ctx, answer.origin)
    _note_clock(tx, ctx, answer)
    incidents.accepted(tx, ctx, answer.oauth_client_id)
    if grant.access_expires_at is not None:
        left = grant.access_expires_at - ctx.clock()
        refresh_metrics.SECONDS_TO_EXPIRY.labels(answer.origin).observe(left)


def host_answered(tx: Tx, ctx: Context, origin: str) -> None:
    """The token host gave a clear answer: nobody has to wait for it any more."""
    if token_hosts.answered(tx, ctx.workspace_id, origin):
        released = grant_rows.release_of_host(tx, ctx.workspace_id, origin)
        log.info("token_host_answers_again", origin=origin, grants=released)


def _note_clock(tx: Tx, ctx: Context, answer: Answer) -> None:
    if answer.clock_ahead_seconds is None:
        return
    known = token_hosts.get(tx, ctx.workspace_id, answer.origin)
    before = None if known is None else known.clock_ahead_seconds
    if abs(answer.clock_ahead_seconds - (before or 0.0)) >= _CLOCK_SECONDS:
        token_hosts.saw_clock(tx, ctx.workspace_id, answer.origin, answer.clock_ahead_seconds)
