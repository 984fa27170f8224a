"""What an authorization server's refusal is and who can repair it. Sorted by code and status, never by text."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal

from keyturn import redaction
from keyturn.errors import UpstreamError
from keyturn.wire import Response

Outcome = Literal["ok", "grant_dead", "client_dead", "config", "transient", "not_sent", "unknown_outcome"]

MAX_TEXT = 200
_MAX_RETRY_AFTER_SECONDS = 7 * 86400.0
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

# RFC 6749 §5.2, and what large servers say instead (GitHub, Slack).
GRANT_CODES = frozenset({"invalid_grant", "bad_refresh_token", "bad_verification_code", "invalid_refresh_token"})
CLIENT_CODES = frozenset(
    {"invalid_client", "unauthorized_client", "incorrect_client_credentials", "invalid_client_id", "bad_client_secret"}
)
# RFC 6749 §4.1.2.1, RFC 8628 §3.5.
TRANSIENT_CODES = frozenset({"temporarily_unavailable", "slow_down", "server_error"})
# A 2xx that cannot be read: the server may have spent the grant.
GARBLED_CODES = frozenset({"not_json", "malformed_response", "no_access_token"})
# The door out refused before anything was sent; the same request will be refused again.
_REFUSED_BEFORE_SENDING = frozenset({"E-BLOCKED", "E-TLS"})


class OAuthError(Exception):
    """An error answer (RFC 6749 §4.1.2.1, §5.2) or an answer that is none.

    `error` is the code, the server's or one of ours (`not_json`, `malformed_response`, `no_access_token`,
    `unsupported_token_type`, `http_503`, …); `description` and `uri` are the server's, made safe to show;
    `status` is the HTTP status; `where` is the endpoint: `authorization`, `token`, `revocation`, `metadata`, …;
    `retry_after` is the header as it came.
    """

    def __init__(
        self,
        error: str,
        description: str | None = None,
        uri: str | None = None,
        *,
        status: int | None = None,
        where: str = "",
        retry_after: str | None = None,
    ) -> None:
        self.error = safe_text(error, limit=80) or "unknown_error"
        self.description = None if description is None else safe_text(description) or None
        self.uri = None if uri is None else safe_text(uri) or None
        self.status = status
        self.where = where
        self.retry_after = retry_after
        super().__init__(safe_text(f"{self.error}: {self.description}" if self.description else self.error))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who can repair it (`outcome`), by which `code`, and when the server wants to be asked again, in seconds."""

    outcome: Outcome
    code: str | None = None
    retry_after_seconds: float | None = None


def classify(found: OAuthError | UpstreamError | Response, *, now: float) -> Verdict:
    """The class of what came back from a token endpoint. `now` is in epoch seconds, for a Retry-After that is a date.

    `grant_dead`: the person signs in again. `client_dead`: the client's id or secret. `config`: the registration or
    a URL. `transient`: time. `not_sent`: nothing reached the server. `unknown_outcome`: it may have acted.
    """
    if isinstance(found, UpstreamError):
        return _unanswered(found)
    if isinstance(found, Response):
        wait = retry_after_seconds(found.headers.get("retry-after"), now=now)
        code = None if _is_success(found.status) else f"http_{found.status}"
        return Verdict("ok" if code is None else _by_status(found.status), code, wait)
    outcome = _by_code(found.error, found.status)
    return Verdict(outcome, found.error, retry_after_seconds(found.retry_after, now=now))


def retry_after_seconds(value: str | None, *, now: float) -> float | None:
    """Seconds to wait by a Retry-After header, which is a number or a date (RFC 9110 §10.2.3); None if unreadable.

    At least 0 and at most a week. `now` is in epoch seconds.
    """
    if value is None:
        return None
    value = value.strip()
    try:
        # Servers send 1.5 as well.
        seconds = float(value) if value[:1].isdigit() else parsedate_to_datetime(value).timestamp() - now
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER_SECONDS) if math.isfinite(seconds) else None


def safe_text(value: object, *, limit: int = MAX_TEXT) -> str:
    """A server's words fit to show: secrets masked, what cannot be seen escaped, shortened to `limit` characters."""
    # Far longer text is cut first, so that a huge answer costs nothing.
    text = redaction.text(str(value)[: 16 * limit])
    text = "".join(_escaped(c) if unicodedata.category(c) in _INVISIBLE else c for c in text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _escaped(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def _unanswered(error: UpstreamError) -> Verdict:
    if error.message_code in _REFUSED_BEFORE_SENDING:
        return Verdict("config", error.message_code)
    # Not known is taken as sent: a spent single-use token must not look unspent.
    return Verdict("not_sent" if error.sent is False else "unknown_outcome", error.message_code or error.code)


def _by_code(error: str, status: int | None) -> Outcome:
    if status is not None and (status >= 500 or status in {408, 425, 429}):
        return "transient"
    if error in GRANT_CODES:
        return "grant_dead"
    if error in CLIENT_CODES:
        return "client_dead"
    if error in TRANSIENT_CODES:
        return "transient"
    if error in GARBLED_CODES and _is_success(status):
        return "unknown_outcome"
    return _by_status(status)


def _by_status(status: int | None) -> Outcome:
    if status == 401:
        return "client_dead"
    if status is not None and (status >= 500 or status in {408, 425, 429}):
        return "transient"
    return "config"


def _is_success(status: int | None) -> bool:
    return status is not None and 200 <= status < 300
