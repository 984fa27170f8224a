"""Reconnect links for many connections at once: each owner is mailed theirs, or whoever asks copies them.

A mailed link is a sign-in of the owner, and nobody but the owner ever sees it: that is why a Workspace Admin may have
one sent for a connection they may not sign in for. It goes straight to the mail server and not through the outbox,
which keeps messages for months and tries for days, where a link is a secret that is worth something for half an hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from keyturn.errors import Conflict, Forbidden, Invalid, KeyturnError, LimitReached, NotFound, UpstreamError
from keyturn.model.connect_links import ConnectLink, ConnectLinkSettings, Reconnect, ReconnectLinksSettings, clock
from keyturn.model.ids import new_id
from keyturn.model.validation import parse
from keyturn.services import connect_links, connection_lists, connections, oauth_clients
from keyturn.services.context import Context
from keyturn.storage import accounts as account_rows
from keyturn.storage import connect_links as rows

if TYPE_CHECKING:
    from keyturn.model.accounts import Member
    from keyturn.model.connections import Connection
    from keyturn.model.oauth_clients import OAuthClient
    from keyturn.storage.database import Tx

# Whoever asks waits for so long at most; what is left then is told, to be asked for again.
BUSY_SECONDS = 30.0
MAIL_AGAIN_SECONDS = 60.0
NONE = {"scopes": 0, "broken": 0}
_PAGE = 500


async def send_reconnect_links(ctx: Context, raw: Mapping[str, Any]) -> list[Reconnect]:
    """Make a reconnect link for each chosen connection and mail it to its owner; what became of each, by name.

    Raises `Invalid`, `NotFound` before any is made, and `Conflict` where nobody signs in to the client by a page.
    """
    ctx.require_verb("connect_links.reconnect")
    settings = parse(ReconnectLinksSettings, raw)
    if settings.oauth_client_id is not None:
        chosen = await of_client(ctx, settings.oauth_client_id)
    else:
        chosen = [await connections.get(ctx, one) for one in dict.fromkeys(settings.connection_ids or ())]
    began, stopped = ctx.clock(), None
    found: list[Reconnect] = []
    for connection in chosen:
        if stopped is None and ctx.clock() - began > BUSY_SECONDS:
            stopped = LimitReached("This took too long. Ask for the rest again.", retry_after_seconds=1.0)
        if stopped is not None:
            found.append(_not_made(connection, stopped))
            continue
        again = settings.connection_ids is not None
        result, stopped = await _one(ctx, connection, again=again)
        found.append(result)
    return found


async def of_client(ctx: Context, oauth_client_id: str) -> list[Connection]:
    """The connections on it that need a new sign-in, as far as the actor sees them. Raises `NotFound`, `Conflict`."""
    client = await oauth_clients.get(ctx, oauth_client_id)
    if client.settings.grant_type != "authorization_code":
        raise Conflict(f"Nobody signs in to {client.name} by a page, so there is no link to send.")
    wanted = connection_lists.Wanted(oauth_client_id=oauth_client_id)
    found: list[Connection] = []
    cursor: str | None = None
    while True:
        page, cursor = await connection_lists.page(ctx, wanted, limit=_PAGE, cursor=cursor)
        scopes = client.settings.scopes
        found += [one for one in page if one.status == "reconnect_needed" or asked_for_others(one, scopes)]
        if cursor is None:
            return found


async def count(ctx: Context, client: OAuthClient) -> dict[str, int]:
    """How many on it keep older `scopes`, and how many more are `broken`; of none where nobody signs in by a page."""
    if client.settings.grant_type != "authorization_code":
        return dict(NONE)
    found = await of_client(ctx, client.id)
    scopes = sum(asked_for_others(one, client.settings.scopes) for one in found)
    return {"scopes": scopes, "broken": len(found) - scopes}


def asked_for_others(connection: Connection, scopes: str) -> bool:
    """Whether its sign-in asked for other scopes than the OAuth client asks for now."""
    return connection.generation > 0 and set(connection.scopes_requested) != set(scopes.split())


def may_send(ctx: Context, connection: Connection) -> bool:
    """Whether the actor may have a link sent to its owner: they are the owner, or a Workspace Admin."""
    return ctx.may("connect_links.reconnect") and (ctx.actor.is_admin or connection.owner_id == ctx.actor.account_id)


async def _one(ctx: Context, connection: Connection, *, again: bool) -> tuple[Reconnect, KeyturnError | None]:
    """What became of this one, and what keeps all others from going better."""
    owner = await ctx.database.read(account_rows.member, ctx.workspace_id, connection.owner_id)
    left_out = _left_out(ctx, connection, owner)
    if left_out is None and not again:
        left_out = await _sent_before(ctx, connection)
    if left_out is not None or owner is None:
        return left_out or _skipped(connection, "owner_left", ""), None
    try:
        await connect_links.check_pace(ctx)
    except LimitReached as error:
        return _not_made(connection, error), error
    by_mail = owner.kind == "person" and ctx.egress.mail.settings is not None
    try:
        return await (_mailed(ctx, connection, owner) if by_mail else _copied(ctx, connection, owner))
    except (Conflict, Invalid, NotFound) as error:
        return _skipped(connection, _reason(error), error.message), None
    except LimitReached as error:
        # The owner's own limit: others' links go on.
        return _not_made(connection, error), None
    except KeyturnError as error:
        # Links that were made until now are still told.
        return _not_made(connection, error), error


def _reason(error: KeyturnError) -> str:
    """Why this one alone cannot have a link, for programs."""
    if isinstance(error, Conflict):
        return "client" if error.message_code == "E-CLIENT" else "nobody_signs_in"
    return "gone" if isinstance(error, NotFound) else "host"


async def _mailed(ctx: Context, connection: Connection, owner: Member) -> tuple[Reconnect, KeyturnError | None]:
    settings = ConnectLinkSettings(connection_id=connection.id)
    await connect_links.check_connection(ctx, connection, settings)
    actor = replace(
        ctx.actor, account_id=owner.account_id, name=owner.name, email=owner.email, role=owner.role,
        permissions=frozenset[str](),
    )  # fmt: skip
    link, url = await connect_links.store(ctx, connection, settings, signer=ctx.as_actor(actor), sent_to=owner.email)
    workspace = await ctx.database.read(_workspace_name, ctx.workspace_id)
    subject, text = _message(ctx, connection, link, url, workspace)
    try:
        await ctx.egress.mail.send(to=owner.email, subject=subject, text=text, message_id=new_id("msg"))
    except UpstreamError as error:
        # Nobody has it, so that it shall be no use to anybody.
        await connect_links.revoke(ctx, link.id)
        permanent = error.details.get("permanent") is True
        return _not_made(connection, error), None if permanent else error
    return Reconnect(
        connection.id,
        connection.name,
        "sent",
        f"Sent to {owner.email}.",
        connect_link_id=link.id,
        sent_to=owner.email,
        expires_at=link.expires_at,
    ), None


async def _copied(ctx: Context, connection: Connection, owner: Member) -> tuple[Reconnect, KeyturnError | None]:
    """Told to the actor, and so only where the actor could make it today."""
    try:
        link, url = await connect_links.create(ctx, {"connection_id": connection.id})
    except Forbidden:
        how = "No mail server is set up" if owner.kind == "person" else f"{owner.name} is a service account"
        sentence = f"{how}, and the sign-in is {owner.name}’s alone. Ask them to reconnect {connection.name}."
        return _skipped(connection, "not_yours", sentence), None
    who = connection.end_user or owner.name
    return Reconnect(
        connection.id,
        connection.name,
        "copied",
        f"Send this link to {who}; it is shown once.",
        connect_link_id=link.id,
        url=url,
        expires_at=link.expires_at,
    ), None


def _left_out(ctx: Context, connection: Connection, owner: Member | None) -> Reconnect | None:
    name = connection.name
    if connection.oauth_client_id is None:
        return _skipped(connection, "nobody_signs_in", f"{name} is not on an OAuth 2.0 client: nobody signs in.")
    if owner is None:
        return _skipped(connection, "owner_left", f"{connection.owner_name} left. Transfer {name} to somebody first.")
    if not may_send(ctx, connection):
        return _skipped(connection, "not_yours", f"{name} is {owner.name}’s. They or a Workspace Admin can send it.")
    if connection.settings.access == "own_account" and connection.owner_id != ctx.actor.account_id:
        page = f"{ctx.deployment.public_url}/connections/{connection.id}"
        return _skipped(connection, "own_account", f"Everybody signs in to {name} for themselves, at {page}.")
    return None


async def _sent_before(ctx: Context, connection: Connection) -> Reconnect | None:
    """Asking twice for a client's connections sends nobody two mails, and so gets to those that were left."""
    link = await ctx.database.read(rows.waiting, ctx.workspace_id, connection.id, ctx.clock())
    if link is None:
        return None
    sentence = f"{link.made_by} made a link at {clock(link.created_at)}, which works until {clock(link.expires_at)}."
    return _skipped(connection, "made_already", sentence)


def _skipped(connection: Connection, reason: str, sentence: str) -> Reconnect:
    return Reconnect(connection.id, connection.name, "skipped", sentence, reason)


def _not_made(connection: Connection, error: KeyturnError) -> Reconnect:
    wait = getattr(error, "retry_after_seconds", None)
    if wait is None and error.details.get("permanent") is not True:
        wait = MAIL_AGAIN_SECONDS
    reason = "limit" if isinstance(error, LimitReached) else "mail" if isinstance(error, UpstreamError) else "trouble"
    return Reconnect(connection.id, connection.name, "not_made", error.message, reason, retry_after_seconds=wait)


def _message(ctx: Context, connection: Connection, link: ConnectLink, url: str, workspace: str) -> tuple[str, str]:
    system = connection.oauth_client_name or "its end system"
    page = f"{ctx.deployment.public_url}/connections/{connection.id}"
    text = (
        f"{ctx.actor.name} asks you to sign in again at {system}, for the connection {connection.name}.\n\n{url}\n\n"
        f"The link works once, until {clock(link.expires_at)}. Whoever opens it signs in with their own account, so "
        f"keep it to yourself. When it has ended, sign in to Keyturn and press Reconnect: {page}\n\n"
        f"Workspace: {workspace}\n\n"
        f"You get this because {connection.name} is yours.\n"
    )
    return f"Reconnect {connection.name} ({system})", text


def _workspace_name(tx: Tx, workspace_id: str) -> str:
    found = account_rows.workspace(tx, workspace_id)
    return "" if found is None else found.name
