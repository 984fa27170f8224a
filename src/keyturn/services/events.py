"""Events: what happened to a connection, an OAuth client or an import, in words. Each kind has one sentence here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keyturn import redaction
from keyturn.model.audit import noun_of
from keyturn.model.ids import new_id
from keyturn.services import audit
from keyturn.services.context import Context
from keyturn.storage import events as rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

# kind → (the word of the timeline, the state it is drawn with, the sentence)
KINDS: dict[str, tuple[str, str, str]] = {
    "created": ("Created", "unconnected", "It was made."),
    "connected": ("Connected", "healthy", "Connected as {account}."),
    "reconnected": ("Reconnected", "healthy", "Reconnected as {account}."),
    "refreshed": ("Token refreshed", "healthy", "New refresh token: {rotated}."),
    "renewed": ("Token renewed", "healthy", "The client asked for a new one by itself."),
    "refresh_failed": ("Refresh failed", "retrying", "{sentence} We retry by ourselves."),
    "refresh_rejected": ("Refresh rejected", "reconnect", "{error}: Reconnect needed."),
    "client_refused": ("Client refused", "attention", "{error}: a Workspace Admin should replace the secret."),
    "sign_in_failed": ("Sign-in failed", "attention", "{sentence}"),
    "disconnected": ("Disconnected", "unconnected", "{sentence}"),
    "base_url_changed": ("Base URL changed", "reconnect", "Its host changed, so the sign-in was destroyed."),
    "transferred": ("Transferred", "attention", "It is {name}’s now; data still comes through the old account."),
    "paused": ("Paused", "paused", "Nothing is read until it is resumed."),
    "resumed": ("Resumed", "healthy", "Reading goes on."),
    "tested": ("Tested", "healthy", "{sentence}"),
    "settings_changed": ("Settings changed", "unconnected", "{fields}"),
    "secret_replaced": ("Secret replaced", "healthy", "The Client Secret was replaced."),
    "secret_cleared": ("Secret cleared", "attention", "A URL changed, so the Client Secret was cleared."),
    "key_made": ("Key made", "healthy", "A key that signs for us was made; its public half is published."),
    "key_removed": ("Key removed", "unconnected", "A key that signed for us was removed."),
    "secret_removed": ("Secret removed", "unconnected", "A Client Secret was removed."),
    "slowed_down": ("Slowed down by API", "retrying", "{sentence}"),
}
KEPT_SECONDS = 90 * 86400.0
FAILURES = frozenset({"refresh_failed", "refresh_rejected", "client_refused", "sign_in_failed"})


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a timeline. `at` is epoch seconds; `state` says how it is drawn; `data` holds no secret."""

    id: str
    kind: str
    word: str
    state: str
    sentence: str
    at: float
    actor_name: str | None
    data: dict[str, Any]


def record(tx: Tx, ctx: Context, subject_id: str, kind: str, **data: object) -> None:
    """Write an event in the transaction of what it tells, and its audit entry; values are cleaned of secrets first."""
    clean = {name: redaction.text(value, limit=300) for name, value in data.items() if value is not None}
    actor = ctx.actor.account_id or None
    values = {"subject_id": subject_id, "kind": kind, "data": clean, "actor_id": actor, "at": ctx.clock()}
    rows.insert(tx, ctx.workspace_id, {"id": new_id("ev"), **values})
    result = "failed" if kind in FAILURES else "ok"
    audit.record(tx, ctx, f"{noun_of(subject_id)}.{kind}", subject_id, result=result, **clean)


async def of_subject(ctx: Context, subject_id: str, *, limit: int = 100) -> list[Event]:
    """The newest events of one thing."""
    found = await ctx.database.read(rows.of_subject, ctx.workspace_id, subject_id, limit)
    return [_event(row) for row in found]


async def prune(scene: Context) -> int:
    """Remove what is older than 90 days; the audit log keeps who did what for longer."""
    return await scene.database.run(rows.prune_anywhere, scene.clock() - KEPT_SECONDS)


def _event(row: dict[str, Any]) -> Event:
    word, state, template = KINDS.get(row["kind"], (row["kind"], "unconnected", ""))
    sentence = template.format_map(_Blank(row["data"]))
    return Event(row["id"], row["kind"], word, state, sentence, row["at"], row["actor_name"], row["data"])


class _Blank(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "unknown"
