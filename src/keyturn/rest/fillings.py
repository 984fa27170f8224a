"""Values filled into a request: `{{today-7d}}`, `{{last_run}}`, `{{name}}`, and `{name}` in a path. Pure.

The moment is handed in, so that all pages of a read, and its resume, ask for the same days.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from keyturn.errors import Invalid

# What is around a name is stripped by code: patterns for it take cubic time where a mark never ends.
_MARK = re.compile(r"\{\{([^{}]*)\}\}")
_PATH_MARK = re.compile(r"\{\{([^{}]*)\}\}|\{([^{}]*)\}")
_MOMENT = re.compile(r"(today|now)(?:\s*([+-])\s*([0-9]{1,6})\s*([smhdw]))?(?::(epoch|epoch_ms))?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
# `{{secret:NAME}}`: a value that is kept elsewhere, and filled in last of all.
SECRET = "secret:"
# Before the first run everything is new.
NEVER = "1970-01-01T00:00:00Z"
KNOWN = ("today", "now", "last_run")


@dataclass(frozen=True, slots=True)
class Values:
    """What is filled in: `now` is epoch seconds, `given` the parameters by name, `last_run` RFC 3339 or None."""

    now: float
    given: Mapping[str, Any] = field(default_factory=dict)
    last_run: str | None = None
    secrets: Mapping[str, str] | None = field(default=None, repr=False)

    def of(self, name: str, *, at: str) -> Any:
        """The value of a name. Raises `Invalid` at the field that holds it, saying what may have been meant."""
        moment = _MOMENT.fullmatch(name)
        if moment is not None:
            return _moment(moment, self.now)
        if name == "last_run":
            return self.last_run or NEVER
        if name in self.given:
            return self.given[name]
        if name.startswith(SECRET):
            # Without the values, its name stands for it; nothing that is filled in is ever looked through again.
            return f"{{{{{name}}}}}" if self.secrets is None else self.secrets[name.removeprefix(SECRET)]
        raise unknown(name, self.given, at=at)


def fill(text: str, values: Values, *, at: str) -> str:
    """A text with every `{{name}}` replaced."""
    return _MARK.sub(lambda mark: said(values.of(mark[1].strip(), at=at)), text)


def fill_path(path: str, values: Values) -> str:
    """A path with `{name}` and `{{name}}` replaced, each value percent-encoded, so that it stays one step."""

    def step(mark: re.Match[str]) -> str:
        name = mark[1] if mark[1] is not None else mark[2]
        text = said(values.of(name.strip(), at="path"))
        if text in {"", ".", ".."}:
            raise Invalid(f"{name} is empty here, so the path would lead elsewhere. Give it a value.", at="path")
        return quote(text, safe="")

    return _PATH_MARK.sub(step, path)


def fill_json(value: Any, values: Values, *, at: str = "body") -> Any:
    """JSON with its texts filled; a text that is `{{name}}` alone becomes the value itself, for example a number."""
    if isinstance(value, str):
        alone = _MARK.fullmatch(value)
        return values.of(alone[1].strip(), at=at) if alone else fill(value, values, at=at)
    if isinstance(value, list):
        return [fill_json(item, values, at=at) for item in value]
    if isinstance(value, Mapping):
        return {name: fill_json(item, values, at=at) for name, item in value.items()}
    return value


def names_in(value: Any, *, path: bool = False) -> Iterator[str]:
    """The names that a text, or the texts in a JSON value, ask for."""
    if isinstance(value, str):
        for mark in (_PATH_MARK if path else _MARK).finditer(value):
            yield (mark[1] if mark[1] is not None else mark[2]).strip()
    elif isinstance(value, list):
        for item in value:
            yield from names_in(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from names_in(item)


def names_secret(value: Any) -> bool:
    """Whether a text, or a text in a JSON value, asks for a secret."""
    return any(name.startswith(SECRET) for name in names_in(value))


def is_known(name: str) -> bool:
    """Whether a name has a value of its own, without being a parameter."""
    return name == "last_run" or name.startswith(SECRET) or _MOMENT.fullmatch(name) is not None


def unknown(name: str, parameters: Mapping[str, Any], *, at: str) -> Invalid:
    """The refusal of a name nobody knows."""
    close = difflib.get_close_matches(name, [*KNOWN, *parameters], n=1, cutoff=0.5)
    hint = f"Did you mean {{{{{close[0]}}}}}?" if close else "Add it under Ask for, or remove it."
    return Invalid(f"{{{{{name[:60]}}}}} is not a value we know. {hint}", at=at)


def said(value: Any) -> str:
    """A value as it stands in a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def moment_of(text: str) -> datetime:
    """RFC 3339, or a day, as an instant; without an offset it is UTC. Raises ValueError."""
    found = datetime.fromisoformat(text)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def rfc3339(moment: datetime) -> str:
    """An instant in UTC; fractions only where there are some."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _moment(found: re.Match[str], now: float) -> str | int:
    word, sign, count, unit, form = found.groups()
    moment = datetime.fromtimestamp(int(now), UTC)
    if word == "today":
        moment = moment.replace(hour=0, minute=0, second=0)
    if count:
        try:
            moment += (-1 if sign == "-" else 1) * timedelta(**{_UNITS[unit]: int(count)})
        except OverflowError:
            raise Invalid(f"{found[0]} is no day of any calendar.", at="query") from None
    if form is not None:
        return int(moment.timestamp()) * (1000 if form == "epoch_ms" else 1)
    day = word == "today" and unit not in {"s", "m", "h"}
    return moment.date().isoformat() if day else rfc3339(moment)
