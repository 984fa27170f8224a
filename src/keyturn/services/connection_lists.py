"""Lists of connections a page at a time: what is left out is left out by the database, of thousands of end users too.

A state is worked out from the sign-in that counts for whoever asks, so the database narrows it down and the rest is
looked at here: at most `LOOKED_MOST` connections for one page, which may therefore be short and still go on.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from keyturn.errors import Invalid
from keyturn.model.connections import Connection, Status
from keyturn.services import connections
from keyturn.services.context import Context
from keyturn.storage import connection_lists as rows
from keyturn.storage import grants as grant_rows
from keyturn.storage import tables as table_rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

LOOKED_MOST = 1000
BADGE_MOST = 100
STATUSES: tuple[str, ...] = get_args(Status)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which connections: of an end user, on an OAuth client, in a state; whatever is None does not matter."""

    end_user: str | None = None
    oauth_client_id: str | None = None
    status: str | None = None


async def page(
    ctx: Context, wanted: Wanted, *, limit: int = 100, cursor: str | None = None
) -> tuple[list[Connection], str | None]:
    """The connections the actor may see, by name, and where to go on. Raises `Invalid` for another state or cursor."""
    if wanted.status is not None and wanted.status not in STATUSES:
        raise Invalid(f"A status is one of {', '.join(STATUSES)}.", at="status")
    after = _opened(cursor)
    if any("\0" in value for value in (wanted.end_user, wanted.oauth_client_id) if value is not None):
        return [], None  # which no text of a database holds

    def fetch(tx: Tx) -> tuple[list[Connection], str | None]:
        last, looked, found = after, 0, list[Connection]()
        while looked < LOOKED_MOST:
            part = _part(tx, ctx, wanted, after=last, limit=limit + 1 - len(found))
            looked += len(part)
            for item in part:
                if wanted.status in {None, item.status}:
                    if len(found) == limit:
                        return found, last
                    found.append(item)
                last = item.name
            if not part:
                return found, None
        return found, last

    found, last = await ctx.database.read(fetch)
    return found, None if last is None else base64.urlsafe_b64encode(last.encode()).decode()


async def count_broken(ctx: Context) -> int:
    """How many need a reconnect, as the main menu shows it; counted up to `BADGE_MOST`."""
    return len((await page(ctx, Wanted(status="reconnect_needed"), limit=BADGE_MOST))[0])


async def visible_ids(ctx: Context) -> set[str]:
    """The ids of all that the actor may see."""
    return await ctx.database.read(rows.visible_ids, ctx.workspace_id, _asker(ctx))


def _part(tx: Tx, ctx: Context, wanted: Wanted, *, after: str | None, limit: int) -> list[Connection]:
    found = rows.page(
        tx,
        ctx.workspace_id,
        _asker(ctx),
        after=after,
        limit=limit,
        end_user=wanted.end_user,
        oauth_client_id=wanted.oauth_client_id,
        paused=None if wanted.status is None else wanted.status == "paused",
        broken_by=ctx.clock() if wanted.status == "reconnect_needed" else None,
    )
    ids = [item.id for item in found]
    held = {(g.connection_id, g.account_id): g for g in grant_rows.all_of_connections(tx, ctx.workspace_id, ids)}
    counts = table_rows.counts_by_connection(tx, ctx.workspace_id, ids)
    return [
        connections.with_health(ctx, item, held.get((item.id, connections.grant_holder(ctx, item))), counts)
        for item in found
    ]


def _asker(ctx: Context) -> str | None:
    """Whose eyes a list is narrowed down to; a Workspace Admin sees that each one exists."""
    return None if ctx.actor.is_admin else ctx.actor.account_id


def _opened(cursor: str | None) -> str | None:
    if cursor is None:
        return None
    try:
        last = base64.urlsafe_b64decode(cursor.encode()).decode()
    except (ValueError, binascii.Error):
        last = ""
    if not last.isidentifier():
        raise Invalid("This cursor is not one of ours. Take next_cursor as it was answered.", at="cursor")
    return last
