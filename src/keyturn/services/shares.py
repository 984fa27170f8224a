"""Shares: what single members may do with a connection, with its credentials or without; taken back at any time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from keyturn.errors import Forbidden, Invalid, NotFound
from keyturn.model.accounts import Member
from keyturn.model.connections import Connection
from keyturn.model.grants import Grant
from keyturn.model.shares import Share, ShareSettings
from keyturn.model.validation import merged, parse
from keyturn.services import base_urls, connection_tests, connections, events, members
from keyturn.services.context import Context
from keyturn.storage import connections as connection_rows
from keyturn.storage import grants as grant_rows
from keyturn.storage import oauth_clients as client_rows
from keyturn.storage import shares as rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

_NONE = "It is not shared with such a member."


async def list_(ctx: Context, connection_id: str) -> list[Share]:
    """With whom it is shared, by name; who may not change it sees their own share only. Raises `NotFound`."""
    connection = await connections.get(ctx, connection_id)
    everything = connection.editable_by(ctx.actor.account_id, ctx.actor.role)
    return [share for share in connection.shares if everything or share.account_id == ctx.actor.account_id]


async def put(ctx: Context, connection_id: str, account_id: str, raw: Mapping[str, Any]) -> Share:
    """Share it with a member, or change what they may do (JSON merge patch). Its owner or a Workspace Admin does it.

    Credentials are its owner's to share. Raises `Forbidden`, `NotFound`, and `Invalid` for a Viewer with Editor rights
    or a host that the client does not list.
    """
    ctx.require("connections:write")
    connection = await connections.get(ctx, connection_id)
    connections.require_ownership(ctx, connection)
    member = await members.get(ctx, account_id)
    before = connection.share_of(account_id)
    now = None if before is None else ShareSettings(rights=before.rights, with_credentials=before.with_credentials)
    settings = parse(ShareSettings, raw) if now is None else merged(ShareSettings, now, raw)
    if account_id == connection.owner_id:
        raise Invalid(f"{connection.name} is {member.name}’s own.", at="account_id")
    if settings.rights == "editor" and member.role == "viewer":
        raise Invalid(f"{member.name} is a Viewer in this workspace and cannot change connections.", at="rights")

    def write(tx: Tx) -> tuple[Connection, Grant | None]:
        return _put(tx, ctx, connection_id, member, settings)

    stands, left = await ctx.database.run(write)
    if left is not None:
        await connection_tests.end_grant(ctx, stands, left)
    share = stands.share_of(account_id)
    if share is None:
        raise NotFound(_NONE)
    return share


async def remove(ctx: Context, connection_id: str, account_id: str) -> None:
    """Take a share back: its owner, a Workspace Admin, or the member themselves. Their own sign-in on it ends too."""
    ctx.require_verb("shares.remove")
    connection = await connections.get(ctx, connection_id)
    if account_id != ctx.actor.account_id:
        connections.require_ownership(ctx, connection)

    def write(tx: Tx) -> tuple[Connection, Grant | None]:
        before = _current(tx, ctx, connection_id).share_of(account_id)
        if before is None or not rows.delete(tx, ctx.workspace_id, connection_id, account_id):
            raise NotFound(_NONE)
        told = {"name": before.account_name, "account_id": account_id, "words": before.word}
        events.record(tx, ctx, connection_id, "unshared", **told)
        return _left_over(tx, ctx, connection_id, account_id)

    stands, left = await ctx.database.run(write)
    if left is not None:
        await connection_tests.end_grant(ctx, stands, left)


def _put(
    tx: Tx, ctx: Context, connection_id: str, member: Member, settings: ShareSettings
) -> tuple[Connection, Grant | None]:
    """Written by what stands in this transaction: it may have another owner by now."""
    connection = _current(tx, ctx, connection_id)
    connections.require_ownership(ctx, connection)
    before = connection.share_of(member.account_id)
    had = before is not None and before.with_credentials
    if settings.with_credentials and not had and connection.owner_id != ctx.actor.account_id:
        raise Forbidden(f"Only {connection.owner_name} can share the credentials of {connection.name}.")
    _check_host(tx, ctx, connection)
    values = {**settings.model_dump(), "shared_by": ctx.actor.account_id}
    rows.put(tx, ctx.workspace_id, connection_id, member.account_id, values, ctx.clock())
    stands, left = _left_over(tx, ctx, connection_id, member.account_id)
    share = stands.share_of(member.account_id)
    told = {"name": member.name, "account_id": member.account_id, "words": share.word if share else None}
    if before is None:
        events.record(tx, ctx, connection_id, "shared", **told)
    elif share is not None and share.word != before.word:
        events.record(tx, ctx, connection_id, "share_changed", before=before.word, **told)
    return stands, left


def _left_over(tx: Tx, ctx: Context, connection_id: str, account_id: str) -> tuple[Connection, Grant | None]:
    """The connection as it stands now, and the member's own sign-in if it is not read with any more."""
    stands = _current(tx, ctx, connection_id)
    grant = grant_rows.of_connection(tx, ctx.workspace_id, connection_id, account_id)
    return stands, None if stands.reading(account_id) == "own" else grant


def _current(tx: Tx, ctx: Context, connection_id: str) -> Connection:
    found = connection_rows.get(tx, ctx.workspace_id, connection_id)
    if found is None:
        raise NotFound(_NONE)
    return found


def _check_host(tx: Tx, ctx: Context, connection: Connection) -> None:
    """Tokens of more than one person go to hosts that a Workspace Admin listed, or by a Workspace Admin's act."""
    client_id = connection.oauth_client_id
    client = None if client_id is None else client_rows.get(tx, ctx.workspace_id, client_id)
    if client is None or ctx.actor.is_admin or base_urls.listed(connection.settings.base_url, client):
        return
    host = urlsplit(connection.settings.base_url).hostname
    raise Invalid(
        f"{host} is not among the allowed hosts of {client.name}. A Workspace Admin can add it.", at="base_url"
    )
