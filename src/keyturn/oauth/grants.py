"""Token requests, one function for each grant type (RFC 6749 §4.1.3, §4.4.2, §6). They are made here, never sent."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlencode

from keyturn.oauth.authorization import Value, new_verifier, renamed, with_parameters
from keyturn.oauth.client_auth import ClientCredentials, authenticate
from keyturn.oauth.quirks import STANDARD, Advanced
from keyturn.oauth.server import AuthorizationServer
from keyturn.wire import Headers, Request

FORM = "application/x-www-form-urlencoded"


def authorization_code_request(
    server: AuthorizationServer,
    credentials: ClientCredentials,
    *,
    code: str,
    redirect_uri: str,
    code_verifier: str | None,
    advanced: Advanced = STANDARD,
) -> Request:
    """Exchange a code (RFC 6749 §4.1.3, RFC 7636 §4.5). `redirect_uri` is the one of the authorization request."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": code_verifier,
    }
    return _token_request(server.token_url, form, advanced.token.params, credentials, advanced)


def refresh_token_request(
    server: AuthorizationServer,
    credentials: ClientCredentials,
    *,
    refresh_token: str,
    scopes: Sequence[str] | None = None,
    advanced: Advanced = STANDARD,
) -> Request:
    """Refresh (RFC 6749 §6). `scopes` are sent only where the settings say so, and must not be wider than granted."""
    send_scopes = advanced.refresh.send_scope and scopes
    form = {
        "grant_type": "refresh_token",
        "refresh_token": refresh_token,
        "scope": _joined(scopes, advanced) if send_scopes else None,
    }
    url = advanced.refresh.url or server.token_url
    return _token_request(url, form, advanced.refresh.params, credentials, advanced)


def client_credentials_request(
    server: AuthorizationServer,
    credentials: ClientCredentials,
    *,
    scopes: Sequence[str] = (),
    advanced: Advanced = STANDARD,
) -> Request:
    """A token for the client itself, without a person (RFC 6749 §4.4.2)."""
    return token_request(server, credentials, {"grant_type": "client_credentials"}, scopes=scopes, advanced=advanced)


def made_up_code_request(
    server: AuthorizationServer,
    credentials: ClientCredentials,
    *,
    redirect_uri: str,
    advanced: Advanced = STANDARD,
) -> Request:
    """A code exchange that must fail: `invalid_grant` says that the server knows the client, `invalid_client` not."""
    return authorization_code_request(
        server,
        credentials,
        code=secrets.token_urlsafe(24),
        redirect_uri=redirect_uri,
        code_verifier=None if advanced.authorize.pkce == "off" else new_verifier(),
        advanced=advanced,
    )


def token_request(
    server: AuthorizationServer,
    credentials: ClientCredentials,
    form: Mapping[str, str | None],
    *,
    scopes: Sequence[str] = (),
    advanced: Advanced = STANDARD,
) -> Request:
    """A token request of any grant type (RFC 6749 §4.5) with the client's credentials, settings and resources."""
    form = {**form, "scope": _joined(scopes, advanced)}
    return _token_request(server.token_url, form, advanced.token.params, credentials, advanced)


def authenticated_request(
    url: str,
    form: Mapping[str, str | None],
    credentials: ClientCredentials,
    advanced: Advanced = STANDARD,
) -> Request:
    """A form for one of the server's other endpoints (revocation, introspection, …) with the client's credentials."""
    present = {name: value for name, value in form.items() if value}
    present, headers = authenticate(present, _JSON_WANTED, _as_set(credentials, advanced))
    for name, value in advanced.token.headers.items():
        headers = headers.with_(name, value)
    return Request("POST", url, headers.with_("Content-Type", FORM), urlencode(present).encode("ascii"))


_JSON_WANTED = Headers.of({"Accept": "application/json"})


def _joined(scopes: Sequence[str] | None, advanced: Advanced) -> str:
    return advanced.authorize.scope_separator.join(scopes or ())


def _as_set(credentials: ClientCredentials, advanced: Advanced) -> ClientCredentials:
    settings = advanced.token
    return replace(credentials, basic_encoding=settings.basic_encoding, basic_user=settings.basic_user)


def _token_request(
    url: str,
    form: Mapping[str, str | None],
    extra: Mapping[str, str],
    credentials: ClientCredentials,
    advanced: Advanced,
) -> Request:
    """Ours, then the extra parameters that do not clash with ours; credentials once; then what moves or is left out."""
    settings = advanced.token
    present = {name: value for name, value in form.items() if value}
    present |= {name: value for name, value in extra.items() if value and name not in present}
    present, headers = authenticate(present, _JSON_WANTED, _as_set(credentials, advanced))
    for name, value in settings.headers.items():
        headers = headers.with_(name, value)
    whole: dict[str, Value] = {name: value for name, value in present.items() if name not in settings.omit}
    if advanced.resources and "resource" not in settings.omit:
        whole["resource"] = advanced.resources
    sent = renamed(whole, settings.rename)
    if settings.method == "GET":
        return Request("GET", with_parameters(url, sent), headers)
    if settings.body == "query":
        return Request("POST", with_parameters(url, sent), headers)
    if settings.body == "json":
        return Request("POST", url, headers.with_("Content-Type", "application/json"), json.dumps(sent).encode())
    return Request("POST", url, headers.with_("Content-Type", FORM), urlencode(sent, doseq=True).encode("ascii"))
