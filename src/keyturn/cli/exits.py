"""Exit codes: the one table from an error's code to what a shell sees. It must not know how errors are printed."""

from __future__ import annotations

from keyturn.errors import KeyturnError

OK = 0
FAILED = 1
USAGE = 2
RECONNECT_NEEDED = 3
INCOMPLETE = 4
PERMISSION = 5
WAIT = 6
NOT_FOUND = 7
INTERRUPTED = 130

BY_CODE: dict[str, int] = {
    "invalid": USAGE,
    "unauthenticated": PERMISSION,
    "forbidden": PERMISSION,
    "not_found": NOT_FOUND,
    "gone": NOT_FOUND,
    "conflict": FAILED,
    "reconnect_needed": RECONNECT_NEEDED,
    "incomplete_data": INCOMPLETE,
    "client_refused": FAILED,
    "limit_reached": WAIT,
    "unavailable": WAIT,
    "upstream": FAILED,
    "upstream_timeout": WAIT,
    "internal": FAILED,
}
# What a step of a connection's test may name instead of an error's code.
_BY_MESSAGE_CODE: dict[str, int] = {
    "E-GRANT": RECONNECT_NEEDED,
    "E-7DAYS": RECONNECT_NEEDED,
    "E-NOREFRESH": RECONNECT_NEEDED,
    "E-FORBIDDEN": PERMISSION,
    "E-REJECTED": PERMISSION,
    "E-NOTFOUND": NOT_FOUND,
    "E-RATE": WAIT,
    "E-TIMEOUT": WAIT,
    "E-LOOP": INCOMPLETE,
}


def of(error: KeyturnError) -> int:
    """The exit code of an error."""
    return BY_CODE.get(error.code, FAILED)


def of_step(code: str | None) -> int:
    """The exit code of a failed step, which names an error's code or a message's."""
    return _BY_MESSAGE_CODE.get(code or "", BY_CODE.get(code or "", FAILED))
