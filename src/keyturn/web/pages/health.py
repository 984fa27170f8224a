"""A connection's health in sentences, and its last 90 days as one state a day. Pure: values in, words out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup

from keyturn.model.connections import STATUS_WORDS, Connection, why
from keyturn.services.events import Event
from keyturn.web.rendering import clock_time, when

DAYS = 90
# How a day is drawn, worst first: an event's kind → (class of the strip, state, words)
_DAY_KINDS: dict[str, tuple[str, str]] = {
    "refresh_rejected": ("x", "reconnect_needed"),
    "base_url_changed": ("x", "reconnect_needed"),
    "client_refused": ("x", "needs_attention"),
    "refresh_failed": ("r", "retrying"),
    "slowed_down": ("r", "retrying"),
    "paused": ("p", "paused"),
}


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the strip. `mark` is its class: empty healthy, r retries, x reconnect, p paused or not there yet."""

    date: str
    mark: str
    status: str
    sentence: str


def sentence(connection: Connection) -> Markup:
    """What is true now: the first line of the page."""
    word = Markup("<b>{}.</b> ").format(STATUS_WORDS[connection.status])
    reason = why(connection.status_detail)
    if connection.status == "not_connected":
        end = f"{reason[:1].upper()}{reason[1:]}. " if reason else ""
        return word + f"{end}Sign in once, and Keyturn keeps it alive."
    if connection.status == "paused":
        return word + "Nothing is read until it is resumed."
    reads = f"Reads as {connection.account}." if connection.account else "Signed in."
    if connection.settings.auth.type != "oauth2":
        return word + "Uses the credentials given by hand."
    if connection.status == "healthy":
        until = connection.access_token_expires_at
        renews = Markup(" The sign-in renews itself.")
        if until is not None:
            renews = Markup(" The sign-in renews itself; this token works until {}.").format(clock_time(until))
        return word + reads + renews
    if connection.status == "reconnect_needed":
        since = Markup(" Since {}.").format(when(connection.status_since)) if connection.status_since else Markup("")
        return word + f"{reason[:1].upper()}{reason[1:]}." + since if reason else word + since
    return word + reads + (f" But {reason}." if reason else "")


def missing_scopes(connection: Connection) -> tuple[str, ...]:
    """Scopes asked for and not granted; an answer without scopes means all were (RFC 6749 §5.1)."""
    if connection.scopes_granted is None:
        return ()
    granted = {scope.lower() for scope in connection.scopes_granted} | {"offline_access", "openid"}
    return tuple(scope for scope in connection.scopes_requested if scope.lower() not in granted)


def days(events: Sequence[Event], *, since: float, now: float) -> list[Day]:
    """The last 90 days in UTC, oldest first; each has the worst that happened on it."""
    by_day: dict[str, list[Event]] = {}
    for event in events:
        by_day.setdefault(_date(event.at), []).append(event)
    found = []
    for back in range(DAYS - 1, -1, -1):
        at = now - back * 86400
        date = _date(at)
        if date < _date(since):
            found.append(Day(date, "p", "not_connected", "It was not there yet."))
            continue
        worst = next((e for kind in _DAY_KINDS for e in by_day.get(date, ()) if e.kind == kind), None)
        if worst is None:
            found.append(Day(date, "", "healthy", ""))
        else:
            mark, status = _DAY_KINDS[worst.kind]
            found.append(Day(date, mark, status, f"{worst.word}. {worst.sentence}"))
    return found


def key(found: Sequence[Day]) -> str:
    """The strip in words."""
    there = [day for day in found if day.status != "not_connected"]
    parts = []
    for status, words in (("healthy", "healthy"), ("retrying", "with retries"), ("paused", "paused")):
        count = sum(day.status == status for day in there)
        if count:
            parts.append(f"{count} {'day' if count == 1 else 'days'} {words}")
    broken = sum(day.mark == "x" for day in there)
    if broken:
        parts.append(f"{broken} needed somebody")
    return " · ".join(parts)


def _date(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()
