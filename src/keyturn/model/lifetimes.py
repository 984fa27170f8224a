"""Lifetimes as people type them (`3600000`, `1h`, `3600s`) and as we echo them ("1 hour"). Milliseconds inside."""

from __future__ import annotations

import re

from keyturn.model.messages import say

MAX_MS = 10 * 365 * 24 * 3600 * 1000
_UNITS = {"ms": 1, "s": 1000, "sec": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_TYPED = re.compile(r"\s*([0-9]{1,18})\s*([a-z]*)\s*", re.ASCII | re.IGNORECASE)
_STEPS = ((86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1000, "second"), (1, "millisecond"))


def parse_ms(typed: str) -> int | None:
    """What a person typed as milliseconds: a plain number is ms, else a unit of ms, s, m, h, d. None if neither."""
    match = _TYPED.fullmatch(typed)
    if match is None:
        return None
    factor = _UNITS.get(match[2].lower() or "ms")
    return None if factor is None else int(match[1]) * factor


def in_words(milliseconds: int) -> str:
    """`3600000` → "1 hour", `5400000` → "1 hour 30 minutes"; at most two units, the rest is dropped."""
    if milliseconds <= 0:
        return "0 milliseconds"
    parts: list[str] = []
    rest = milliseconds
    for size, word in _STEPS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count:,} {word}" + ("s" if count != 1 else ""))
        if len(parts) == 2:
            break
    return " ".join(parts)


def units_warning(milliseconds: int) -> str | None:
    """`E-UNITS` for a life under a minute: it was most likely typed in seconds."""
    if not 0 < milliseconds < 60_000:
        return None
    seconds = f"{milliseconds / 1000:g}"
    meant = milliseconds * 1000
    return say("E-UNITS", ms=milliseconds, seconds=seconds, meant_ms=meant, meant=in_words(meant))
