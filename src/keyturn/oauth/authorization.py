"""Sending a person to the authorization server and reading what they bring back (RFC 6749 §4.1, 7636, 9207)."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import quote, unquote, unquote_plus, urlencode

from keyturn.oauth.errors import OAuthError
from keyturn.oauth.quirks import STANDARD, Advanced
from keyturn.oauth.server import AuthorizationServer

_ENTROPY_BYTES = 32
_MAX_PARAMETERS = 100
_MAX_LENGTH = 16_384
Value = str | tuple[str, ...]
"""A parameter's value; several are sent one after the other under the same name."""
CallbackParameters = Mapping[str, str | Sequence[str]] | Iterable[tuple[str, str | Sequence[str]]]

_ERRORS = ("error", "error_description", "error_uri")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One authorization request's own values, to be kept until its answer; `repr` hides what must not be known."""

    state: str = field(repr=False)
    code_verifier: str | None = field(repr=False)
    nonce: str | None = field(repr=False)
    redirect_uri: str
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CallbackAnswer:
    """What came to the redirect URI: a code or an error, as raw text. `extra` has the kept parameters only."""

    code: str | None = field(repr=False)
    state: str | None = field(repr=False)
    iss: str | None = field(default=None, repr=False)
    error: str | None = field(default=None, repr=False)
    error_description: str | None = field(default=None, repr=False)
    error_uri: str | None = field(default=None, repr=False)
    extra: dict[str, str] = field(default_factory=dict, repr=False)


def new_state() -> str:
    """A value of 256 random bits that binds an answer to its attempt (RFC 6749 §10.12)."""
    return secrets.token_urlsafe(_ENTROPY_BYTES)


def new_nonce() -> str:
    """A value of 256 random bits that binds an ID token to its attempt (OIDC Core §3.1.2.1)."""
    return secrets.token_urlsafe(_ENTROPY_BYTES)


def new_verifier() -> str:
    """A code verifier: 43 unreserved characters of 256 random bits (RFC 7636 §4.1, §7.1)."""
    return secrets.token_urlsafe(_ENTROPY_BYTES)


def challenge(verifier: str) -> str:
    """The S256 code challenge of a verifier (RFC 7636 §4.2)."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def new_attempt(redirect_uri: str, scopes: Sequence[str], *, advanced: Advanced = STANDARD) -> Attempt:
    """Fresh values for one attempt: a verifier unless PKCE is off, a nonce if the scopes or the settings want one."""
    wants_nonce = advanced.authorize.nonce or "openid" in scopes
    return Attempt(
        state=new_state(),
        code_verifier=None if advanced.authorize.pkce == "off" else new_verifier(),
        nonce=new_nonce() if wants_nonce else None,
        redirect_uri=redirect_uri,
        scopes=tuple(scopes),
    )


def authorization_parameters(
    server: AuthorizationServer,
    *,
    client_id: str,
    redirect_uri: str,
    scopes: Sequence[str],
    state: str,
    code_challenge: str | None,
    nonce: str | None = None,
    dpop_thumbprint: str | None = None,
    advanced: Advanced = STANDARD,
) -> dict[str, Value]:
    """The parameters of an authorization request under the names that the server wants (RFC 6749 §4.1.1, 7636 §4.3).

    None is empty. `dpop_thumbprint` binds the code to a key too (RFC 9449 §10).
    Raises `OAuthError` where PKCE is on and impossible.
    """
    if advanced.authorize.pkce == "off":
        code_challenge = None
    else:
        _check_pkce(server, code_challenge)
    wanted: dict[str, Value | None] = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": advanced.authorize.scope_separator.join(scopes),
        "state": state,
        "code_challenge": code_challenge,
        "code_challenge_method": code_challenge and "S256",
        "nonce": nonce,
        "dpop_jkt": dpop_thumbprint,
        "resource": advanced.resources,
    }
    extra: dict[str, Value] = dict(advanced.authorize.params)
    return _present(renamed(extra | _present(wanted), advanced.authorize.rename))


def authorization_url(
    server: AuthorizationServer, parameters: Mapping[str, Value], *, advanced: Advanced = STANDARD
) -> str:
    """The address to send the browser to with `authorization_parameters`, or with those that stand for pushed ones.

    Keeps the query of the registered URL; none of our parameters occurs twice, except several resources.
    Raises `OAuthError` where the URL has a fragment that is not allowed.
    """
    if "#" in server.authorization_url and not advanced.authorize.fragment:
        raise OAuthError("invalid_authorization_url", "The Authorization URL must not have a fragment.", where=_HERE)
    return with_parameters(server.authorization_url, parameters)


def renamed(parameters: Mapping[str, Value], rename: Mapping[str, str | None]) -> dict[str, Value]:
    """`parameters` under the names that the server wants; those renamed to None are left out."""
    found: dict[str, Value] = {}
    for name, value in parameters.items():
        target = rename.get(name, name)
        # A renamed parameter of ours wins over an extra one that happens to have its new name.
        if target is not None and (target not in found or name in rename):
            found[target] = value
    return found


def with_parameters(url: str, parameters: Mapping[str, Value]) -> str:
    """`url` with `parameters` in its query, or behind its fragment, where pages that have one read them.

    What was registered stays letter for letter, except what we set ourselves.
    """
    front, mark, fragment = url.partition("#")
    path, _, query = (fragment if mark else front).partition("?")
    kept = [part for part in query.split("&") if part and unquote_plus(part.partition("=")[0]) not in parameters]
    full = f"{path}?{'&'.join([*kept, urlencode(parameters, doseq=True, quote_via=quote)])}"
    return f"{front}#{full}" if mark else full


def parse_callback(params: CallbackParameters, advanced: Advanced = STANDARD) -> CallbackAnswer:
    """The authorization response (RFC 6749 §4.1.2, §4.1.2.1) from decoded query parameters, however long the code.

    Unknown parameters are ignored, empty ones taken as missing. Raises `OAuthError` (`invalid_callback`) for one
    that is there twice, too long or too many, and for a code together with an error.
    """
    names = {advanced.callback.code, advanced.callback.state, "iss", *_ERRORS, *advanced.callback.keep}
    seen: dict[str, str] = {}
    for number, (name, value) in enumerate(_pairs(params)):
        if number >= _MAX_PARAMETERS or len(value) > _MAX_LENGTH:
            raise _invalid("The answer is too long.")
        if name in seen:
            raise _invalid("A parameter of the answer is there twice.")
        if name in names:
            seen[name] = value
    found = {name: value for name, value in seen.items() if value}
    code = found.get(advanced.callback.code)
    if code is not None and "error" in found:
        raise _invalid("The answer has a code and an error.")
    return CallbackAnswer(
        code=unquote(code) if code and advanced.callback.decode else code,
        state=found.get(advanced.callback.state),
        iss=found.get("iss"),
        error=found.get("error"),
        error_description=found.get("error_description"),
        error_uri=found.get("error_uri"),
        extra={name: found[name] for name in advanced.callback.keep if name in found},
    )


def check_iss(answer: CallbackAnswer, server: AuthorizationServer) -> None:
    """Refuse the answer of another server (RFC 9207 §2.4): `iss` is compared to the letter, and needed if promised.

    Where our side knows no issuer there is nothing to compare. Raises `OAuthError` (`invalid_issuer`).
    """
    if answer.iss is None:
        if server.iss_required:
            raise OAuthError("invalid_issuer", "The answer lacks iss, which this server always sends.", where=_HERE)
    elif server.issuer is not None and answer.iss != server.issuer:
        raise OAuthError("invalid_issuer", "The answer comes from another authorization server.", where=_HERE)


_HERE = "authorization"


def _invalid(description: str) -> OAuthError:
    return OAuthError("invalid_callback", description, where=_HERE)


def _check_pkce(server: AuthorizationServer, code_challenge: str | None) -> None:
    if not code_challenge:
        raise OAuthError("pkce_required", "PKCE is on but there is no code challenge.", where=_HERE)
    if server.code_challenge_methods is not None and "S256" not in server.code_challenge_methods:
        raise OAuthError(
            "pkce_unsupported", "The server does not offer PKCE with S256. Switch PKCE off to go on.", where=_HERE
        )


def _present(parameters: Mapping[str, Value | None]) -> dict[str, Value]:
    return {name: value for name, value in parameters.items() if value}


def _pairs(params: CallbackParameters) -> list[tuple[str, str]]:
    """Name and value of each, whether they came as pairs or by name."""
    if isinstance(params, Mapping):
        params = cast("Mapping[str, str | Sequence[str]]", params).items()
    pairs: list[tuple[str, str]] = []
    for name, values in params:
        pairs += [(name, value) for value in ((values,) if isinstance(values, str) else values)]
    return pairs
