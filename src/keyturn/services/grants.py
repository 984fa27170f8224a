"""Grants: a token set sealed into one row, opened for use, and what its state means for a connection's health."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keyturn import redaction
from keyturn.encryption import AssociatedData
from keyturn.model.connections import Connection, Status, why
from keyturn.model.grants import Grant, earliest, keep_alive_at, margins
from keyturn.model.ids import new_id
from keyturn.model.oauth_clients import OAuthClientSettings
from keyturn.oauth.tokens import TokenSet, lifetime
from keyturn.services import base_urls, incidents, notices
from keyturn.services.context import Context
from keyturn.services.oauth_clients import Registration
from keyturn.storage import grants as rows

if TYPE_CHECKING:
    from keyturn.storage.database import Tx
    from keyturn.storage.token_generations import Orphan

_SAME_END_SECONDS = 5.0
_ENDED_BY_SIGN_IN = ("reconnect_needed", "sign_in_ends")


@dataclass(frozen=True, slots=True)
class Health:
    """What a connection's grant says about it, for one status table in UI, API and command line."""

    status: Status
    detail: str | None
    since: float | None


def sealed_values(
    ctx: Context,
    registration: Registration,
    tokens: TokenSet,
    *,
    grant_id: str,
    generation: int,
    requested_at: float,
    before: Grant | None = None,
    before_refresh_token: str | None = None,
) -> dict[str, Any]:
    """The columns of a new generation. A refresh token that was not repeated stays (RFC 6749 §6), sealed anew.

    `requested_at`: epoch seconds just before the token request was sent; lives count from there.
    """
    settings = registration.client.settings
    windows = margins(
        grant_id=grant_id,
        generation=generation,
        requested_at=requested_at,
        life_seconds=_access_life(settings, tokens, requested_at),
    )
    refresh_token = tokens.refresh_token or before_refresh_token
    grant_type = settings.grant_type if before is None else before.grant_type
    renewed = refresh_token is not None or grant_type == "client_credentials"
    redaction.remember(tokens.access_token, refresh_token)
    refresh_expires_at = before.refresh_expires_at if before is not None else None
    # `idle`: using the refresh token prolongs it, also where the server does not repeat it.
    idle = settings.advanced.refresh.expires == "idle"
    if tokens.refresh_token or (refresh_token and idle):
        refresh_life = tokens.refresh_token_expires_in_seconds
        if refresh_life is None and settings.refresh_token_expires_in:
            refresh_life = settings.refresh_token_expires_in / 1000
        refresh_expires_at = None if refresh_life is None else requested_at + refresh_life
    kept_alive = keep_alive_at(grant_id, generation, requested_at, refresh_expires_at)
    return {
        "state": "active",
        "reason": None,
        "generation": generation,
        "access_sealed": _sealed(ctx, tokens.access_token, grant_id, "access_sealed", generation),
        "refresh_sealed": _sealed(ctx, refresh_token, grant_id, "refresh_sealed", generation),
        "dpop_key_sealed": _sealed(ctx, tokens.dpop_key, grant_id, "dpop_key_sealed", 0),
        "token_type": tokens.token_type,
        "access_expires_at": windows.expires_at,
        "hard_at": windows.hard_at,
        "refresh_after": earliest(windows.refresh_after, kept_alive) if renewed else None,
        "refresh_expires_at": refresh_expires_at if refresh_token else None,
        "refresh_prolonged": True if idle else _prolonged(before, refresh_expires_at),
        "attempts": 0,
        "next_attempt_at": None,
        "last_error_class": None,
        "last_error_code": None,
        "last_ok_at": ctx.clock(),
        "changed_at": ctx.clock(),
    }


def _prolonged(before: Grant | None, refresh_expires_at: float | None) -> bool | None:
    """Whether this renewal moved the refresh token's end away by more than clocks differ; None if nobody can tell."""
    if before is None or before.refresh_expires_at is None or refresh_expires_at is None:
        return None
    return refresh_expires_at > before.refresh_expires_at + _SAME_END_SECONDS


def same_token_values(values: dict[str, Any], before: Grant, requested_at: float) -> dict[str, Any]:
    """`values` of an answer that repeats the access token we have: no new generation; not asked again before its end.

    Some servers give the same access token until it expires; asking them ahead of time would go on in a loop.
    """
    expires_at = values["access_expires_at"]
    if before.access_expires_at is not None and before.access_expires_at > requested_at:
        expires_at = before.access_expires_at
    return {**values, "access_expires_at": expires_at, "hard_at": expires_at, "refresh_after": expires_at}


def promoted_values(ctx: Context, grant: Grant, orphan: Orphan) -> dict[str, Any]:
    """The columns that put an orphan in the place of the present generation: sealed anew for the next one."""
    now, generation = ctx.clock(), grant.generation + 1
    opened = {"access_sealed": orphan.access_sealed, "refresh_sealed": orphan.refresh_sealed}
    sealed: dict[str, bytes | None] = {}
    for column, value in opened.items():
        sealed[column] = value
        if value is not None:
            secret = ctx.keyring.open(value, ad=_ad(ctx, grant.id, column, orphan.generation))
            redaction.remember(secret)
            sealed[column] = ctx.keyring.seal(secret, ad=_ad(ctx, grant.id, column, generation))
    return {
        **sealed,
        "state": "active",
        "reason": None,
        "generation": generation,
        "token_type": orphan.token_type,
        "access_expires_at": orphan.access_expires_at,
        "hard_at": orphan.access_expires_at,
        # Nobody has seen it work: it is renewed at once.
        "refresh_after": now if orphan.refresh_sealed is not None else None,
        "refresh_expires_at": orphan.refresh_expires_at,
        "attempts": 0,
        "next_attempt_at": None,
        "last_error_class": None,
        "last_error_code": None,
        "changed_at": now,
    }


def _access_life(settings: OAuthClientSettings, tokens: TokenSet, requested_at: float) -> float:
    """Seconds an access token lives: as the server says; else as configured, or less if the token itself says so."""
    configured = settings.access_token_expires_in / 1000
    if tokens.expires_in_seconds is not None:
        return tokens.expires_in_seconds
    return min(configured, lifetime(tokens, None, now=requested_at) or configured)


def store_new(
    tx: Tx,
    ctx: Context,
    registration: Registration,
    tokens: TokenSet,
    *,
    connection: Connection,
    account_id: str | None,
    requested_at: float,
    scopes_requested: Sequence[str],
    account: str | None,
) -> None:
    """The token set of a fresh sign-in in place of any grant that was there, with the API that it chose.

    Raises `Invalid` for an API that the client's tokens may not go to.
    """
    grant_id, connection_id = new_id("gr"), connection.id
    base_url = base_urls.told(ctx, registration.client, connection.settings, tokens.kept)
    names = registration.client.settings.advanced.kept_names
    before = rows.of_connection(tx, ctx.workspace_id, connection_id, account_id)
    generation = 1 if before is None else before.generation + 1
    values = sealed_values(
        ctx, registration, tokens, grant_id=grant_id, generation=generation, requested_at=requested_at
    )
    rows.insert(
        tx,
        ctx.workspace_id,
        {
            **values,
            "id": grant_id,
            "connection_id": connection_id,
            "account_id": account_id,
            "scopes_requested": list(scopes_requested),
            "scopes_granted": None if tokens.scopes is None else list(tokens.scopes),
            "account": account,
            "grant_type": registration.client.settings.grant_type,
            "base_url": base_url,
            "kept": {name: tokens.kept[name] for name in names if name in tokens.kept} or None,
            "client_version": registration.client.version,
            "token_origin": registration.token_origin,
        },
    )
    incidents.accepted(tx, ctx, registration.client.id)
    # One message at most: that it works again, or else that it is connected.
    ended = [notices.close(tx, ctx, kind, connection_id, account_id=account_id) for kind in _ENDED_BY_SIGN_IN]
    if not any(ended):
        notices.announce(tx, ctx, "connection.connected", "connection", connection_id)
    short = _falls_short(tokens, scopes_requested, renews_itself=values["refresh_after"] is not None)
    if short is None:
        notices.close(tx, ctx, "needs_attention", connection_id, account_id=account_id)
    else:
        notices.open(tx, ctx, "needs_attention", connection_id, account_id=account_id, why=why(short))


def _falls_short(tokens: TokenSet, scopes_requested: Sequence[str], *, renews_itself: bool) -> str | None:
    """What a sign-in that succeeded lacks, as the detail of its health."""
    if not renews_itself:
        return "no_refresh_token"
    return "scopes_missing" if scopes_missing(scopes_requested, tokens.scopes) else None


def access_token(ctx: Context, grant: Grant) -> str:
    """The access token, opened just before use."""
    ad = _ad(ctx, grant.id, "access_sealed", grant.generation)
    token = ctx.keyring.open(grant.access_sealed, ad=ad)
    redaction.remember(token)
    return token


def refresh_token(ctx: Context, grant: Grant) -> str | None:
    """The refresh token, opened just before use; None if the server gave none."""
    if grant.refresh_sealed is None:
        return None
    ad = _ad(ctx, grant.id, "refresh_sealed", grant.generation)
    token = ctx.keyring.open(grant.refresh_sealed, ad=ad)
    redaction.remember(token)
    return token


def dpop_key(ctx: Context, grant: Grant) -> str | None:
    """The private key that the grant's tokens are bound to, for all generations; None for bearer tokens."""
    if grant.dpop_key_sealed is None:
        return None
    key = ctx.keyring.open(grant.dpop_key_sealed, ad=_ad(ctx, grant.id, "dpop_key_sealed", 0))
    redaction.remember(key)
    return key


def health_of(grant: Grant | None, *, now: float) -> Health:
    """One table of states: the last real outcome, never "was set up once"."""
    if grant is None:
        return Health("not_connected", None, None)
    if grant.state in {"reconnect_needed", "revoked"}:
        return Health("reconnect_needed", grant.reason, grant.changed_at)
    if grant.state == "suspended":
        return Health("needs_attention", grant.reason or "client_refused", grant.changed_at)
    ended = grant.access_expires_at is not None and now >= grant.access_expires_at
    if not grant.renews_itself and ended:
        return Health("reconnect_needed", "no_refresh_token", grant.access_expires_at)
    if grant.refresh_expires_at is not None and now >= grant.refresh_expires_at and ended:
        return Health("reconnect_needed", "refresh_token_expired", grant.refresh_expires_at)
    if grant.next_attempt_at is not None and grant.last_error_class is not None:
        return Health("retrying", grant.last_error_class, grant.changed_at)
    if not grant.renews_itself:
        return Health("needs_attention", "no_refresh_token", grant.changed_at)
    if missing_scopes(grant):
        return Health("needs_attention", "scopes_missing", grant.changed_at)
    if grant.sign_in_ends_at(now) is not None:
        return Health("needs_attention", "ends_soon", grant.changed_at)
    return Health("healthy", None, grant.changed_at)


def open_notice(tx: Tx, ctx: Context, grant: Grant, reason: str | None) -> None:
    """Tell that a person has to sign in again."""
    told = {"why": why(reason or "revoked"), "as_account": as_account(grant)}
    notices.open(tx, ctx, "reconnect_needed", grant.connection_id, account_id=grant.account_id, **told)


def as_account(grant: Grant) -> str:
    """Whose sign-in it is, to follow "Reconnect"; empty when that is not known."""
    return f" as {grant.account}" if grant.account else ""


def missing_scopes(grant: Grant) -> tuple[str, ...]:
    """Scopes that were asked for and not granted."""
    return scopes_missing(grant.scopes_requested, grant.scopes_granted)


def scope_changes(before: Grant, tokens: TokenSet) -> str:
    """What a sign-in grants more and less than the one before, in words; empty while nothing changed."""
    old, new = set(before.scopes_granted or before.scopes_requested), set(tokens.scopes or ())
    if tokens.scopes is None or old == new:
        return ""
    parts = [("Added ", sorted(new - old)), ("Gone: ", sorted(old - new))]
    return ". ".join(words + ", ".join(scopes) for words, scopes in parts if scopes) + "."


def scopes_missing(requested: Sequence[str], granted: Sequence[str] | None) -> tuple[str, ...]:
    """The difference; an answer without scopes means that all were granted (RFC 6749 §5.1)."""
    if granted is None:
        return ()
    found = {scope.lower() for scope in granted}
    # Servers often leave these two out of the list although they did what they ask for.
    silent = {"offline_access", "openid"}
    return tuple(scope for scope in requested if scope.lower() not in found and scope.lower() not in silent)


def _sealed(ctx: Context, value: str | None, grant_id: str, column: str, generation: int) -> bytes | None:
    return None if value is None else ctx.keyring.seal(value, ad=_ad(ctx, grant_id, column, generation))


def _ad(ctx: Context, grant_id: str, column: str, generation: int) -> AssociatedData:
    return AssociatedData(ctx.workspace_id, "grants", grant_id, column, generation)
