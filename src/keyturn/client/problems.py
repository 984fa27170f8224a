"""Problem details (RFC 9457) back into the errors of `keyturn.errors`: the server's table, inverted by code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keyturn import errors
from keyturn.errors import Conflict, Invalid, KeyturnError, LimitReached, Problem, Unavailable

_STANDARD = frozenset({"type", "title", "status", "detail", "code", "message_code", "errors", "retry_after", "message"})
# For answers that are not ours: a proxy in between, or an address that is no Keyturn at all.
_BY_STATUS: dict[int, str] = {
    400: "invalid",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    410: "gone",
    422: "invalid",
    429: "limit_reached",
    502: "unavailable",
    503: "unavailable",
    504: "unavailable",
}


def error_of(body: Mapping[str, Any]) -> KeyturnError:
    """The error a problem (or the `error` of an import or authorization) tells of.

    `code` chooses the class, an unknown one gives `KeyturnError`; members beyond the standard ones
    become `details`, so `reconnect_url` or `request_id` are at hand.
    """
    kind = errors.by_code().get(str(body.get("code")), KeyturnError)
    message = str(body.get("detail") or body.get("message") or body.get("title") or "The server gave no reason.")
    code = body.get("message_code")
    details = {name: value for name, value in body.items() if name not in _STANDARD and name.isidentifier()}
    for name in ("sent", "at", "problems", "retry_after_seconds"):
        details.pop(name, None)
    problems = tuple(
        Problem(str(item.get("at", "")), str(item.get("message", "")))
        for item in body.get("errors") or ()
        if isinstance(item, Mapping)
    )
    if issubclass(kind, Invalid):
        return kind(message, problems=problems, message_code=code, **details)
    if issubclass(kind, LimitReached | Unavailable):
        return kind(message, retry_after_seconds=_seconds(body.get("retry_after")), message_code=code, **details)
    if issubclass(kind, Conflict):
        return kind(message, at=problems[0].at if problems else None, message_code=code, **details)
    return kind(message, message_code=code, **details)


def error_of_status(status: int, url: str) -> KeyturnError:
    """The error for an answer without problem details: it came from something between us and Keyturn."""
    kind = errors.by_code().get(_BY_STATUS.get(status, ""), KeyturnError)
    sentence = f"{url} answered {status}, and not in Keyturn's words. Check the address, and what stands before it."
    if issubclass(kind, LimitReached | Unavailable):
        return kind(sentence, retry_after_seconds=1.0, status=status)
    return kind(sentence, status=status)


def _seconds(value: object) -> float:
    try:
        return max(0.0, float(str(value)))
    except ValueError:
        return 1.0
