"""The outbox: who is told of some news, and the messages to them, put in by the transaction that the news is of.

Mail goes to the owner and to Workspace Admins, as each of them prefers; webhooks get what they chose. Sending them is
`deliveries`' business, so that a mail server that is away takes nothing with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from keyturn.model.accounts import Member
from keyturn.model.ids import new_id
from keyturn.model.notices import Words, filled, usual_notify
from keyturn.services.context import Context
from keyturn.storage import accounts as account_rows
from keyturn.storage import connections as connection_rows
from keyturn.storage import deliveries as rows
from keyturn.storage import members as member_rows
from keyturn.storage import webhooks as webhook_rows

if TYPE_CHECKING:
    from keyturn.model.connections import Connection
    from keyturn.storage.database import Tx

# Where the thing of a notice is looked at.
PAGES = {
    "connection": "/connections/",
    "oauth_client": "/admin/oauth-clients/",
    "table": "/tables/",
    "schedule": "/schedules/",
}


@dataclass(frozen=True, slots=True)
class News:
    """What happened to what. `account_id`: the member whose own sign-in it is about. `at` is epoch seconds."""

    noun: str
    subject_id: str
    account_id: str | None
    data: dict[str, Any]
    at: float
    more: Mapping[str, Any] = field(default_factory=dict)


def put(tx: Tx, ctx: Context, words: Words, news: News) -> None:
    """The messages to everybody who is told of it."""
    title, sentence = filled(words.title, news.data), filled(words.sentence, news.data)
    url = ctx.deployment.public_url + PAGES[news.noun] + news.subject_id
    about = {"id": news.subject_id, "name": news.data.get("name")}
    if news.noun == "connection" and "end_user" in news.data:
        # Whoever embeds us knows them by this name.
        about["end_user"] = news.data["end_user"]
    body = {
        "type": words.event,
        "timestamp": datetime.fromtimestamp(news.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {
            news.noun: about,
            "title": title,
            "message": sentence,
            "url": url,
            **news.more,
        },
    }
    for webhook in webhook_rows.all_of(tx, ctx.workspace_id):
        if webhook.settings.enabled and words.event in webhook.settings.events:
            _insert(tx, ctx, "webhook", webhook.id, words.event, body)
    if not words.mailed or ctx.egress.mail.settings is None:
        return
    workspace = account_rows.workspace(tx, ctx.workspace_id)
    for member, reason in _readers(tx, ctx, news):
        text = (
            f"{sentence}\n\n{url}\n\n"
            f"Workspace: {workspace.name if workspace else ''}\n"
            f"Since: {datetime.fromtimestamp(news.at, UTC):%d %b %Y %H:%M} UTC\n\n"
            f"You get this because {reason}. Change that: {ctx.deployment.public_url}/preferences\n"
        )
        _insert(tx, ctx, "email", member.account_id, words.event, {"subject": title, "text": text})


def _insert(tx: Tx, ctx: Context, channel: str, target_id: str, event: str, body: dict[str, Any]) -> None:
    values = {"id": new_id("msg"), "channel": channel, "target_id": target_id, "event": event, "body": body}
    rows.insert(tx, ctx.workspace_id, {**values, "created_at": ctx.clock()})


def _readers(tx: Tx, ctx: Context, news: News) -> Iterator[tuple[Member, str]]:
    """The people who get mail of it, and why each of them does."""
    connection = None
    if news.noun != "oauth_client":
        connection = connection_rows.get(tx, ctx.workspace_id, str(news.data.get("connection_id")))
    preferences = member_rows.preferences_of(tx, ctx.workspace_id)
    for member in account_rows.members_of(tx, ctx.workspace_id):
        notify = preferences.get(member.account_id, {}).get("notify") or usual_notify(member.role)
        reason = _reason(member, connection, news)
        owner = reason == "it is yours"
        # A client is nobody's own: whoever administers the workspace wants to know, unless they want nothing.
        wanted = notify == "all" or (notify == "mine" and (owner or news.noun == "oauth_client"))
        if member.kind == "person" and reason is not None and wanted:
            yield member, reason


def _reason(member: Member, connection: Connection | None, news: News) -> str | None:
    """Why somebody may hear of it; None: they may not."""
    if news.noun == "oauth_client":
        return "you are a Workspace Admin" if member.role == "admin" else None
    if connection is None:
        return None
    if (news.account_id or connection.owner_id) == member.account_id:
        return "it is yours"
    if member.role == "admin":
        return "you are a Workspace Admin"
    visible = news.account_id is None and connection.visible_to(member.account_id, member.role)
    return "you chose all connections" if visible else None
