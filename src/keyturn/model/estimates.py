"""How many requests an import will make and how long they take: from what is known by now, without asking anybody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from keyturn.model.lifetimes import in_words
from keyturn.rest.pace import allowance
from keyturn.wire import Response

Limit = Literal["own_limit", "api_limit"]
_STEPS = (150, 1), (900, 10), (9000, 60), (54_000, 600)
"""Below how many seconds a length of time is said in which steps of seconds; above them all in hours."""


@dataclass(frozen=True, slots=True)
class LastSample:
    """What the last first page showed. `seconds` is how long it took, None where that was not measured.

    `allowed` is how many requests the API lets pass in `window_seconds`, where it said so. `at` is epoch seconds.
    """

    at: float
    page_rows: int
    total: int | None
    more: bool
    seconds: float | None = None
    allowed: int | None = None
    window_seconds: float | None = None

    @classmethod
    def of(
        cls,
        at: float,
        page_rows: int,
        total: int | None,
        more: bool,
        response: Response,
        *,
        seconds: float | None = None,
    ) -> LastSample:
        """With what the answer says of its limit."""
        allowed, window_seconds = allowance(response) or (None, None)
        return cls(at, page_rows, total, more, seconds, allowed, window_seconds)

    @property
    def rows(self) -> int | None:
        """How many rows there are, as far as it tells."""
        return self.total if self.total is not None or self.more else self.page_rows


@dataclass(frozen=True, slots=True)
class LastRead:
    """What the last read of the whole table came to. `seconds` is None for one that was resumed. `at` is its end."""

    at: float
    rows: int
    requests: int
    total: int | None
    complete: bool | None
    seconds: float | None = None
    parent_rows: int | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """A table as an estimate sees it."""

    name: str
    sample: LastSample | None
    read: LastRead | None
    paged: bool = True
    draft: bool = False
    incremental: bool = False
    max_pages: int | None = None

    @property
    def rows(self) -> int | None:
        """How many rows there are, as the API said last, or as came when it was read to its end."""
        seen = (item for item in (self.sample, self.read) if item is not None)
        told = [item.total if isinstance(item, LastRead) else item.rows for item in sorted(seen, key=lambda s: -s.at)]
        return next((total for total in told if total is not None), None)

    @property
    def incomplete(self) -> bool:
        """Whether its last read was short."""
        return self.read is not None and self.read.complete is False


@dataclass(frozen=True, slots=True)
class Estimate:
    """About how much an import is; None is what cannot be known. `calls` are those made for rows of a parent."""

    sentence: str
    requests: int | None = None
    seconds: float | None = None
    rows: int | None = None
    limited_by: Limit | None = None
    calls: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-safe."""
        return asdict(self)


def estimate(chain: Sequence[Known], *, per_second: float | None = None) -> Estimate:
    """Of the first table of `chain`; behind it the tables for whose rows it is read, the nearest first.

    `per_second` is the own cap of requests.
    """
    table = chain[0]
    if table.draft:
        return Estimate("This is a draft: what it takes is known once it is published.")
    requests, calls = _requests(chain)
    if requests is None:
        return Estimate(_unknown(chain), rows=table.rows if len(chain) == 1 else None)
    seconds, limited_by, pace = _duration(table, requests, per_second)
    words = f"About {_counted(requests)}" + ("" if seconds is None else f", {about(seconds)}{pace}") + "."
    if table.incremental:
        words += " That is everything; once a run was whole, the next ones ask only for new rows."
    rows = table.rows if len(chain) == 1 else None
    return Estimate(" ".join([words, *short_parents(chain)]), requests, seconds, rows, limited_by, calls)


def short_parents(chain: Sequence[Known]) -> list[str]:
    """A sentence for each table above that was short when it was read last."""
    return [f"{parent.name} is Incomplete, so this will be too." for parent in chain[1:] if parent.incomplete]


def calls_in_words(chain: Sequence[Known]) -> str:
    """How often a table is asked for rows of its parent."""
    calls = _requests(chain)[1]
    if calls is None:
        return f"How many calls that is, is not known: nothing says how many rows {chain[1].name} has."
    return f"About {calls:,} call{'' if calls == 1 else 's'}."


def about(seconds: float) -> str:
    """A length of time as one says it of what is not certain, at most a thirtieth off: 543.2 → "9 minutes"."""
    if seconds < 1:
        return "under 1 second"
    step = next((step for most, step in _STEPS if seconds < most), 3600)
    return in_words(round(seconds / step) * step * 1000)


def _requests(chain: Sequence[Known]) -> tuple[int | None, int | None]:
    """All requests, and of those the ones for rows of a parent; None where it cannot be known."""
    table = chain[0]
    if len(chain) == 1:
        return _pages(table), None
    parent_rows = _rows(chain[1:])
    if parent_rows is None and table.read is not None:
        parent_rows = table.read.parent_rows
    if parent_rows is None:
        return None, None
    calls = parent_rows
    if table.read is not None and table.read.parent_rows:
        calls = max(calls, _ceil_of(parent_rows * table.read.requests, table.read.parent_rows))
    calls = calls if table.max_pages is None else min(calls, table.max_pages)
    above = _requests(chain[1:])[0]
    return calls + (above or 0), calls


def _rows(chain: Sequence[Known]) -> int | None:
    """How many rows the first of them has; of one that is read for each row of another, only a whole read tells."""
    table = chain[0]
    came = table.read.rows if table.read is not None and table.read.complete is not False else None
    if len(chain) > 1:
        return came
    return table.rows if table.rows is not None else came


def _pages(table: Known) -> int | None:
    if not table.paged:
        return 1
    rows, read, sample = table.rows, table.read, table.sample
    if rows is None:
        return None
    found = None
    if sample is not None and sample.page_rows:
        found = _ceil_of(rows, sample.page_rows)
    elif read is not None and read.rows:
        found = _ceil_of(rows * read.requests, read.rows)
    elif rows == 0:
        found = 1
    if found is None:
        return None
    return max(1, found if table.max_pages is None else min(found, table.max_pages))


def _duration(table: Known, requests: int, per_second: float | None) -> tuple[float | None, Limit | None, str]:
    """Seconds, which limit they are for, and at which pace in words."""
    each, pace, sample, read = None, "", table.sample, table.read
    if read is not None and read.seconds is not None and read.requests:
        each, pace = read.seconds / read.requests, " at the pace of the last read"
    elif sample is not None and sample.seconds is not None:
        each, pace = sample.seconds, " at the pace of the sample"
    unlimited = None if each is None else each * requests
    own = None if per_second is None else requests / per_second
    api = None
    if sample is not None and sample.allowed and sample.window_seconds:
        api = max(0, requests - sample.allowed) * sample.window_seconds / sample.allowed
    longest = max(own or 0.0, api or 0.0)
    if longest > (unlimited or 0.0):
        if api is not None and api >= longest:
            return longest, "api_limit", " at this API’s limit"
        return longest, "own_limit", f" at the limit of {per_second:g} a second that is set here"
    return unlimited, None, pace


def _unknown(chain: Sequence[Known]) -> str:
    table = chain[0]
    if len(chain) > 1:
        words = [f"The API does not say how many rows {chain[1].name} has, and each of them is a call."]
    elif table.sample is None and table.read is None:
        words = ["Not known before a first page was read: open the table to read its sample."]
    else:
        words = ["The API does not say how many rows there are."]
    if table.read is not None:
        took = "" if table.read.seconds is None else f", {about(table.read.seconds)}"
        words.append(f"The last read took {_counted(table.read.requests)}{took}.")
    return " ".join([*words, *short_parents(chain)])


def _counted(requests: int) -> str:
    return f"{requests:,} request{'' if requests == 1 else 's'}"


def _ceil_of(count: int, by: int) -> int:
    """Of whole numbers, exactly."""
    return -(-count // by)
