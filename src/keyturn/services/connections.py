"""Connections: create, change, delete, and who may see and use them. Health is read off the grant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from keyturn import redaction
from keyturn.encryption import AssociatedData
from keyturn.errors import Conflict, Forbidden, Invalid, NotFound
from keyturn.model.connections import ACCESS_LABELS, SECRET_FIELD, Connection, ConnectionSettings, keys_in
from keyturn.model.grants import Grant
from keyturn.model.ids import new_id
from keyturn.model.oauth_clients import OAuthClient
from keyturn.model.validation import merged, parse
from keyturn.services import audit, base_urls, events, grants
from keyturn.services.context import Context
from keyturn.storage import connections as rows
from keyturn.storage import grants as grant_rows
from keyturn.storage import oauth_clients as client_rows
from keyturn.storage import tables as table_rows
from keyturn.wire import origin_of

if TYPE_CHECKING:
    from keyturn.storage.database import Tx

_GONE = "There is no such connection in this workspace."


async def create(ctx: Context, raw: Mapping[str, Any], *, end_user: str | None = None) -> Connection:
    """Make a connection, or an end user's; no network. Raises `Invalid` (also for a private base URL), `Conflict`."""
    ctx.require("connections:write")
    settings = parse(ConnectionSettings, raw)
    settings = base_urls.settle(ctx, settings, await _client_of(ctx, settings))
    secret_name = SECRET_FIELD.get(settings.auth.type)
    secret = settings.secret()
    redaction.remember(*keys_in(settings.auth, secret).values())
    if settings.access == "own_account" and secret_name is not None:
        raise Invalid("Nobody signs in with credentials that are given by hand. Choose another way.", at="access")
    if secret_name is not None and not secret:
        raise Invalid("This is required.", at=f"auth.{secret_name}")
    connection_id = new_id("cn")
    now = ctx.clock()

    def write(tx: Tx) -> None:
        client_id = _check_client(tx, ctx, settings)
        _refuse_taken_name(tx, ctx, settings.name)
        values = {
            "id": connection_id,
            "name": settings.name,
            "oauth_client_id": client_id,
            "owner_id": ctx.actor.account_id,
            "end_user": end_user,
            "settings": settings.without_secret().model_dump(mode="json"),
            "secret_sealed": _seal(ctx, connection_id, secret),
            "created_at": now,
            "updated_at": now,
        }
        rows.insert(tx, ctx.workspace_id, values)
        events.record(tx, ctx, connection_id, "created")

    await ctx.database.run(write)
    return await get(ctx, connection_id)


async def list_(ctx: Context) -> list[Connection]:
    """The connections the actor may see, by name, with their health."""

    def fetch(tx: Tx) -> list[Connection]:
        held = {(g.connection_id, g.account_id): g for g in grant_rows.all_of(tx, ctx.workspace_id)}
        counts = table_rows.counts_by_connection(tx, ctx.workspace_id)
        found = []
        for connection in rows.all_of(tx, ctx.workspace_id):
            if may_see(ctx, connection):
                grant = held.get((connection.id, grant_holder(ctx, connection)))
                found.append(with_health(ctx, connection, grant, counts))
        return found

    return await ctx.database.read(fetch)


async def get(ctx: Context, connection_id: str) -> Connection:
    """One connection with its health as the actor sees it. Raises `NotFound`."""
    return await ctx.database.read(_fetch, ctx, connection_id)


async def get_by_name(ctx: Context, name: str) -> Connection:
    """The connection of that name. Raises `NotFound`."""

    def fetch(tx: Tx) -> Connection:
        found = rows.by_name(tx, ctx.workspace_id, name)
        if found is None:
            raise NotFound(f"There is no connection called {name}.")
        return _fetch(tx, ctx, found.id)

    return await ctx.database.read(fetch)


async def update(ctx: Context, connection_id: str, patch: Mapping[str, Any]) -> Connection:
    """JSON merge patch, `paused` included. Another scheme, host or port destroys grants and stored credentials.

    Only its owner opens it to others; whoever may change it may close it (`only_me`).
    """
    ctx.require("connections:write")
    connection = await get(ctx, connection_id)
    require_change(ctx, connection)
    changes = dict(patch) if isinstance(patch, Mapping) else patch
    paused = changes.pop("paused", connection.paused) if isinstance(changes, dict) else False
    if not isinstance(paused, bool):
        raise Invalid("Send true or false.", at="paused")
    before = (await ctx.database.read(rows.get, ctx.workspace_id, connection_id) or connection).settings
    settings = merged(ConnectionSettings, before, changes)
    settings = base_urls.settle(ctx, settings, await _client_of(ctx, settings))
    _check_access(ctx, connection, before, settings)
    secret = settings.secret()
    # Other variables are another end system's addresses, as another host is.
    moved = _origin(settings) != _origin(before) or settings.variables != before.variables
    other_auth = settings.auth.type != connection.settings.auth.type
    values: dict[str, Any] = {
        "name": settings.name,
        "settings": settings.without_secret().model_dump(mode="json"),
        "paused": paused,
        "updated_at": ctx.clock(),
    }
    if secret is not None or moved or other_auth:
        values["secret_sealed"] = _seal(ctx, connection_id, secret)

    def write(tx: Tx) -> None:
        values["oauth_client_id"] = client_id = _check_again(tx, ctx, connection_id, before, settings)
        if moved or other_auth or client_id != connection.oauth_client_id:
            if grant_rows.delete_of_connection(tx, ctx.workspace_id, connection_id):
                events.record(tx, ctx, connection_id, "base_url_changed")
            values["detail"] = None
        rows.update(tx, ctx.workspace_id, connection_id, values)
        if settings.access != before.access:
            _change_access(tx, ctx, connection_id, before, settings)
        if paused != connection.paused:
            events.record(tx, ctx, connection_id, "paused" if paused else "resumed")
        if isinstance(changes, dict) and changes:
            events.record(tx, ctx, connection_id, "settings_changed", fields=", ".join(sorted(changes)))

    await ctx.database.run(write)
    return await get(ctx, connection_id)


async def delete(ctx: Context, connection_id: str) -> None:
    """Delete it with its grants and tables. Revoke first (`disconnect`) if the end system should forget us too."""
    ctx.require("connections:write")
    connection = await get(ctx, connection_id)
    require_ownership(ctx, connection)

    def write(tx: Tx) -> None:
        rows.delete(tx, ctx.workspace_id, connection_id)
        audit.record(tx, ctx, "connection.deleted", connection_id, name=connection.name)

    await ctx.database.run(write)


async def credential(ctx: Context, connection: Connection) -> str | None:
    """The credential given by hand, opened for use."""
    sealed = await ctx.database.read(rows.sealed_secret, ctx.workspace_id, connection.id)
    if sealed is None:
        return None
    secret = ctx.keyring.open(sealed, ad=_secret_ad(ctx, connection.id))
    redaction.remember(secret, *keys_in(connection.settings.auth, secret).values())
    return secret


def may_see(ctx: Context, connection: Connection) -> bool:
    """Whether the actor may know of it (`Connection.visible_to`)."""
    return connection.visible_to(ctx.actor.account_id, ctx.actor.role)


def require_use(ctx: Context, connection: Connection) -> None:
    """Raise unless the actor may read through it: nobody uses a sign-in that was not shared with them."""
    if connection.reading(ctx.actor.account_id) == "none":
        known = connection.share_of(ctx.actor.account_id) is not None or connection.settings.access != "only_me"
        what = "was shared with you without its credentials" if known else f"is for {connection.owner_name} alone"
        raise Forbidden(f"{connection.name} {what}. Ask {connection.owner_name} to share {'them' if known else 'it'}.")
    if connection.paused:
        raise Conflict(f"{connection.name} is paused. Resume it first.", reason="paused")


async def recheck_use(ctx: Context, connection: Connection) -> None:
    """`require_use` of what stands now: what was taken back ends under whoever is still reading."""
    if connection.owner_id == ctx.actor.account_id:
        return
    now = await ctx.database.read(rows.get, ctx.workspace_id, connection.id)
    if now is None:
        raise NotFound(_GONE)
    require_use(ctx, now)
    if grant_holder(ctx, now) != grant_holder(ctx, connection):
        raise Conflict(f"Whose account {connection.name} reads for you was changed meanwhile. Start again.")


def require_data(ctx: Context, connection: Connection, account_id: str) -> None:
    """Raise `Forbidden` unless what `account_id` read through it may be had by the actor: it was read as the same."""
    mine = ctx.actor.account_id
    if mine == account_id:
        return
    if connection.reading(mine) == "none" or connection.holder_for(mine) != connection.holder_for(account_id):
        raise Forbidden(
            f"This was read as an account that is not yours to read as. Ask {connection.owner_name} to share "
            f"{connection.name} with its credentials."
        )


def require_may_sign_in(ctx: Context, connection: Connection) -> None:
    """Raise `Forbidden` unless the sign-in would be the actor's to make: their own, or the connection's as its owner.

    An account that everybody reads as may be signed in by a Workspace Admin too.
    """
    reading, owner = connection.reading(ctx.actor.account_id), connection.owner_id == ctx.actor.account_id
    if owner or reading == "own":
        return
    if connection.settings.access != "shared_account":
        alone = "is for {} alone" if reading == "none" else "reads for you as the account of {}"
        raise Forbidden(f"{connection.name} {alone.format(connection.owner_name)}. Ask them to sign in.")
    if not ctx.actor.is_admin:
        ctx.require("workspace:admin")


def grant_holder(ctx: Context, connection: Connection) -> str | None:
    """Whose grant counts for the actor: their own where everyone signs in, else the connection's one grant."""
    return connection.holder_for(ctx.actor.account_id)


def host_listed(connection: Connection, client: OAuthClient) -> bool:
    """Whether the OAuth client names the base URL's host among the hosts its tokens may go to."""
    return base_urls.listed(connection.settings.base_url, client)


def _fetch(tx: Tx, ctx: Context, connection_id: str) -> Connection:
    connection = rows.get(tx, ctx.workspace_id, connection_id)
    if connection is None or not may_see(ctx, connection):
        raise NotFound(_GONE)
    grant = grant_rows.of_connection(tx, ctx.workspace_id, connection_id, grant_holder(ctx, connection))
    return with_health(ctx, connection, grant, table_rows.counts_by_connection(tx, ctx.workspace_id, [connection_id]))


def with_health(
    ctx: Context, connection: Connection, grant: Grant | None, counts: Mapping[str, tuple[int, float | None]]
) -> Connection:
    """As it stands by the sign-in that counts for the actor. `counts`: tables and last data, by connection."""
    tables, last_data_at = counts.get(connection.id, (0, None))
    known = replace(connection, tables=tables, last_data_at=last_data_at)
    if connection.settings.auth.type != "oauth2":
        return replace(known, status="paused" if connection.paused else "healthy", status_detail=None)
    health = grants.health_of(grant, now=ctx.clock())
    if connection.paused:
        known = replace(known, status="paused", status_detail=None)
    else:
        detail = health.detail if grant is not None else connection.status_detail
        known = replace(known, status=health.status, status_detail=detail, status_since=health.since)
    if grant is None:
        return known
    if grant.base_url is not None and not connection.settings.base_url:
        known = replace(known, settings=known.settings.model_copy(update={"base_url": grant.base_url}))
    return replace(
        known,
        kept=grant.kept or {},
        account=grant.account,
        scopes_requested=grant.scopes_requested,
        scopes_granted=grant.scopes_granted,
        access_token_expires_at=grant.access_expires_at,
        refresh_token_expires_at=grant.refresh_expires_at,
        refresh_token_prolonged=grant.refresh_prolonged,
        has_refresh_token=grant.has_refresh_token,
        generation=grant.generation,
    )


async def _client_of(ctx: Context, settings: ConnectionSettings) -> OAuthClient | None:
    client_id = getattr(settings.auth, "oauth_client_id", None)
    return await ctx.database.read(client_rows.get, ctx.workspace_id, client_id) if client_id else None


def _origin(settings: ConnectionSettings) -> str:
    return origin_of(settings.base_url) if settings.base_url else ""


def _check_client(tx: Tx, ctx: Context, settings: ConnectionSettings) -> str | None:
    client_id = getattr(settings.auth, "oauth_client_id", None)
    if settings.auth.type != "oauth2":
        return None
    client = client_rows.get(tx, ctx.workspace_id, client_id) if client_id else None
    if client is None:
        raise Invalid("Choose a client.", at="auth.oauth_client_id")
    alone = client.settings.acts_for_itself
    if alone and settings.access == "own_account":
        raise Invalid(
            f"Nobody signs in with {client.name}: it reads with rights of its own. Choose another way to use it.",
            at="access",
        )
    held = client.settings.held_to_hosts
    for_others = held or settings.access != "only_me"
    if for_others and not ctx.actor.is_admin and not base_urls.listed(settings.base_url, client):
        host = urlsplit(settings.base_url).hostname
        raise Invalid(
            f"{host} is not among the allowed hosts of {client.name}. A Workspace Admin can add it"
            + ("." if held else ", or choose Only me."),
            at="base_url",
        )
    return client.id


def _refuse_taken_name(tx: Tx, ctx: Context, name: str, *, except_id: str | None = None) -> None:
    if rows.name_taken(tx, ctx.workspace_id, name, except_id=except_id):
        raise Conflict(f"{name} is taken.", at="name")


def require_change(ctx: Context, connection: Connection) -> None:
    """Raise `Forbidden` unless the actor may change its settings."""
    if not connection.editable_by(ctx.actor.account_id, ctx.actor.role):
        raise Forbidden(
            f"Only {connection.owner_name}, a Workspace Admin or somebody with Editor rights can change "
            f"{connection.name}."
        )


def require_tables(ctx: Context, connection: Connection) -> None:
    """Raise `Forbidden` unless the actor may change its tables."""
    if not connection.tables_editable_by(ctx.actor.account_id, ctx.actor.role):
        raise Forbidden(f"{connection.name} was shared with you as a Viewer. Ask {connection.owner_name} to change it.")


def _check_access(
    ctx: Context, connection: Connection, before: ConnectionSettings, settings: ConnectionSettings
) -> None:
    """Credentials are shared by their owner alone; nobody's role is enough."""
    changed = settings.access != before.access
    if changed and settings.access != "only_me" and connection.owner_id != ctx.actor.account_id:
        raise Forbidden(f"Only {connection.owner_name} can share {connection.name}. You can set it to Only me.")
    other_auth = settings.auth.type != before.auth.type
    if (changed or other_auth) and settings.access == "own_account" and settings.auth.type in SECRET_FIELD:
        raise Invalid("Nobody signs in with credentials that are given by hand. Choose another way.", at="access")


def _check_again(
    tx: Tx, ctx: Context, connection_id: str, before: ConnectionSettings, settings: ConnectionSettings
) -> str | None:
    """In the transaction that writes; answers the OAuth client's id. Access that was closed meanwhile stays closed."""
    current = rows.get(tx, ctx.workspace_id, connection_id)
    if current is not None and current.settings.access != before.access:
        raise Conflict("Somebody else changed who can use it at the same moment. Look again, then repeat it.")
    _refuse_taken_name(tx, ctx, settings.name, except_id=connection_id)
    client_id = _check_client(tx, ctx, settings)
    if current is not None and current.end_user is not None and client_id != current.oauth_client_id:
        raise Invalid(f"{current.name} is an end user’s on its client. Make another one.", at="auth")
    return client_id


def _change_access(
    tx: Tx, ctx: Context, connection_id: str, before: ConnectionSettings, settings: ConnectionSettings
) -> None:
    """The owner's sign-in goes along; those of members who no longer read as themselves end."""
    words = {"before": ACCESS_LABELS[before.access], "now": ACCESS_LABELS[settings.access]}
    events.record(tx, ctx, connection_id, "access_changed", **words)
    now = rows.get(tx, ctx.workspace_id, connection_id)
    if now is None:
        return
    was_own, is_own = before.access == "own_account", now.settings.access == "own_account"
    if was_own != is_own:
        source, target = (now.owner_id, None) if was_own else (None, now.owner_id)
        grant_rows.rehome(tx, ctx.workspace_id, connection_id, source, target)
    for grant in grant_rows.all_of_connection(tx, ctx.workspace_id, connection_id):
        if grant.account_id is not None and grant.account_id != now.holder_for(grant.account_id):
            grant_rows.delete(tx, ctx.workspace_id, grant.id)
            events.record(tx, ctx, connection_id, "disconnected", sentence="It is no longer read with this sign-in.")


def require_ownership(ctx: Context, connection: Connection) -> None:
    """Raise `Forbidden` unless it is the actor's, or they are a Workspace Admin."""
    if connection.owner_id != ctx.actor.account_id and not ctx.actor.is_admin:
        raise Forbidden(f"Only {connection.owner_name} or a Workspace Admin can change {connection.name}.")


def _secret_ad(ctx: Context, connection_id: str) -> AssociatedData:
    return AssociatedData(ctx.workspace_id, "connections", connection_id, "secret")


def _seal(ctx: Context, connection_id: str, secret: str | None) -> bytes | None:
    redaction.remember(secret)
    return None if secret is None else ctx.keyring.seal(secret, ad=_secret_ad(ctx, connection_id))
