"""The audit log: who did what, to what, when, from where, with which result. Written in the transaction it tells of.

It must not know what any verb means; what it is handed is cleaned of secrets by name and by value first.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from keyturn import redaction
from keyturn.errors import Invalid
from keyturn.model.audit import AuditEntry, Chain, Who, verify
from keyturn.services.context import Context, asked_from
from keyturn.storage import accounts as account_rows
from keyturn.storage import audit as rows

if TYPE_CHECKING:
    from keyturn.storage.database import Database, Tx

log = structlog.get_logger(__name__)

DEPLOYMENT = ""
EXPORT_PAGE = 1000
_KINDS = {"session": "person", "api_token": "program"}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries to list. Times are epoch seconds; `verb` is one, or a noun with a dot at its end."""

    actor_id: str | None = None
    subject_id: str | None = None
    verb: str | None = None
    since: float | None = None
    until: float | None = None


def who_of(ctx: Context) -> Who:
    """The actor as the audit log names them."""
    actor = ctx.actor
    return Who(_KINDS.get(actor.kind, "system"), actor.account_id, actor.name, actor.via, asked_from.get())


def record(tx: Tx, ctx: Context, verb: str, subject_id: str = "", *, result: str = "ok", **details: object) -> None:
    """Write what the actor does in the transaction that does it."""
    record_as(tx, ctx.workspace_id, who_of(ctx), verb, subject_id, at=ctx.clock(), result=result, **details)


def record_as(
    tx: Tx,
    workspace_id: str,
    who: Who,
    verb: str,
    subject_id: str = "",
    *,
    at: float | None = None,
    result: str = "ok",
    **details: object,
) -> None:
    """Write what somebody does where there is no context yet: sign-ins, the operator's commands."""
    clean = {name: _clean(name, value) for name, value in details.items() if value is not None}
    moment = time.time() if at is None else at
    rows.append(tx, workspace_id, AuditEntry(moment, who, verb, subject_id, result, clean))


def record_everywhere(tx: Tx, who: Who, verb: str, *, at: float, **details: object) -> None:
    """Write what concerns the whole deployment (keys, backups): in its own chain and in each workspace's."""
    clean = {name: _clean(name, value) for name, value in details.items() if value is not None}
    for workspace_id in (DEPLOYMENT, *account_rows.workspace_ids_anywhere(tx)):
        rows.append(tx, workspace_id, AuditEntry(at, who, verb, "", "ok", clean))


async def list_(
    ctx: Context, wanted: Filter, *, limit: int, before_seq: int | None = None
) -> tuple[list[dict[str, Any]], int | None]:
    """Entries, newest first, and the sequence number to go on before (None at the end). Needs `audit:read`."""
    ctx.require("audit:read")
    found = await ctx.database.read(
        rows.newest,
        ctx.workspace_id,
        limit=limit + 1,
        before_seq=before_seq,
        actor_id=wanted.actor_id,
        subject_id=wanted.subject_id,
        verb=wanted.verb,
        since=wanted.since,
        until=wanted.until,
    )
    return found[:limit], found[limit - 1]["seq"] if len(found) > limit else None


async def head(ctx: Context) -> tuple[int, str]:
    """(sequence number, hash) of the newest entry: noted elsewhere, it proves later that nothing was cut off."""
    ctx.require("audit:read")
    return await ctx.database.read(rows.head, ctx.workspace_id)


async def export(ctx: Context, *, after_seq: int = 0) -> AsyncGenerator[bytes]:
    """The chain in order as JSONL, a page at a time, up to the head it has now."""
    ctx.require("audit:read")
    if after_seq < 0:
        raise Invalid("Send a whole number from 0.", at="after_seq")
    last, _ = await ctx.database.read(rows.head, ctx.workspace_id)
    while after_seq < last:
        page = await ctx.database.read(rows.oldest, ctx.workspace_id, after_seq=after_seq, limit=EXPORT_PAGE)
        if not page:
            return
        after_seq = page[-1]["seq"]
        yield b"".join(orjson.dumps(line) + b"\n" for line in page if line["seq"] <= last)


async def verify_all(database: Database) -> dict[str, Chain]:
    """Walk every chain of the deployment where it lies: by workspace ('' is the deployment's own)."""

    def walk(tx: Tx) -> dict[str, Chain]:
        stray = dict(reversed(rows.stray_anywhere(tx)))
        found = {}
        for workspace_id in rows.chains_anywhere(tx):
            head_seq, head_hash = rows.head(tx, workspace_id)
            chain = verify(rows.lines_of(tx, workspace_id), expected=(head_seq, head_hash) if head_seq else None)
            if chain.whole and workspace_id in stray:
                seq = stray[workspace_id]
                chain = Chain(chain.entries, chain.first_seq, chain.head_seq, chain.head_hash, seq, "its row differs")
            found[workspace_id] = chain
        return found

    return await database.read(walk)


async def prune(scene: Context) -> int:
    """Remove entries older than a year from the beginning of each chain."""
    removed = await scene.database.run(rows.prune_anywhere, scene.clock() - rows.KEPT_SECONDS - 86400.0)
    if removed:
        log.info("audit_pruned", entries=removed)
    return removed


def _clean(name: str, value: object) -> object:
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_clean(name, item) for item in value][:100]
    return redaction.MASK if redaction.is_secret_name(name) else redaction.text(value, limit=300)
