"""OAuth 2.0 clients: register, change, replace the secret, delete. Only Workspace Admins; the secret is write-only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from keyturn import redaction
from keyturn.egress import check_literal
from keyturn.errors import Conflict, Invalid, NotFound, Problem, UpstreamError
from keyturn.model.client_secrets import ClientSecret, NewSecret
from keyturn.model.ids import new_id, slug_candidates
from keyturn.model.oauth_clients import SECRETLESS, NewOAuthClient, OAuthClient, OAuthClientSettings
from keyturn.model.validation import merged, parse
from keyturn.oauth.client_auth import ClientCredentials, Method, methods_to_try
from keyturn.oauth.jose import TOO_SHORT_TO_SIGN, can_sign
from keyturn.oauth.server import AuthorizationServer
from keyturn.oauth.urls import UrlProblem
from keyturn.oauth.variables import in_place
from keyturn.services import audit, events, incidents, proofs, stored_secrets
from keyturn.services.context import Context
from keyturn.services.stored_secrets import NewKey, OpenedSecret
from keyturn.storage import client_secrets as secret_rows
from keyturn.storage import connections as connection_rows
from keyturn.storage import grants as grant_rows
from keyturn.storage import oauth_clients as rows
from keyturn.wire import origin_of

if TYPE_CHECKING:
    from keyturn.storage.database import Tx


@dataclass(frozen=True, slots=True)
class Way:
    """One way to authenticate at the token endpoint: how, and with which stored secret."""

    credentials: ClientCredentials
    secret_id: str | None


@dataclass(frozen=True, slots=True)
class Registration:
    """An OAuth client opened for use: its authorization server and its secrets, in the order to try them."""

    client: OAuthClient
    server: AuthorizationServer
    secrets: tuple[OpenedSecret, ...]
    opened_at: float = 0.0

    def ways(self) -> tuple[Way, ...]:
        """How to authenticate, in the order to try: what worked before comes first; each secret in each style."""
        advanced = self.client.settings.advanced
        methods = methods_to_try(advanced.token.auth, self.server.token_endpoint_auth_methods, self.client.token_auth)
        return tuple(self._way(method, secret) for secret in self._secrets(methods) for method in methods)

    def refresh_ways(self) -> tuple[Way, ...]:
        """For a refresh, which never probes styles: the first style alone, with each secret."""
        ways = self.ways()
        return tuple(way for way in ways if way.credentials.method == ways[0].credentials.method)

    def _way(self, method: Method, secret: OpenedSecret) -> Way:
        credentials = ClientCredentials(
            client_id=self.client.settings.client_id,
            client_secret=None if method == "none" else secret.value,
            method=method,
            basic_encoding=self.client.settings.advanced.token.basic_encoding,
            audience=self.client.settings.advanced.token.assertion_audience or self.server.issuer,
            algorithm=self.client.settings.advanced.token.assertion_algorithm,
            issued_at=self.opened_at,
        )
        return Way(credentials, None if method == "none" else secret.id)

    def _secrets(self, methods: tuple[Method, ...]) -> tuple[OpenedSecret, ...]:
        return (OpenedSecret(None, None),) if methods == ("none",) else self.secrets

    def __repr__(self) -> str:
        return f"Registration({self.client.id})"

    @property
    def token_origin(self) -> str:
        """Where tokens of this registration may be sent back to."""
        return origin_of(self.client.settings.token_url)


async def create(ctx: Context, raw: Mapping[str, Any]) -> OAuthClient:
    """Register an OAuth 2.0 client; uses no network. Raises `Invalid`, `Conflict` (name, redirect URI), `Forbidden`."""
    ctx.require("clients:write")
    new = parse(NewOAuthClient, raw)
    settings = new.settings()
    check_hosts(ctx, settings)
    redaction.remember(new.client_secret)
    key = await stored_secrets.new_key(settings)
    client_id = new_id("oc")
    now = ctx.clock()
    values = {
        "id": client_id,
        "name_key": settings.name.casefold(),
        "settings": settings.model_dump(mode="json"),
        "version": 1,
        "created_by": ctx.actor.account_id,
        "created_at": now,
        "updated_at": now,
    }

    def write(tx: Tx) -> None:
        _refuse_taken_name(tx, ctx, settings.name)
        slug = _free_slug(tx, settings.name)
        promised = _redirect_uri(ctx, slug, shared=settings.advanced.callback.shared)
        if new.redirect_uri is not None and new.redirect_uri != promised:
            raise Conflict(
                f"That Redirect URI was taken meanwhile. Paste this one instead: {promised}",
                at="redirect_uri",
                redirect_uri=promised,
            )
        rows.insert(tx, ctx.workspace_id, {**values, "slug": slug})
        if new.client_secret is not None:
            stored_secrets.put(tx, ctx, client_id, new.client_secret, new.secret_expires_on)
        events.record(tx, ctx, client_id, "created")
        if key is not None:
            stored_secrets.put_key(tx, ctx, client_id, key)

    await ctx.database.run(write)
    return await get(ctx, client_id)


async def check_new(ctx: Context, new: NewOAuthClient) -> None:
    """Whether such a client could be created now. Raises `Invalid` and `Conflict` as `create` does."""
    check_hosts(ctx, new.settings())
    await ctx.database.read(_refuse_taken_name, ctx, new.name)


async def list_(ctx: Context) -> list[OAuthClient]:
    """The workspace's OAuth clients by name, with counts of their connections."""
    return await ctx.database.read(_all, ctx)


async def get(ctx: Context, client_id: str) -> OAuthClient:
    """One OAuth client. Raises `NotFound`."""
    found = await ctx.database.read(_one, ctx, client_id)
    if found is None:
        raise NotFound("There is no such OAuth 2.0 client in this workspace.")
    return found


async def update(ctx: Context, client_id: str, patch: Mapping[str, Any]) -> OAuthClient:
    """JSON merge patch. A changed URL clears the secret (R7): give the new one in `client_secret`, or replace it later.

    A changed client id, URL or secret raises the version; grants made at another token host need a new sign-in (F14).
    """
    ctx.require("clients:write")
    client = await get(ctx, client_id)
    patch = dict(patch) if isinstance(patch, Mapping) else patch
    secret = patch.pop("client_secret", None) if isinstance(patch, dict) else None
    if secret is not None:
        secret = parse(NewSecret, {"client_secret": secret}).client_secret
        redaction.remember(secret)
    settings = merged(OAuthClientSettings, client.settings, patch)
    check_hosts(ctx, settings)
    if settings.advanced.callback.shared != client.settings.advanced.callback.shared:
        raise Invalid("The Redirect URI is fixed at creation. Register another client.", at="advanced.callback.shared")
    moved = settings.urls() != client.settings.urls()
    if not moved:
        await _check_authentication(ctx, client, settings, secret)
    key = await stored_secrets.new_key(settings, () if moved else client.keys)
    values: dict[str, Any] = {
        "settings": settings.model_dump(mode="json"),
        "name_key": settings.name.casefold(),
        "updated_at": ctx.clock(),
    }
    if moved or settings.client_id != client.settings.client_id:
        values |= {"version": client.version + 1, "token_auth": None}

    def write(tx: Tx) -> None:
        _refuse_taken_name(tx, ctx, settings.name, except_id=client_id)
        if not rows.update(tx, ctx.workspace_id, client_id, values):
            raise NotFound("There is no such OAuth 2.0 client in this workspace.")
        changed = sorted(name for name in type(settings).model_fields if _differs(name, settings, client.settings))
        events.record(tx, ctx, client_id, "settings_changed", fields=", ".join(changed) or "nothing")
        _put_authentication(tx, ctx, client, secret, key, moved=moved)
        _bind(tx, ctx, client, settings)
        incidents.repaired(tx, ctx, client_id)

    await ctx.database.run(write)
    return await get(ctx, client_id)


def _put_authentication(
    tx: Tx, ctx: Context, client: OAuthClient, secret: str | None, key: NewKey | None, *, moved: bool
) -> None:
    """What was given or made along with a change; where the client moved to, nothing old is used any more."""
    if moved or secret is not None:
        secret_rows.delete_of_client(tx, ctx.workspace_id, client.id)
    if moved:
        # What a key signs is as good as a secret to whom it is sent.
        secret_rows.delete_of_client(tx, ctx.workspace_id, client.id, keys=True)
    if key is not None:
        stored_secrets.put_key(tx, ctx, client.id, key)
    if secret is not None:
        stored_secrets.put(tx, ctx, client.id, secret)
        resume(tx, ctx, client.id)
    elif moved and client.has_secret:
        events.record(tx, ctx, client.id, "secret_cleared")


def _bind(tx: Tx, ctx: Context, client: OAuthClient, settings: OAuthClientSettings) -> None:
    """What DPoP, turned on or off, means for the sign-ins there are. A client that acts for itself sees to it alone."""
    bound = settings.advanced.token.dpop
    if bound == client.settings.advanced.token.dpop or settings.acts_for_itself:
        return
    if bound:
        proofs.require(tx, ctx, client.id)
    else:
        proofs.release(tx, ctx, client.id)


async def dependents(ctx: Context, client_id: str) -> list[dict[str, str]]:
    """The connections that would stop if it were deleted: id and name each."""
    found = await ctx.database.read(connection_rows.all_of, ctx.workspace_id, oauth_client_id=client_id)
    return [{"id": connection.id, "name": connection.name} for connection in found]


async def delete(ctx: Context, client_id: str, *, force: bool = False) -> None:
    """Delete it. In use: `Conflict` naming the dependents, or with `force` one transaction takes their grants along."""
    ctx.require("clients:write")
    client = await get(ctx, client_id)

    def write(tx: Tx) -> None:
        users = connection_rows.all_of(tx, ctx.workspace_id, oauth_client_id=client_id)
        if users and not force:
            raise Conflict(
                f"{_count(len(users))} {'uses' if len(users) == 1 else 'use'} {client.name} and will stop.",
                dependents=[{"id": user.id, "name": user.name} for user in users],
            )
        for user in users:
            grant_rows.delete_of_connection(tx, ctx.workspace_id, user.id)
            events.record(tx, ctx, user.id, "disconnected", sentence=f"{client.name} was deleted.")
        connection_rows.detach_from_client(tx, ctx.workspace_id, client_id)
        rows.delete(tx, ctx.workspace_id, client_id)
        audit.record(tx, ctx, "oauth_client.deleted", client_id, name=client.name, connections=len(users))

    await ctx.database.run(write)


async def redirect_uri(ctx: Context, name: str) -> str:
    """The redirect URI a client of that name would get if it were created now."""
    slug = await ctx.database.read(_free_slug, name)
    return _redirect_uri(ctx, slug)


async def registration(ctx: Context, client_id: str, variables: Mapping[str, str] | None = None) -> Registration:
    """Open one for use, the blanks of its URLs filled by a connection's `variables`.

    Raises `NotFound`, or `Conflict` when its secret or a variable's value is missing.
    """

    def fetch(tx: Tx) -> tuple[OAuthClient | None, list[secret_rows.SealedSecret]]:
        found = rows.get(tx, ctx.workspace_id, client_id)
        return found, secret_rows.all_of_client(tx, ctx.workspace_id, client_id)

    # Every refresh comes through here, so what a page counts of the client's connections is not read.
    found, stored = await ctx.database.read(fetch)
    if found is None:
        raise NotFound("There is no such OAuth 2.0 client in this workspace.")
    client = _whole(ctx, found, [item.secret for item in stored])
    secrets = stored_secrets.opened(ctx, stored, client.settings)
    if not secrets and client.settings.advanced.token.auth != "none":
        raise Conflict(
            f"{client.name} has no Client Secret since its URL changed. A Workspace Admin should replace the secret.",
            message_code="E-CLIENT",
        )
    settings = filled(client.settings, variables or {})
    return Registration(replace(client, settings=settings), server_of(settings), secrets, ctx.clock())


def filled(settings: OAuthClientSettings, variables: Mapping[str, str]) -> OAuthClientSettings:
    """The settings with the blanks of their URLs filled. Raises `Conflict`: without a connection, some stay blank."""
    try:
        return settings.filled(variables)
    except UrlProblem as problem:
        raise Conflict(f"Each connection fills in the addresses of {settings.name}. {problem.message}") from None


async def _check_authentication(
    ctx: Context, client: OAuthClient, settings: OAuthClientSettings, secret: str | None
) -> None:
    """Refuse a way of client authentication that what is stored, or given along, cannot serve."""
    auth = settings.advanced.token.auth
    if auth in SECRETLESS or (secret is None and auth == client.settings.advanced.token.auth):
        return
    if secret is None and not client.has_secret:
        raise Invalid("Enter the Client Secret.", at="client_secret")
    if auth == "client_secret_jwt":
        stored = await ctx.database.read(secret_rows.all_of_client, ctx.workspace_id, client.id)
        signing = (
            [secret] if secret is not None else [item.value for item in stored_secrets.opened(ctx, stored, settings)]
        )
        if not all(can_sign(value or "") for value in signing):
            raise Invalid(TOO_SHORT_TO_SIGN, at="client_secret")


def server_of(settings: OAuthClientSettings) -> AuthorizationServer:
    """The authorization server as these settings describe it."""
    return AuthorizationServer(
        authorization_url=settings.authorization_url or "",
        token_url=settings.token_url,
        revocation_url=settings.advanced.revocation_url,
        issuer=settings.advanced.issuer,
        pushed_authorization_url=settings.advanced.authorize.par_url,
        device_authorization_url=settings.advanced.authorize.device_url,
        # At an address that several clients share, only iss tells whose answer it is (RFC 9207, RFC 9700 §4.4).
        iss_required=settings.advanced.callback.shared,
    )


def check_hosts(ctx: Context, settings: OAuthClientSettings) -> None:
    """Literal private addresses and plain http are refused here; names are checked when we connect."""
    problems = []
    for at, url in settings.urls().items():
        if not url:
            continue
        try:
            check_literal(in_place(url), ctx.egress.allowed)
        except UpstreamError as error:
            problems.append(Problem(at, error.message))
    if problems:
        raise Invalid(problems=tuple(problems), message_code="E-BLOCKED")


def _differs(name: str, new: OAuthClientSettings, old: OAuthClientSettings) -> bool:
    return getattr(new, name) != getattr(old, name)


def _refuse_taken_name(tx: Tx, ctx: Context, name: str, *, except_id: str | None = None) -> None:
    if rows.name_taken(tx, ctx.workspace_id, name.casefold(), except_id=except_id):
        raise Conflict(f"Another client is called {name}. Choose a different name.", at="name")


def _free_slug(tx: Tx, name: str) -> str:
    for slug in slug_candidates(name):
        if not rows.slug_taken_anywhere(tx, slug):
            return slug
    raise Conflict("Too many clients have this name. Choose a different name.", at="name")


def _redirect_uri(ctx: Context, slug: str, *, shared: bool = False) -> str:
    return f"{ctx.deployment.public_url}/oauth2/callback" + ("" if shared else f"/{slug}")


def resume(tx: Tx, ctx: Context, client_id: str) -> None:
    """Connections that were suspended because the client was refused go on, since it has another secret now."""
    events.record(tx, ctx, client_id, "secret_replaced")
    incidents.repaired(tx, ctx, client_id)


def _one(tx: Tx, ctx: Context, client_id: str) -> OAuthClient | None:
    client = rows.get(tx, ctx.workspace_id, client_id)
    return None if client is None else _with_counts(tx, ctx, [client])[0]


def _all(tx: Tx, ctx: Context) -> list[OAuthClient]:
    return _with_counts(tx, ctx, rows.all_of(tx, ctx.workspace_id))


def _with_counts(tx: Tx, ctx: Context, clients: list[OAuthClient]) -> list[OAuthClient]:
    bad = {grant.connection_id for grant in grant_rows.all_of(tx, ctx.workspace_id) if grant.state != "active"}
    signed_in = {grant.connection_id for grant in grant_rows.all_of(tx, ctx.workspace_id)}
    users = connection_rows.all_of(tx, ctx.workspace_id)
    secrets: dict[str, list[ClientSecret]] = {}
    for secret in secret_rows.all_of(tx, ctx.workspace_id):
        secrets.setdefault(secret.oauth_client_id, []).append(secret)
    result = []
    for client in clients:
        mine = [user.id for user in users if user.oauth_client_id == client.id]
        result.append(
            replace(
                _whole(ctx, client, secrets.get(client.id, [])),
                connections_total=len(mine),
                connections_broken=sum(user in bad for user in mine),
                connections_healthy=sum(user in signed_in and user not in bad for user in mine),
            )
        )
    return result


def _whole(ctx: Context, client: OAuthClient, stored: list[ClientSecret]) -> OAuthClient:
    """The client with its addresses here, and what is known of its secrets and keys."""
    keys = tuple(item for item in stored if item.public_key is not None)
    return replace(
        client,
        redirect_uri=_redirect_uri(ctx, client.slug, shared=client.settings.advanced.callback.shared),
        secrets=tuple(item for item in stored if item.public_key is None),
        keys=keys,
        jwks_uri=f"{ctx.deployment.public_url}/oauth2/jwks/{client.slug}" if keys else None,
    )


def _count(number: int) -> str:
    return f"{number} connection" + ("" if number == 1 else "s")
