"""From one column type of PostgreSQL to another: the expression that changes no value, if there is one."""

from __future__ import annotations

import re

_WHOLE = {"smallint": 5, "integer": 10, "bigint": 19}
_NUMERIC = re.compile(r"numeric(?:\((\d+),(-?\d+)\))?")
_TEXTS = ("text", "character varying")
_INSTANT = "timestamp with time zone"
_AS_TEXT = dict.fromkeys((*_WHOLE, "boolean", "date", "double precision", "jsonb", "json", "uuid"), "{0}::text")
_ISO = """to_char({0} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


def exact(have: str, want: str) -> str | None:
    """The expression, with `{0}` for the value, that makes a `want` of a `have` or raises; None if it might round."""
    if (
        have == want
        or (have in _TEXTS and want.startswith("character varying"))
        or (have.startswith("character varying") and want in _TEXTS)
    ):
        return "{0}"
    if want in _TEXTS:
        return _ISO if have == _INSTANT else "{0}::text" if _NUMERIC.fullmatch(have) else _AS_TEXT.get(have)
    if want == "jsonb":
        return "{0}::jsonb" if have == "json" else "to_jsonb({0})"
    if want == _INSTANT:
        return "({0}::timestamp at time zone 'UTC')" if have == "date" else None
    if want == "double precision" and have in _WHOLE:
        # A whole number that a double cannot hold divides by zero, which ends the transaction.
        return "case when {0}::double precision::bigint = {0} then {0}::double precision else 1 / ({0} - {0}) end"
    return _exact_number(have, want)


def fits(have: str, want: str) -> bool:
    """Whether every value of `have` is one of `want`: then a column may stay as it is."""
    if have == want:
        return True
    before, after = _digits(have), _digits(want)
    if before and after:
        return before[0] <= after[0] and before[1] <= after[1]
    if want == "double precision":
        return have in {"smallint", "integer"}
    return exact(have, want) is not None and not want.startswith("character varying(")


def _exact_number(have: str, want: str) -> str | None:
    before, after = _digits(have), _digits(want)
    if before is None or after is None or before[1] > after[1]:
        return None
    return f"{{0}}::{want}"


def _digits(name: str) -> tuple[float, float] | None:
    """How many digits a type holds before and after the point."""
    if name in _WHOLE:
        return _WHOLE[name], 0
    match = _NUMERIC.fullmatch(name)
    if match is None:
        return None
    if match[1] is None:
        return float("inf"), float("inf")
    return int(match[1]) - int(match[2]), int(match[2])
