"""What a person prefers: which notices they get by email, and whether the first steps are shown."""

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


async def shows_first_steps(ctx: Context) -> bool:
    """Whether the actor's home begins with the checklist, until it is done."""
    found = await ctx.database.read(rows.preferences_of, ctx.workspace_id)
    return bool(found.get(ctx.actor.account_id, {}).get("first_steps", True))


async def show_first_steps(ctx: Context, *, shown: bool) -> None:
    """Hide the checklist from the actor's home, or show it again."""
    await ctx.database.run(_store, ctx, {"first_steps": shown})


async def update(ctx: Context, raw: Mapping[str, Any]) -> Preferences:
    """Store the actor's preferences, for every workspace they are in. Raises `Invalid`."""
    preferences = parse(Preferences, raw)

    def write(tx: Tx) -> None:
        _store(tx, ctx, preferences.model_dump(mode="json"))
        audit.record(tx, ctx, "account.preferences_changed", ctx.actor.account_id, notify=preferences.notify)

    await ctx.database.run(write)
    return preferences


def _store(tx: Tx, ctx: Context, values: dict[str, Any]) -> None:
    mine = rows.preferences_of(tx, ctx.workspace_id).get(ctx.actor.account_id, {})
    rows.set_preferences(tx, ctx.actor.account_id, {**mine, **values})
