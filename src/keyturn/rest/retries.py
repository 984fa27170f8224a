"""What is tried again, and after how long. Pure: times and chance are handed in."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from keyturn.errors import KeyturnError, Unavailable, UpstreamError, UpstreamTimeout
from keyturn.wire import Response

ATTEMPTS = 6
RETRY_AFTER_MOST_SECONDS = 3600.0
# Whatever is longer is said to be so long: no clock or header of ours holds any number.
LONGEST_SECONDS = 366 * 86_400.0
_RESET = re.compile(r"(?:^|[;,\s])(?:t|reset)\s*=\s*([0-9]{1,9})", re.ASCII)
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_BACKOFF_MOST_SECONDS = 60.0


def wait_after_response(response: Response, attempt: int, *, now: float, chance: Callable[[], float]) -> float | None:
    """Seconds to wait before attempt + 1, or None to give up. `now` is epoch seconds; `chance` gives 0…1."""
    if response.status not in _RETRIED or attempt >= ATTEMPTS:
        return None
    asked = retry_after_seconds(response, now=now)
    if asked:
        return asked if asked <= RETRY_AFTER_MOST_SECONDS else None
    return _backoff(attempt, chance)


def wait_after_error(error: KeyturnError, attempt: int, *, chance: Callable[[], float]) -> float | None:
    """The same for a call that gave no answer. Reading is safe to repeat, also when the answer was cut off."""
    if attempt >= ATTEMPTS:
        return None
    if isinstance(error, Unavailable):
        return min(max(error.retry_after_seconds, 0.5), _BACKOFF_MOST_SECONDS)
    if isinstance(error, UpstreamTimeout):
        return _backoff(attempt, chance) if attempt < 3 else None
    if isinstance(error, UpstreamError) and error.message_code is None:
        return _backoff(attempt, chance)
    return None


def retry_after_seconds(response: Response, *, now: float) -> float | None:
    """`Retry-After` (RFC 9110 §10.2.3) in seconds or as a date, else `RateLimit-Reset` on a 429; never negative,
    and never more than `LONGEST_SECONDS`.

    The latter is read in both its forms: a field of its own, and `t=` of `RateLimit` (draft-ietf-httpapi-ratelimit).
    """
    value = response.headers.get("retry-after")
    if value is None and response.status == 429:
        reset = _RESET.search(response.headers.get("ratelimit") or "")
        value = response.headers.get("ratelimit-reset") or response.headers.get("x-ratelimit-reset")
        value = value or (reset[1] if reset else None)
    if value is None:
        return None
    try:
        seconds = float(value.strip())
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - now
        except (ValueError, TypeError, OverflowError):
            return None
    if not math.isfinite(seconds):
        return None
    if seconds > 1e11:
        seconds /= 1000  # the moment in milliseconds
    if seconds > 1e9:
        seconds -= now  # some servers write the moment as epoch seconds
    return min(max(0.0, seconds), LONGEST_SECONDS)


def _backoff(attempt: int, chance: Callable[[], float]) -> float:
    return 0.25 + chance() * float(min(_BACKOFF_MOST_SECONDS, 0.5 * 2.0**attempt))
