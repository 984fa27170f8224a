"""Notices: one for each episode of trouble, however many replicas and calls see it. Verbs tell what they find out:

    notices.open(tx, ctx, "reconnect_needed", connection_id, why="access was revoked")
    notices.close(tx, ctx, "reconnect_needed", connection_id)

Both belong into the transaction that writes what they tell. `open` does nothing while an episode of that kind is open
for that thing, and `close` nothing when none is, so both may be called as often as the state is seen. `stage` is for
trouble that grows (30, 7, 1 days left): each stage is told once. `tell` is for what has no length, `announce` for
what is no trouble. Kinds and their
words are in `model/notices.py`; blanks are filled from keyword arguments, `name` and `system` by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import structlog
from prometheus_client import Counter

from keyturn import redaction
from keyturn.model import keyset
from keyturn.model.ids import new_id
from keyturn.model.lifetimes import in_words
from keyturn.model.notices import ANNOUNCED, KINDS, Notice, Words
from keyturn.services import outbox
from keyturn.services.context import Context
from keyturn.services.outbox import News
from keyturn.storage import connections as connection_rows
from keyturn.storage import notices as rows
from keyturn.storage import oauth_clients as client_rows
from keyturn.storage import schedules as schedule_rows
from keyturn.storage import tables as table_rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

log = structlog.get_logger(__name__)

counted = Counter("keyturn_notices_total", "Episodes of trouble by kind, as they begin and end", ["kind", "what"])
KEPT_SECONDS = 90 * 86400.0


def open(  # noqa: A001 - read as notices.open
    tx: Tx,
    ctx: Context,
    kind: str,
    subject_id: str,
    *,
    account_id: str | None = None,
    stage: str = "",
    more: Mapping[str, Any] | None = None,
    **data: object,
) -> bool:
    """Begin an episode, or move the open one on to another stage; answers whether there is something new to tell.

    `account_id`: the member whose own sign-in it is about; None for everybody's. `more` goes to webhooks as it is.
    """
    values = _values(tx, ctx, kind, subject_id, account_id=account_id, stage=stage, data=data)
    if values is None:
        return False
    new = rows.open_(tx, ctx.workspace_id, values)
    if not new:
        holder = account_id or ""
        new = rows.advance(tx, ctx.workspace_id, kind, subject_id, holder, stage, values["data"]) is not None
    if new:
        counted.labels(kind, "opened").inc()
        log.info("notice_opened", kind=kind, subject=subject_id, stage=stage or None)
        outbox.put(tx, ctx, KINDS[kind].begins, _news(kind, values, values["opened_at"], more))
    return new


def close(
    tx: Tx, ctx: Context, kind: str, subject_id: str, *, account_id: str | None = None, silently: bool = False
) -> bool:
    """End the open episode, if there is one; answers whether there was. `silently`: nobody is told that it is over."""
    notice = rows.close(tx, ctx.workspace_id, kind, subject_id, account_id or "", ctx.clock())
    if notice is None:
        return False
    counted.labels(kind, "closed").inc()
    log.info("notice_closed", kind=kind, subject=subject_id, silently=silently)
    words = KINDS[kind].ends
    if words is not None and not silently:
        length = in_words(max(1, round(ctx.clock() - notice.opened_at)) * 1000)
        values = {"subject_id": subject_id, "account_id": account_id, "data": {**notice.data, "length": length}}
        outbox.put(tx, ctx, words, _news(kind, values, ctx.clock()))
    return True


def tell(tx: Tx, ctx: Context, kind: str, subject_id: str, **data: object) -> None:
    """Something that happened once and is over."""
    values = _values(tx, ctx, kind, subject_id, account_id=None, stage="", data=data)
    if values is not None:
        rows.insert_closed(tx, ctx.workspace_id, values)
        outbox.put(tx, ctx, KINDS[kind].begins, _news(kind, values, values["opened_at"]))


def announce(
    tx: Tx, ctx: Context, event: str, noun: str, subject_id: str, *, more: dict[str, Any] | None = None
) -> None:
    """Tell webhooks of what is no trouble: no episode, no mail. `more` goes into the message as it is."""
    about = _about(tx, ctx, noun, subject_id)
    if about is not None:
        words = Words(event, ANNOUNCED[event], ANNOUNCED[event] + ".", mailed=False)
        outbox.put(tx, ctx, words, News(noun, subject_id, None, about, ctx.clock(), more or {}))


def import_ended(tx: Tx, ctx: Context, import_id: str, table_id: str, ended: Mapping[str, Any]) -> None:
    """One notice for however many imports of a table fail in a row, and one when it is imported whole again.

    `ended`: `status`, `rows`, `files`, `error` and `completeness` of the import, which ended in this transaction.
    """
    status = ended["status"]
    told = {"id": import_id, "status": status, "rows": ended.get("rows")}
    announce(tx, ctx, "import.finished", "table", table_id, more={"import": told})
    mark = " ".join(sorted(str(file["sha256"]) for file in ended.get("files") or ()))
    if ended.get("rows") and mark and table_rows.note_data(tx, ctx.workspace_id, table_id, mark, ctx.clock()):
        close(tx, ctx, "no_new_data", table_id)
    if status == "complete":
        close(tx, ctx, "import_failed", table_id)
    elif status in {"failed", "incomplete"}:
        outcome = "failed" if status == "failed" else "is incomplete"
        open(tx, ctx, "import_failed", table_id, outcome=outcome, sentence=_why_not_whole(ended))


def _why_not_whole(ended: Mapping[str, Any]) -> str:
    if ended.get("error"):
        return str(ended["error"]["message"])
    stamp = ended.get("completeness") or {}
    reason = str(stamp.get("stop_reason") or "unknown").replace("_", " ")
    return f"It ended after {stamp.get('rows', 0):,} rows ({reason}). The previous file is untouched."


async def list_(
    ctx: Context, *, open_only: bool = False, limit: int = 100, cursor: str | None = None
) -> tuple[list[Notice], str | None]:
    """Episodes about what the actor may see, newest first, and where to go on."""
    before = keyset.opened(cursor)

    def fetch(tx: Tx) -> tuple[list[Notice], str | None]:
        found = rows.newest(tx, ctx.workspace_id, open_only=open_only, before=before, limit=limit + 1)
        page = found[:limit]
        visible = _visible(tx, ctx)
        onward = keyset.sealed(page[-1].opened_at, page[-1].id) if len(found) > limit else None
        return [notice for notice in page if _may_see(ctx, notice, visible)], onward

    return await ctx.database.read(fetch)


def _values(
    tx: Tx, ctx: Context, kind: str, subject_id: str, *, account_id: str | None, stage: str, data: dict[str, object]
) -> dict[str, Any] | None:
    """The columns of an episode; None when its thing is gone."""
    about = _about(tx, ctx, KINDS[kind].noun, subject_id)
    if about is None:
        return None
    return {
        "id": new_id("nt"),
        "kind": kind,
        "subject_id": subject_id,
        "account_id": account_id or "",
        "stage": stage,
        "data": _clean({**about, **data}),
        "opened_at": ctx.clock(),
    }


def _clean(data: Mapping[str, object]) -> dict[str, str]:
    return {name: redaction.text(value, limit=500) for name, value in data.items() if value is not None}


def _news(kind: str, values: Mapping[str, Any], at: float, more: Mapping[str, Any] | None = None) -> News:
    return News(KINDS[kind].noun, values["subject_id"], values["account_id"] or None, values["data"], at, more or {})


def _about(tx: Tx, ctx: Context, noun: str, subject_id: str) -> dict[str, str] | None:
    """The names a sentence needs."""
    if noun == "oauth_client":
        client = client_rows.get(tx, ctx.workspace_id, subject_id)
        return None if client is None else {"name": client.name}
    if noun == "table":
        table = table_rows.get(tx, ctx.workspace_id, subject_id)
        return None if table is None else {"name": table.full_name, "connection_id": table.settings.connection_id}
    if noun == "schedule":
        schedule = schedule_rows.get(tx, ctx.workspace_id, subject_id)
        held = None if schedule is None else table_rows.get(tx, ctx.workspace_id, schedule.settings.table_id)
        if schedule is None or held is None:
            return None
        return {"name": schedule.name, "connection_id": held.settings.connection_id}
    connection = connection_rows.get(tx, ctx.workspace_id, subject_id)
    if connection is None:
        return None
    theirs = {} if connection.end_user is None else {"end_user": connection.end_user}
    system = connection.oauth_client_name or "its API"
    return {"name": connection.name, "system": system, "connection_id": subject_id, **theirs}


def _visible(tx: Tx, ctx: Context) -> set[str]:
    who = ctx.actor
    found = connection_rows.all_of(tx, ctx.workspace_id)
    return {connection.id for connection in found if connection.visible_to(who.account_id, who.role)}


def _may_see(ctx: Context, notice: Notice, visible: set[str]) -> bool:
    if KINDS[notice.kind].noun == "oauth_client":
        return ctx.actor.is_admin
    own = notice.account_id in {None, ctx.actor.account_id} or ctx.actor.is_admin
    return own and notice.data.get("connection_id") in visible


async def prune(scene: Context) -> int:
    """Remove episodes that ended 90 days ago."""
    return await scene.database.run(rows.prune_anywhere, scene.clock() - KEPT_SECONDS)
