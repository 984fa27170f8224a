"""Events: what happened to a connection, an OAuth client or an import, in words. Each kind has one sentence here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keyturn import redaction
from keyturn.errors import Invalid
from keyturn.model import keyset
from keyturn.model.audit import noun_of
from keyturn.model.connections import Connection, Status
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
    "refresh_failed": ("Refresh failed", "retrying", "{sentence} Retrying at {again}."),
    "refresh_rejected": ("Refresh rejected", "reconnect", "{error}: Reconnect needed."),
    "client_refused": ("Client refused", "attention", "{error}: a Workspace Admin should replace the secret."),
    "signature_refused": ("Signature refused", "attention", "{error}: the end system does not know our key."),
    "client_misconfigured": ("Client misconfigured", "attention", "{error}: check its settings; connections wait."),
    "client_accepted": ("Client accepted again", "healthy", "Its connections go on."),
    "recovered": ("Recovered", "healthy", "It is renewed again."),
    "sign_in_failed": ("Sign-in failed", "attention", "{sentence}"),
    "link_made": ("Connect link made", "unconnected", "Whoever has it may sign in until {until}."),
    "link_held": ("To be accepted", "attention", "Signed in through a link as {account}; nothing is read with it yet."),
    "link_refused": ("Not accepted", "unconnected", "The sign-in of {account} was dropped."),
    "link_revoked": ("Connect link taken back", "unconnected", "It cannot be used any more."),
    "disconnected": ("Disconnected", "unconnected", "{sentence}"),
    "base_url_changed": ("Base URL changed", "reconnect", "Its host changed, so the sign-in was destroyed."),
    "transferred": ("Transferred", "attention", "It is {name}’s now; data still comes through the old account."),
    "shared": ("Shared", "unconnected", "With {name}: {words}."),
    "share_changed": ("Share changed", "unconnected", "{name}: {before} before, now {words}."),
    "unshared": ("No longer shared", "unconnected", "With {name}: {words} before."),
    "access_changed": ("Access changed", "unconnected", "{before} before, now {now}."),
    "paused": ("Paused", "paused", "Nothing is read until it is resumed."),
    "resumed": ("Resumed", "healthy", "Reading goes on."),
    "restored": ("Restored", "unconnected", "From a backup of {made_at}. {sentence}"),
    "tested": ("Tested", "healthy", "{sentence}"),
    "settings_changed": ("Settings changed", "unconnected", "{fields}"),
    "secret_replaced": ("Secret replaced", "healthy", "The Client Secret was replaced."),
    "secret_cleared": ("Secret cleared", "attention", "A URL changed, so the Client Secret was cleared."),
    "key_made": ("Key made", "healthy", "A key that signs for us was made; its public half is published."),
    "key_removed": ("Key removed", "unconnected", "A key that signed for us was removed."),
    "secret_removed": ("Secret removed", "unconnected", "A Client Secret was removed."),
    "scopes_changed": ("Scopes changed", "attention", "{changes}"),
    "slowed_down": ("Slowed down by API", "retrying", "{sentence}"),
}
# What a connection's timeline tells of its OAuth client.
OF_CLIENT = ("secret_replaced", "secret_cleared", "client_refused", "signature_refused", "client_misconfigured",
             "client_accepted")  # fmt: skip
# A timeline shown in part.
SHOWN: dict[str, tuple[str, ...]] = {
    "problems": tuple(kind for kind, told in KINDS.items() if told[1] in {"attention", "reconnect", "retrying"}),
    "sign_ins": ("connected", "reconnected", "sign_in_failed", "disconnected", "scopes_changed"),
}
# Which status an event leaves a connection in until the next one.
TURNS: dict[str, Status] = {
    "created": "not_connected",
    "connected": "healthy",
    "reconnected": "healthy",
    "refreshed": "healthy",
    "renewed": "healthy",
    "recovered": "healthy",
    "client_accepted": "healthy",
    "resumed": "healthy",
    "refresh_failed": "retrying",
    "refresh_rejected": "reconnect_needed",
    "client_refused": "needs_attention",
    "signature_refused": "needs_attention",
    "client_misconfigured": "needs_attention",
    "disconnected": "not_connected",
    "base_url_changed": "not_connected",
    "paused": "paused",
}
# What marks its day and is over with it.
BLIPS: dict[str, Status] = {"slowed_down": "retrying"}
KEPT_SECONDS = 90 * 86400.0
FAILURES = frozenset(
    {
        "refresh_failed",
        "refresh_rejected",
        "client_refused",
        "signature_refused",
        "client_misconfigured",
        "sign_in_failed",
    }
)


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

    @property
    def details(self) -> dict[str, Any]:
        """What is known besides the sentence."""
        template = KINDS.get(self.kind, ("", "", ""))[2]
        return {name: value for name, value in self.data.items() if f"{{{name}}}" not in template}


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


async def of_connection(
    ctx: Context, connection: Connection, *, show: str = "", limit: int = 100, cursor: str | None = None
) -> tuple[list[Event], str | None]:
    """A connection's timeline with what befell its OAuth client, newest first, and where to go on.

    `show`: a name of `SHOWN`, or everything. Raises `Invalid` for another name or cursor.
    """
    if show and show not in SHOWN:
        raise Invalid(f"Show is one of {', '.join(SHOWN)}.", at="show")
    found = await ctx.database.read(
        rows.page,
        ctx.workspace_id,
        _subjects(connection),
        since=connection.created_at,
        kinds=SHOWN.get(show, ()),
        before=keyset.opened(cursor),
        limit=limit + 1,
    )
    page = [_event(row) for row in found[:limit]]
    return page, keyset.sealed(page[-1].at, page[-1].id) if len(found) > limit else None


async def turns(ctx: Context, connection: Connection, *, since: float) -> list[Event]:
    """Where its state turned since then, oldest first: what a strip of days is drawn from."""
    kinds = (*TURNS, *BLIPS)
    found = await ctx.database.read(
        rows.turns, ctx.workspace_id, _subjects(connection), since=max(since, connection.created_at), kinds=kinds
    )
    return [_event({**row, "actor_name": None}) for row in found]


def _subjects(connection: Connection) -> dict[str, tuple[str, ...]]:
    client = {} if connection.oauth_client_id is None else {connection.oauth_client_id: OF_CLIENT}
    return {connection.id: (), **client}


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
