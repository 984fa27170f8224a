"""An authorization server's refusal at a sign-in in our words: of a pushed request, at callback and Token URL."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from keyturn import redaction
from keyturn.errors import ClientRefused, Invalid, KeyturnError, UpstreamError
from keyturn.model.client_secrets import reminder
from keyturn.model.grants import Grant
from keyturn.model.messages import say
from keyturn.oauth.errors import CLIENT_CODES, GARBLED_CODES, OAuthError
from keyturn.services import client_keys, oauth_clients
from keyturn.services.context import Context
from keyturn.services.oauth_clients import Registration
from keyturn.storage import events as event_rows

_SERVER_ERROR = 500
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# What large servers say besides RFC 6749 §4.1.2.1: GitHub, Google, Keycloak.
_REDIRECT_CODES = frozenset({"redirect_uri_mismatch", "invalid_redirect_uri", "unregistered_redirect_uri"})
_ADMIN_CODES = frozenset({"admin_policy_enforced", "admin_consent_required"})
# Microsoft Entra sends the same error for many causes; its number is the code (learn.microsoft.com, AADSTS codes).
_ENTRA_ADMIN = re.compile(r"\bAADSTS(65001|90093|90094|900941)\b", re.ASCII)
_GOOGLE = "accounts.google.com"
_DAY_SECONDS = 86400.0
_SIGNED_IN = ("connected", "reconnected")


async def in_our_words(ctx: Context, error: OAuthError, registration: Registration | None) -> KeyturnError:
    """Who repairs it and how. `registration` is None only if the client itself could not be opened."""
    if registration is None:
        return UpstreamError(
            say("E-TOKEN", system="The authorization server", error=str(error)), message_code="E-TOKEN"
        )
    if error.where == "authorization":
        return _of_callback(error, registration)
    if error.error in CLIENT_CODES and (error.status or 0) < _SERVER_ERROR:
        return await _client(ctx, error, registration)
    if error.where == "pushed_authorization":
        return _of_push(error, registration)
    return _of_token(error, registration)


def _of_push(error: OAuthError, registration: Registration) -> KeyturnError:
    """What was answered to an authorization request that was sent to the server itself (RFC 9126)."""
    system = registration.client.name
    if error.error in _REDIRECT_CODES:
        return _redirect_uri(registration)
    if (error.status or 0) >= _SERVER_ERROR:
        return UpstreamError(
            f"{system} is having trouble ({error.status}) and took no sign-in. Try again in a minute.",
            message_code="E-UPSTREAM",
            upstream_error=error.error,
        )
    if error.error in GARBLED_CODES or error.error.startswith("http_"):
        return UpstreamError(
            f"The pushed authorization request URL of {system} gave no request_uri ({error.error}). A Workspace Admin "
            "checks that address.",
            message_code="E-NOTJSON",
        )
    return UpstreamError(
        f"{system} did not take the sign-in ({redaction.text(error, limit=200)}). A Workspace Admin checks its OAuth "
        "2.0 client.",
        message_code="E-TOKEN",
        upstream_error=error.error,
    )


def _of_callback(error: OAuthError, registration: Registration) -> KeyturnError:
    """What the browser brought back instead of a code."""
    system = registration.client.name
    if error.error in _ADMIN_CODES or _ENTRA_ADMIN.search(error.description or ""):
        return Invalid(say("E-ADMIN", system=system), message_code="E-ADMIN")
    if error.error == "access_denied":
        return Invalid(say("E-DENIED"), message_code="E-DENIED")
    if error.error in _REDIRECT_CODES:
        return _redirect_uri(registration)
    return UpstreamError(
        f"{system} did not let the sign-in through ({redaction.text(error, limit=200)}). Check the OAuth 2.0 client, "
        "then try again.",
        message_code="E-TOKEN",
    )


def _of_token(error: OAuthError, registration: Registration) -> KeyturnError:
    """What the Token URL answered to a code."""
    system = registration.client.name
    if error.error == "not_json":
        return UpstreamError(say("E-NOTJSON"), message_code="E-NOTJSON")
    if error.error in GARBLED_CODES:
        return UpstreamError(
            f"The Token URL answered without a token. Check that it is the Token URL of {system}.",
            message_code="E-NOTJSON",
        )
    if error.status in _REDIRECTS:
        return UpstreamError(
            f"The Token URL redirects elsewhere ({error.status}), and secrets are never sent after a redirect. "
            "Enter the address it leads to.",
            message_code="E-TOKEN",
        )
    if (error.status or 0) >= _SERVER_ERROR:
        return UpstreamError(
            f"{system} is having trouble ({error.status}) and gave no token. Try again in a minute.",
            message_code="E-UPSTREAM",
            upstream_error=error.error,
        )
    if error.error in _REDIRECT_CODES:
        return _redirect_uri(registration)
    return UpstreamError(
        say("E-TOKEN", system=system, error=str(error)), message_code="E-TOKEN", upstream_error=error.error
    )


async def lasted_seven_days(ctx: Context, registration: Registration, grant: Grant) -> bool:
    """Whether a grant that died now had the life of a sign-in to an app that Google knows as in Testing."""
    if urlsplit(registration.client.settings.authorization_url).hostname != _GOOGLE:
        return False
    since = await ctx.database.read(
        event_rows.latest_at, ctx.workspace_id, grant.connection_id, _SIGNED_IN, grant.account_id
    )
    # It is noticed at the next refresh, which may be some hours later.
    return since is not None and 7 * _DAY_SECONDS - 3600 <= ctx.clock() - since <= 8 * _DAY_SECONDS


async def _client(ctx: Context, error: OAuthError, registration: Registration) -> ClientRefused:
    client = await oauth_clients.get(ctx, registration.client.id)
    if client.settings.advanced.token.auth == "private_key_jwt":
        return client_keys.refused(client, error.error)
    spoken = reminder(client.secrets, client.name, ctx.clock(), client.connections_total)
    if spoken is not None and spoken[0]:
        return ClientRefused(spoken[1], message_code=spoken[0])
    both = len({way.credentials.method for way in registration.ways()}) > 1
    ways = "We tried both ways of sending it." if both else "We sent it as this server asks."
    return ClientRefused(say("E-CLIENT", system=client.name, error=error.error, tried=ways), message_code="E-CLIENT")


def _redirect_uri(registration: Registration) -> Invalid:
    sentence = say("E-REDIRECT", system=registration.client.name, redirect_uri=registration.client.redirect_uri)
    return Invalid(sentence, message_code="E-REDIRECT")
