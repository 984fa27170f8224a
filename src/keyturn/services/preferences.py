"""What a person prefers: which notices they get by email."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keyturn.model.notices import Preferences, usual_notify
from keyturn.model.validation import parse
from keyturn.services import audit
from keyturn.services.context import Context
from keyturn.storage import members as rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx


async def get(ctx: Context) -> Preferences:
    """The actor's preferences, or the usual ones of their role."""
    found = await ctx.database.read(rows.preferences_of, ctx.workspace_id)
    mine = found.get(ctx.actor.account_id, {})
    return Preferences(notify=mine.get("notify") or usual_notify(ctx.actor.role))


async def update(ctx: Context, raw: Mapping[str, Any]) -> Preferences:
    """Store the actor's preferences, for every workspace they are in. Raises `Invalid`."""
    preferences = parse(Preferences, raw)

    def write(tx: Tx) -> None:
        rows.set_preferences(tx, ctx.actor.account_id, preferences.model_dump(mode="json"))
        audit.record(tx, ctx, "account.preferences_changed", ctx.actor.account_id, notify=preferences.notify)

    await ctx.database.run(write)
    return preferences
