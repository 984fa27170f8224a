"""What becomes of a connect link while somebody signs in through it; nothing is done for an attempt without one.

Each is written in the transaction of what it tells, and only one of them ends a link: a link that was taken back
or has ended meanwhile stores nothing. Its verbs are in `connect_links`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from keyturn.errors import Conflict
from keyturn.model.connect_links import HELD_SECONDS, STATE_SECONDS, ConnectLink, Status
from keyturn.services import audit, events, notices
from keyturn.services.context import Context
from keyturn.storage import connect_links as rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

_OVER = "The link was taken back or has ended while you signed in. Ask for a new one."


async def link_of(ctx: Context, row: dict[str, Any]) -> ConnectLink | None:
    """The connect link that an attempt begins with, if it is one."""
    if row["connect_link_id"] is None:
        return None
    return await ctx.database.read(rows.get, row["workspace_id"], row["connect_link_id"])


def opened(tx: Tx, ctx: Context, row: dict[str, Any]) -> bool:
    """Continue was pressed: from now on it is that browser's. Answers whether the link still waited."""
    if row["connect_link_id"] is None:
        return True
    now = ctx.clock()
    values = {"opened_at": now, "ends_at": now + STATE_SECONDS}
    moved = rows.move(tx, ctx.workspace_id, row["connect_link_id"], ("pending",), values)
    if moved:
        audit.record(tx, ctx, "connect_link.opened", row["connect_link_id"])
    return moved


async def require_pending(ctx: Context, row: dict[str, Any]) -> None:
    """Before the code is exchanged. Raises `Conflict` when the link is over."""
    link = await link_of(ctx, row)
    if row["connect_link_id"] is not None and (link is None or link.status != "pending"):
        raise Conflict(_OVER)


def must_hold(link: ConnectLink | None, before: str | None, now: str | None, *, signed_in: bool) -> bool:
    """Whether somebody has to look at the account first. `before` and `now` are accounts, None where nobody knows.

    A link that holds lets through only whom it knows to be the same; any other sign-in is held if it is known to be
    somebody else's. `signed_in`: whether there was a sign-in before.
    """
    known = before is not None and now is not None
    same = known and str(before).casefold() == str(now).casefold()
    if link is not None and link.hold:
        return not (signed_in and same)
    return known and not same


def held(tx: Tx, ctx: Context, row: dict[str, Any], account: str | None) -> float:
    """Somebody signed in and the account waits to be accepted; until when. Raises `Conflict` when the link is over."""
    until = ctx.clock() + HELD_SECONDS
    _move(tx, ctx, row, ("pending",), "undecided", account=account, ends_at=until)
    who = account or "an account whose name the end system does not tell"
    events.record(tx, ctx, row["connection_id"], "link_held", account=who)
    day = datetime.fromtimestamp(until, UTC)
    more = {"connect_link": _told(tx, ctx, row["connect_link_id"])}
    notices.open(
        tx, ctx, "link_undecided", row["connection_id"], stage=row["connect_link_id"], more=more, account=who,
        until=f"{day:%d %b %H:%M} UTC",
    )  # fmt: skip
    return until


def completed(tx: Tx, ctx: Context, row: dict[str, Any], account: str | None) -> None:
    """The sign-in is stored. Raises `Conflict`, so that nothing is, when the link is over."""
    if row["connect_link_id"] is not None:
        _move(tx, ctx, row, ("pending", "undecided"), "completed", account=account)
        _announce(tx, ctx, row, "connect_link.completed")


def failed(tx: Tx, ctx: Context, row: dict[str, Any], error: dict[str, Any]) -> None:
    """It came to nothing; a link that is over already stays as it is."""
    if row["connect_link_id"] is not None:
        values = {"status": "failed", "error": error, "ended_at": ctx.clock()}
        if rows.move(tx, ctx.workspace_id, row["connect_link_id"], ("pending", "undecided"), values):
            _announce(tx, ctx, row, "connect_link.failed")


def over(tx: Tx, ctx: Context, link: ConnectLink, status: Status) -> bool:
    """It ended unused, or was taken back; answers whether it had not ended before."""
    values = {"status": status, "ended_at": ctx.clock()}
    moved = rows.move(tx, ctx.workspace_id, link.id, ("pending", "undecided"), values)
    if moved:
        row = {"connect_link_id": link.id, "connection_id": link.connection_id}
        if status == "expired":
            audit.record(tx, ctx, "connect_link.expired", link.id, connection=link.connection_name)
            _announce(tx, ctx, row, "connect_link.expired")
        else:
            notices.close(tx, ctx, "link_undecided", link.connection_id, silently=True)
    return moved


def _move(
    tx: Tx, ctx: Context, row: dict[str, Any], before: tuple[Status, ...], status: Status, **values: object
) -> None:
    ended: dict[str, Any] = {} if status == "undecided" else {"ended_at": ctx.clock()}
    if not rows.move(tx, ctx.workspace_id, row["connect_link_id"], before, {"status": status, **ended, **values}):
        raise Conflict(_OVER)


def _announce(tx: Tx, ctx: Context, row: dict[str, Any], event: str) -> None:
    notices.close(tx, ctx, "link_undecided", row["connection_id"], silently=True)
    told = _told(tx, ctx, row["connect_link_id"])
    notices.announce(tx, ctx, event, "connection", row["connection_id"], more={"connect_link": told})


def _told(tx: Tx, ctx: Context, link_id: str) -> dict[str, Any]:
    """What a message says of a link: whose it is and how it stands, nothing that opens it."""
    link = rows.get(tx, ctx.workspace_id, link_id)
    if link is None:
        return {"id": link_id}
    return {
        "id": link.id,
        "status": link.status,
        "end_user": link.end_user,
        "oauth_client_id": link.oauth_client_id,
        "account": link.account,
        "error": None if link.error is None else link.error.get("message"),
    }
