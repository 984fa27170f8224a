"""How counts, times, sizes and health are said on the command line. Pure but for the local timezone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

# The same words as model/connections.py, which is too slow to load for a list; a test holds them together.
STATUS_WORDS: dict[str, str] = {
    "not_connected": "Not connected yet",
    "healthy": "Healthy",
    "needs_attention": "Needs attention",
    "retrying": "Retrying",
    "reconnect_needed": "Reconnect needed",
    "paused": "Paused",
}
_TYPES: dict[str, str] = {
    "rest_api_oauth2_auth_code": "REST API OAuth 2.0 - Auth Code Grant",
    "rest_api_oauth2_client_credentials": "REST API OAuth 2.0 - Client Credentials Grant",
    "rest_api_oauth2_device_code": "REST API OAuth 2.0 - Device Code Grant",
}


def count(number: int, noun: str) -> str:
    """`1 table`, `1,234 tables`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def size(number: int) -> str:
    """Bytes in decimal units: `9.1 MB`."""
    amount = float(number)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{number:,} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def when(text: str | None, *, now: datetime | None = None) -> str:
    """A time of the API in the local timezone, short: today `06:00`, this week `3 days ago`, else the date."""
    if text is None:
        return "–"
    at = datetime.fromisoformat(text).astimezone()
    here = now or datetime.now().astimezone()
    days = (here.date() - at.date()).days
    if days == 0:
        return f"{at:%H:%M}"
    if 1 <= days < 7:
        return "yesterday" if days == 1 else f"{days} days ago"
    return f"{at:%Y-%m-%d}"


def soon(text: str | None) -> str:
    """A time to come in the local timezone: `Mon 24 Nov 06:00`."""
    if text is None:
        return "–"
    at = datetime.fromisoformat(text).astimezone()
    return f"{at:%a} {at.day} {at:%b %H:%M}"


def full_time(text: str | None) -> str | None:
    """A time of the API in the local timezone, whole: `2026-11-24 14:02:31 CET`."""
    return None if text is None else f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S %Z}"


def since(text: str | None, *, now: datetime | None = None) -> str:
    """` since 09:12`, ` since Tue`, ` since 3 Mar`, or nothing."""
    if text is None:
        return ""
    at = datetime.fromisoformat(text).astimezone()
    here = now or datetime.now().astimezone()
    if at.date() == here.date():
        return f" since {at:%H:%M}"
    return f" since {at:%a}" if here - at < timedelta(days=7) else f" since {at.day} {at:%b}"


def health(connection: Mapping[str, Any]) -> str:
    """One sentence on a connection: `Reconnect needed since Tue (access revoked)`."""
    status = str(connection["status"])
    word = STATUS_WORDS.get(status, status)
    if status in {"healthy", "not_connected"}:
        return word
    detail = connection.get("status_detail")
    reason = f" ({str(detail).replace('_', ' ')})" if detail else ""
    return f"{word}{since(connection.get('status_since'))}{reason}"


def works_until(connection: Mapping[str, Any]) -> str:
    """Until when a sign-in lasts: `renewed` while it renews itself."""
    until = None if connection.get("refresh_token_prolonged") else connection.get("refresh_token_expires_at")
    if until is None and connection.get("has_refresh_token") is False:
        until = connection.get("access_token_expires_at")
    return "renewed" if until is None else str(full_time(until))


def scopes(connection: Mapping[str, Any]) -> str:
    """Granted against asked: `2 of 2`, with the missing ones named. What is not told was granted (RFC 6749 §5.1)."""
    asked = list(connection.get("scopes_requested") or ())
    granted = connection.get("scopes_granted")
    missing = [scope for scope in asked if scope not in granted] if granted is not None else asked[:0]
    tail = f" (missing {' '.join(missing)})" if missing else ""
    return f"{len(asked) - len(missing)} of {len(asked)}{tail}"


def authentication_type(word: str) -> str:
    """An OAuth 2.0 client's type as the form says it."""
    return _TYPES.get(word, word)


def yes_no(value: object) -> str:
    """Said as yes or no; `–` for not known."""
    return "–" if value is None else "yes" if value else "no"
