"""A connection's health in sentences, and its last 90 days as one state a day. Pure: values in, words out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from markupsafe import Markup

from keyturn.model.connections import STATUS_WORDS, Connection, Status, why
from keyturn.services.events import BLIPS, TURNS, Event
from keyturn.web.rendering import clock_time, when

DAYS = 90
# How a day is drawn, worst first: a status → the class of the strip.
_MARKS: dict[str, str] = {
    "reconnect_needed": "x",
    "needs_attention": "r",
    "retrying": "r",
    "paused": "p",
    "healthy": "",
    "not_connected": "p",
}
_WORST_FIRST = tuple(_MARKS)


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the strip. `mark` is its class: empty healthy, r works badly, x needs a person, p rests."""

    date: str
    mark: str
    status: str
    sentence: str

    @property
    def words(self) -> str:
        """Its date as people write it: 17 Nov."""
        found = date.fromisoformat(self.date)
        return f"{found.day} {found:%b}"


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


def days(turns: Sequence[Event], connection: Connection, *, now: float) -> list[Day]:
    """The last 90 days in UTC, oldest first: each has the worst state it saw, also one that began earlier.

    `turns`: where the state turned, oldest first. What no event told of (an end by time alone) counts from
    `status_since` on.
    """
    found: list[Day] = []
    left = list(turns)
    by_hand = connection.settings.auth.type != "oauth2"
    lasting, told = _before(turns, connection, now)
    since = _date(connection.status_since or now)
    for back in range(DAYS - 1, -1, -1):
        here = _date(now - back * 86400)
        seen = [(lasting, told)]
        while left and _date(left[0].at) <= here:
            event = left.pop(0)
            words = f"{event.word}. {event.sentence}"
            if event.kind in BLIPS:
                seen.append((BLIPS[event.kind], words))
                continue
            lasting, told = TURNS[event.kind], words
            if by_hand and lasting == "not_connected":
                lasting = "healthy"
            seen.append((lasting, told))
        if here >= since:
            seen.append((connection.status, _now(connection)))
        status, words = min(seen, key=lambda item: _WORST_FIRST.index(item[0]))
        found.append(Day(here, _MARKS[status], status, "" if status == "healthy" else words))
    return found


def _before(turns: Sequence[Event], connection: Connection, now: float) -> tuple[Status, str]:
    """The state the strip begins with, which nobody tells of any more."""
    if _date(connection.created_at) > _date(now - DAYS * 86400):
        return "not_connected", "It was not there yet."
    return ("healthy", "") if turns else (connection.status, _now(connection))


def _now(connection: Connection) -> str:
    reason = why(connection.status_detail)
    return f"{reason[:1].upper()}{reason[1:]}." if reason else ""


def key(found: Sequence[Day]) -> str:
    """The strip in words."""
    parts = [
        ("healthy", "healthy"), ("retrying", "with retries"), ("needs_attention", "needed attention"),
        ("reconnect_needed", "needed a reconnect"), ("paused", "paused"),
    ]  # fmt: skip
    counts = [(sum(day.status == status for day in found), words) for status, words in parts]
    return " · ".join(f"{count} {'day' if count == 1 else 'days'} {words}" for count, words in counts if count)


def spans(found: Sequence[Day]) -> list[tuple[str, Day]]:
    """The strip for ears: days alike in a row as one line, newest first, each with its first and last date."""
    lines: list[tuple[str, str, Day]] = []
    for day in found:
        if lines and (lines[-1][2].status, lines[-1][2].sentence) == (day.status, day.sentence):
            lines[-1] = (lines[-1][0], day.words, lines[-1][2])
        else:
            lines.append((day.words, day.words, day))
    return [(first if first == last else f"{first} to {last}", day) for first, last, day in reversed(lines)]


def _date(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()
