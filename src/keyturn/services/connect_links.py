"""Connect links: make, look, accept, take back. A link makes the connection of an end user if there is none yet.

What becomes of one while somebody signs in is in `link_outcomes`; the page it opens in `confirmations`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog

from keyturn.errors import Conflict, Forbidden, Invalid, KeyturnError, LimitReached, NotFound
from keyturn.model import keyset
from keyturn.model.connect_links import STATUSES, ConnectLink, ConnectLinkSettings, clock
from keyturn.model.connections import Connection, ConnectionSettings
from keyturn.model.ids import new_id, slug_of
from keyturn.model.oauth_clients import OAuthClient
from keyturn.model.validation import parse
from keyturn.services import (
    account_switches,
    authorizations,
    base_urls,
    connections,
    events,
    link_outcomes,
    oauth_clients,
)
from keyturn.services.context import Context
from keyturn.storage import authorizations as authorization_rows
from keyturn.storage import connect_links as rows
from keyturn.storage import connections as connection_rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

log = structlog.get_logger(__name__)

KEPT_SECONDS = 90 * 86400.0
# Of a whole workspace: five times what one member may.
PACE_MOST, PACE_SECONDS = 5 * authorizations.PACE_MOST, authorizations.PACE_SECONDS
_BATCH = 50
_NONE = "There is no such connect link in this workspace."


async def create(ctx: Context, raw: Mapping[str, Any]) -> tuple[ConnectLink, str]:
    """A link and the address that opens it, which is told this once; an end user's connection is made if need be.

    Raises `Invalid` (also for a return URL or a host that the client does not list), `Forbidden`, `NotFound`, and
    `Conflict` where nobody can sign in by a page, and `LimitReached`.
    """
    ctx.require_verb("connect_links.create")
    settings = parse(ConnectLinkSettings, raw)
    # Before anything is made, so that a refused link leaves no connection behind.
    await check_pace(ctx)
    if settings.connection_id is not None:
        connection = await connections.get(ctx, settings.connection_id)
        await check_connection(ctx, connection, settings)
    else:
        client = await _client_of(ctx, settings.oauth_client_id, "This connect link")
        connection = await _of_end_user(ctx, client, settings)
    return await store(ctx, connection, settings)


async def store(
    ctx: Context,
    connection: Connection,
    settings: ConnectLinkSettings,
    *,
    signer: Context | None = None,
    sent_to: str | None = None,
) -> tuple[ConnectLink, str]:
    """The link itself, once it was checked. `signer`: the member it is a sign-in of, whom it is mailed to (`sent_to`).

    Without one it is a sign-in of whoever makes it. Raises as `authorizations.begin` does.
    """
    scene = signer or ctx
    registration, attempt, url = await authorizations.draft(scene, connection, settings.expires_in_seconds)
    link_id = new_id("cl")
    values = {
        "id": link_id,
        "connection_id": connection.id,
        "oauth_client_id": registration.client.id,
        "account_id": ctx.actor.account_id,
        "end_user": connection.end_user,
        "return_url": settings.return_url,
        # Who is outside gave no name; who embeds us knows whom it sent there.
        "hold": connection.end_user is None if settings.hold is None else settings.hold,
        "created_at": attempt["created_at"],
        "expires_at": attempt["expires_at"],
        "ends_at": attempt["expires_at"],
    }

    def write(tx: Tx) -> None:
        rows.insert(tx, ctx.workspace_id, values)
        authorization_rows.insert(tx, ctx.workspace_id, attempt | {"connect_link_id": link_id})
        told = {"connect_link": link_id, "until": clock(attempt["expires_at"]), "end_user": connection.end_user}
        events.record(tx, ctx, connection.id, "link_made", **told, sent_to=sent_to)

    await ctx.database.run(write)
    return await get(ctx, link_id), url


async def get(ctx: Context, link_id: str) -> ConnectLink:
    """One link as it stands: of whoever made it, whose connection it is for, and of Workspace Admins. `NotFound`."""
    ctx.require_verb("connect_links.get")
    found = await ctx.database.read(rows.get, ctx.workspace_id, link_id)
    mine = found is not None and ctx.actor.account_id in {found.account_id, found.owner_id}
    if found is None or not (mine or ctx.actor.is_admin):
        raise NotFound(_NONE)
    return replace(found, status=found.at(ctx.clock()))


async def list_(
    ctx: Context, *, limit: int = 100, cursor: str | None = None, status: str | None = None, **equal: str | None
) -> tuple[list[ConnectLink], str | None]:
    """Links of the last 90 days, newest first, and where to go on. `equal`: `connection_id`, `end_user`, …"""
    ctx.require_verb("connect_links.list")
    if status is not None and status not in STATUSES:
        raise Invalid(f"A status is one of {', '.join(STATUSES)}.", at="status")
    seen_by = None if ctx.actor.is_admin else ctx.actor.account_id
    found = await ctx.database.read(
        rows.newest, ctx.workspace_id, limit=limit + 1, before=keyset.opened(cursor), seen_by=seen_by, status=status,
        **equal,
    )  # fmt: skip
    page = [replace(link, status=link.at(ctx.clock())) for link in found[:limit]]
    return page, keyset.sealed(page[-1].created_at, page[-1].id) if len(found) > limit else None


async def accept(ctx: Context, link_id: str) -> ConnectLink:
    """Read with the account that somebody signed in as. Raises `NotFound`, and `Conflict` if that is not waited for."""
    link = await get(ctx, link_id)
    ctx.require_verb("connect_links.accept")
    if link.status != "undecided":
        raise Conflict(f"This link does not wait to be accepted: it is {link.status}.")
    await account_switches.decide_held(ctx, await _attempt_of(ctx, link), switch=True)
    return await get(ctx, link_id)


async def revoke(ctx: Context, link_id: str) -> None:
    """Take it back: a sign-in that waits to be accepted is dropped, at the end system too. Raises `NotFound`.

    Nothing happens to one that was used or has ended: disconnect the connection to undo a sign-in.
    """
    link = await get(ctx, link_id)
    ctx.require_verb("connect_links.revoke")
    if link.status == "undecided":
        await account_switches.decide_held(ctx, await _attempt_of(ctx, link), switch=False)
        return

    def write(tx: Tx) -> None:
        if link_outcomes.over(tx, ctx, link, "revoked"):
            events.record(tx, ctx, link.connection_id, "link_revoked", connect_link=link.id)

    await ctx.database.run(write)


async def end_due(scene: Context) -> int:
    """Write down which links ended unused, and drop what waited too long to be accepted; answers how many."""
    due = await scene.database.read(rows.due_anywhere, scene.clock(), _BATCH)
    for link in due:
        ctx = replace(scene, workspace_id=link.workspace_id)
        ended = await ctx.database.run(link_outcomes.over, ctx, link, "expired")
        if ended and link.status == "undecided":
            await _drop_held(ctx, link)
    return len(due)


async def prune(scene: Context) -> int:
    """Remove links that ended 90 days ago."""
    return await scene.database.run(rows.prune_anywhere, scene.clock() - KEPT_SECONDS)


async def _drop_held(scene: Context, link: ConnectLink) -> None:
    attempt = await scene.database.read(authorization_rows.of_link, link.workspace_id, link.id)
    if attempt is None:
        return
    try:
        ctx, _ = await authorizations.starter(scene, attempt)
        await account_switches.decide_held(ctx, attempt["id"], switch=False)
    except KeyturnError as error:
        log.info("held_sign_in_not_dropped", connect_link=link.id, code=error.code)


async def _attempt_of(ctx: Context, link: ConnectLink) -> str:
    found = await ctx.database.read(authorization_rows.of_link, ctx.workspace_id, link.id)
    if found is None:
        raise NotFound(_NONE)
    return str(found["id"])


async def check_pace(ctx: Context) -> None:
    """A workspace makes so many in a minute, by whichever members and replicas; one member fewer.

    Raises `LimitReached`.
    """
    await authorizations.check_pace(ctx)
    since = ctx.clock() - PACE_SECONDS
    # Those that were mailed are sign-ins of others, and count for whoever had them sent all the same.
    mine = await ctx.database.read(rows.count_made, ctx.workspace_id, since, account_id=ctx.actor.account_id)
    if mine >= authorizations.PACE_MOST:
        raise LimitReached("You made too many connect links in a minute. Wait a minute.",
                           retry_after_seconds=PACE_SECONDS)  # fmt: skip
    if await ctx.database.read(rows.count_made, ctx.workspace_id, since) >= PACE_MOST:
        raise LimitReached(
            f"This workspace made {PACE_MOST} connect links in a minute. Wait a minute.",
            retry_after_seconds=PACE_SECONDS,
        )


async def check_connection(ctx: Context, connection: Connection, settings: ConnectLinkSettings) -> None:
    """Raise `Conflict` where nobody signs in by a page, `Invalid` where a Workspace Admin has to allow the host."""
    client = await _client_of(ctx, connection.oauth_client_id, connection.name)
    _check(ctx, client, settings, connection.settings.base_url)


async def _client_of(ctx: Context, client_id: str | None, name: str) -> OAuthClient:
    if client_id is None:
        raise Conflict(f"{name} is not on an OAuth 2.0 client, so there is nothing to sign in to.")
    client = await oauth_clients.get(ctx, client_id)
    if client.settings.grant_type != "authorization_code":
        raise Conflict(f"Nobody signs in to {client.name} by a page, so there is no link to send.")
    return client


def _check(ctx: Context, client: OAuthClient, settings: ConnectLinkSettings, base_url: str) -> None:
    """Tokens of people outside go to hosts that a Workspace Admin listed, or by a Workspace Admin's act."""
    if not ctx.actor.is_admin and not base_urls.listed(base_url, client):
        host = urlsplit(base_url).hostname
        raise Invalid(
            f"{host} is not among the allowed hosts of {client.name}. A Workspace Admin can add it.", at="base_url"
        )
    if settings.return_url is not None and settings.return_url not in client.settings.advanced.return_urls:
        raise Invalid(
            f"This is not among the Return URLs of {client.name}, which are compared letter by letter. A Workspace "
            "Admin adds it there (advanced.return_urls).",
            at="return_url",
        )


async def _of_end_user(ctx: Context, client: OAuthClient, settings: ConnectLinkSettings) -> Connection:
    """Their connection on that client; made, if this is their first link. Their sign-ins are never merged."""
    end_user = settings.end_user or ""
    found = await ctx.database.read(connection_rows.of_end_user, ctx.workspace_id, client.id, end_user)
    if found is not None:
        return await _same(ctx, client, settings, found)
    asked = {
        "name": settings.name or await ctx.database.read(_free_name, ctx.workspace_id, client.name, end_user),
        "base_url": settings.base_url or "",
        "auth": {"type": "oauth2", "oauth_client_id": client.id},
        "access": settings.access or "only_me",
        "variables": settings.variables or {},
    }
    # Settled before anything is made, so that a refused link leaves no connection behind.
    settled = base_urls.settle(ctx, parse(ConnectionSettings, asked), client)
    _check(ctx, client, settings, settled.base_url)
    return await connections.create(ctx, asked, end_user=end_user)


async def _same(ctx: Context, client: OAuthClient, settings: ConnectLinkSettings, found: Connection) -> Connection:
    if not connections.may_see(ctx, found) or (found.owner_id != ctx.actor.account_id and not ctx.actor.is_admin):
        raise Forbidden(f"The connection of this end user on {client.name} is somebody else’s.")
    connection = await connections.get(ctx, found.id)
    for name in ("name", "base_url", "access", "variables"):
        asked, now = getattr(settings, name), getattr(found.settings, name)
        if asked is not None and (asked.rstrip("/") if name == "base_url" else asked) != now:
            raise Conflict(
                f"The connection of this end user is there already with another {name}. Change it there.", at=name
            )
    _check(ctx, client, settings, connection.settings.base_url)
    return connection


def _free_name(tx: Tx, workspace_id: str, client_name: str, end_user: str) -> str:
    """A connection's name out of both that nobody has yet."""
    base = f"{slug_of(client_name)}_{slug_of(end_user)}".replace("-", "_")[:50]
    base = base if base[0].isalpha() else f"c_{base}"
    names = (base, *(f"{base}_{number}" for number in range(2, 100_000)))
    return next(name for name in names if not connection_rows.name_taken(tx, workspace_id, name))
