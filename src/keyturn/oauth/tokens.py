"""Token responses (RFC 6749 §5): a token set, or an error whatever the status says. Tokens are opaque to it."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from keyturn.oauth.bodies import at, is_page, object_of, text_of
from keyturn.oauth.errors import OAuthError
from keyturn.oauth.id_tokens import problem_of
from keyturn.oauth.quirks import STANDARD, Advanced, TokenField, TokenResponse
from keyturn.wire import Response

MAX_LIFE_SECONDS = 10 * 365 * 86400.0
_MAX_TOKEN_LENGTH = 65_536
_MAX_KEPT_LENGTH = 4000
_MAX_SCOPES = 1000
_WHERE = "token"
# Other names that servers use for the life of an access token when they do not say expires_in.
_EXPIRY_NAMES = ("expires_in", "expires_at", "expires")
_REFRESH_EXPIRY_NAMES = ("refresh_token_expires_in", "refresh_expires_in")
_ACCOUNT_NAMES = ("email", "preferred_username", "username", "login", "user_name", "name")


@dataclass(frozen=True, slots=True)
class TokenSet:
    """What a server granted; `repr` shows no token. Lives are in seconds from the request, None if not told.

    `refresh_token` None: none was given or it was not repeated, so an old one stays (§6).
    `scopes` None: as requested (§5.1). `id_token` is unverified. `kept` has the values asked for by `response.keep`.
    `dpop_key` is the private key they are bound to, None for bearer tokens.
    """

    access_token: str = field(repr=False)
    token_type: str = "Bearer"
    expires_in_seconds: float | None = None
    refresh_token: str | None = field(default=None, repr=False)
    scopes: tuple[str, ...] | None = None
    refresh_token_expires_in_seconds: float | None = None
    id_token: str | None = field(default=None, repr=False)
    kept: dict[str, Any] = field(default_factory=dict, repr=False)
    dpop_key: str | None = field(default=None, repr=False)


def process_token_response(
    response: Response, advanced: Advanced = STANDARD, *, now: float, dpop_key: str | None = None
) -> TokenSet:
    """The token set of a 2xx answer with an access token; everything else raises `OAuthError`, status 200 included.

    `now` is in epoch seconds: a server that tells the time of expiry instead of a life is measured against it.
    `dpop_key` is the private key that the request was proved with: then a token that is not bound is refused (RFC 9449
    §5), and without one a token that is.
    """
    settings = advanced.response
    names = {"access_token", "error", settings.error, *settings.fields.values()}
    body = object_of(response, form_fields=names)
    if (error := error_of(response, body, settings, where=_WHERE)) is not None:
        raise error
    reader = _Reader(body or {}, settings)
    access_token = _access_token(reader, response)
    refresh_token = reader.get("refresh_token")
    id_token = reader.get("id_token")
    return TokenSet(
        access_token=access_token,
        token_type=_token_type(reader, response, dpop=dpop_key is not None),
        expires_in_seconds=_access_life(reader, now),
        refresh_token=refresh_token if _is_token(refresh_token) else None,
        scopes=_scopes(reader.get("scope"), advanced.authorize.scope_separator),
        refresh_token_expires_in_seconds=_refresh_life(reader, now),
        id_token=id_token if _is_token(id_token) else None,
        kept=_kept(reader),
        dpop_key=dpop_key,
    )


def error_of(
    response: Response, body: dict[str, Any] | None, settings: TokenResponse = STANDARD.response, *, where: str
) -> OAuthError | None:
    """The error that an answer is, if it is one: by its status, its `error`, or the settings' sign of success."""
    success = 200 <= response.status < 300
    code = description = uri = None
    if body is None:
        code = _code_of_unreadable(response)
    else:
        code, description, uri = _error_fields(body, settings)
        if settings.ok is not None:
            worked = _same(at(body, settings.ok.path), settings.ok.equals)
            code = None if worked and success else code or "not_ok"
        elif not success:
            code = code or f"http_{response.status}"
    if code is None:
        return None
    return OAuthError(
        code,
        description,
        uri,
        status=response.status,
        where=where,
        retry_after=response.headers.get("retry-after"),
    )


def lifetime(tokens: TokenSet, configured_seconds: float | None, *, now: float) -> float | None:
    """Seconds an access token lives: as the server said, else as configured, else by its own `exp`; None if unknown."""
    if tokens.expires_in_seconds is not None:
        return tokens.expires_in_seconds
    if configured_seconds is not None:
        return configured_seconds
    expires_at = _number((_claims(tokens.access_token) or {}).get("exp"))
    return None if expires_at is None else _sane(expires_at - now)


def identity_of(
    tokens: TokenSet,
    *,
    issuer: str | None = None,
    client_id: str | None = None,
    nonce: str | None = None,
    now: float | None = None,
) -> str | None:
    """Whose account this is, as a label, or None: a kept value, or the ID token's if that passes its checks.

    An ID token counts only if it came straight from the token endpoint over TLS, which stands in for its
    signature, and `issuer`, `client_id`, `nonce` (if one was sent) and `exp` are right (OIDC Core §3.1.3.7).
    """
    label = _label(tokens.kept)
    if label is not None or tokens.id_token is None or issuer is None or client_id is None or now is None:
        return label
    claims = _claims(tokens.id_token) or {}
    if problem_of(claims, issuer=issuer, client_id=client_id, nonce=nonce, now=now) is not None:
        return None
    # Nothing else has to be in an ID token, so the subject's own id is better than no name.
    subject = claims.get("sub")
    return _label(claims) or (subject if isinstance(subject, str) else None)


def seconds_of(value: Any) -> float | None:
    """A life in seconds as servers write it, a number or text; None if it is none that can be true."""
    number = _number(value)
    return None if number is None else _sane(number)


@dataclass(frozen=True, slots=True)
class _Reader:
    """A body with the settings that say where its fields are."""

    body: dict[str, Any] = field(repr=False)
    settings: TokenResponse

    def get(self, name: TokenField) -> Any:
        """The field, under the root if there is one, else at the top."""
        return self.at(self.settings.fields.get(name, name))

    def at(self, path: str) -> Any:
        """What stands at `path`, under the root if there is one, else at the top."""
        root = self.settings.root
        inner = None if root is None else at(at(self.body, root), path)
        return at(self.body, path) if inner is None else inner


def _access_token(reader: _Reader, response: Response) -> str:
    token = reader.get("access_token")
    if not _is_token(token):
        raise OAuthError("no_access_token", "The answer has no access token.", status=response.status, where=_WHERE)
    if not all(32 < ord(c) < 127 for c in token):
        # It would have to go into a header (RFC 6750 §2.1).
        raise OAuthError(
            "malformed_response",
            "The access token holds characters that no token may hold.",
            status=response.status,
            where=_WHERE,
        )
    return token


def _is_token(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_TOKEN_LENGTH


def _token_type(reader: _Reader, response: Response, *, dpop: bool) -> str:
    """RFC 6749 §7.1: an unknown type must not be used; compared without case. A bound token is not Bearer (9449 §5)."""
    found = reader.get("token_type")
    wanted = "DPoP" if dpop else "Bearer"
    if isinstance(found, str) and found.strip().lower() == wanted.lower():
        return wanted
    if reader.settings.token_type == "ignore" and not dpop:
        return wanted
    description = (
        "The server gave no token_type." if not found else f"The server gave a token that is no {wanted} token."
    )
    raise OAuthError("unsupported_token_type", description, status=response.status, where=_WHERE)


def _access_life(reader: _Reader, now: float) -> float | None:
    expires = reader.settings.expires
    mapped = reader.settings.fields.get("expires_in")
    for name in (mapped,) if mapped else _EXPIRY_NAMES:
        life = _life(reader.at(name), now, unit=expires.unit, is_time=expires.kind == "at" or name == "expires_at")
        if life is not None:
            return life
    return None


def _refresh_life(reader: _Reader, now: float) -> float | None:
    mapped = reader.settings.fields.get("refresh_token_expires_in")
    unit = reader.settings.expires.unit
    lives = (_life(reader.at(name), now, unit=unit) for name in ((mapped,) if mapped else _REFRESH_EXPIRY_NAMES))
    return next((life for life in lives if life is not None), None)


def _life(value: Any, now: float, *, unit: str = "s", is_time: bool = False) -> float | None:
    """Seconds from `now`, or None if `value` says nothing usable: at most 10 years, more than 0.

    Numbers may be text. What is far too large for a life, and dates, are taken as times of expiry.
    """
    number = _number(value)
    if number is None:
        when = _date(value)
        return None if when is None else _sane(when - now)
    if unit == "ms":
        number /= 1000
    if is_time or number > MAX_LIFE_SECONDS:
        # Milliseconds since 1970 are told from seconds by their size: in seconds they would be past the year 5000.
        return _sane((number / 1000 if number > 1e11 else number) - now)
    return _sane(number)


def _sane(seconds: float) -> float | None:
    return seconds if 0 < seconds <= MAX_LIFE_SECONDS else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _date(value: Any) -> float | None:
    if not isinstance(value, str):
        return None
    try:
        when = datetime.fromisoformat(value.strip())
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _scopes(value: Any, separator: str) -> tuple[str, ...] | None:
    if isinstance(value, str):
        if separator != " " or ("," in value and not value.split(",", 1)[0].count(" ")):
            value = value.replace("," if separator == " " else separator, " ")
        value = value.split()
    if not isinstance(value, list):
        return None
    return tuple(dict.fromkeys(item for item in value[:_MAX_SCOPES] if isinstance(item, str) and item)) or None


def _kept(reader: _Reader) -> dict[str, Any]:
    # Names under which servers say whose account it is come along: they label the connection.
    found = {path: reader.at(path) for path in (*_ACCOUNT_NAMES, *reader.settings.keep)}
    return {
        path: value
        for path, value in found.items()
        if isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= _MAX_KEPT_LENGTH)
    }


def _error_fields(body: Mapping[str, Any], settings: TokenResponse) -> tuple[str | None, str | None, str | None]:
    """Code, description and URI of an error body: RFC 6749 §5.2, a nested object, or a list of errors."""
    description = text_of(body.get("error_description")) or text_of(body.get("message"))
    found = at(body, settings.error)
    if found is None and settings.error == "error" and isinstance(body.get("errors"), list):
        found = body["errors"]
    if isinstance(found, list):
        found = next((item for item in found if item), None)
    if isinstance(found, Mapping):
        names = ("error", "code", "type", "errorType", "status")
        description = description or text_of(found.get("error_description")) or text_of(found.get("message"))
        found = next((text for name in names if (text := text_of(found.get(name)))), "error" if found else None)
    code = "error" if found is True else text_of(found)
    # Some servers always send the field: 0 and "0" mean none.
    return (None if code == "0" else code), description, text_of(body.get("error_uri"))


def _code_of_unreadable(response: Response) -> str:
    if 300 <= response.status < 400 or response.status >= 500:
        return f"http_{response.status}"
    if is_page(response):
        return "not_json"
    return "malformed_response" if 200 <= response.status < 300 else f"http_{response.status}"


def _same(found: Any, wanted: object) -> bool:
    """Equal, where True is not 1 and a number may come as text."""
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    return found == wanted or (text_of(found) is not None and text_of(found) == text_of(wanted))


def _claims(token: str) -> dict[str, Any] | None:
    """The payload of a JWT (RFC 7519 §3), unverified; None if it is none."""
    parts: Sequence[str] = token.split(".")
    if len(parts) != 3:
        return None
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        found = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _label(values: Mapping[str, Any]) -> str | None:
    names = (name for name in _ACCOUNT_NAMES if isinstance(values.get(name), str) and values[name].strip())
    name = next(names, None)
    return None if name is None else values[name].strip()[:200]
