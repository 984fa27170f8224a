"""The completeness stamp as a program meets it: how much was read, why it stopped, and whether that was all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STOPPED: dict[str, str] = {
    "no_next": "no next link",
    "empty_page": "empty page",
    "short_page": "short page",
    "total_reached": "total reached",
    "has_more_false": "no more pages",
    "max_pages": "page limit reached",
    "max_rows": "row limit reached",
    "repeated_page": "page repeated",
    "repeated_cursor": "cursor repeated",
    "cancelled": "cancelled",
    "error": "error",
}


@dataclass(frozen=True, slots=True, repr=False)
class Completeness:
    """The stamp. `complete` is True when proved, False when not, None when the API gave nothing to compare with.

    `duplicates` are rows that came twice and were dropped, `rejected` values that did not fit their columns; `sunset`
    is when the API says it will switch the endpoint off. A table with a parent was read for `parent_rows`; `not_found`
    of them answered 404, and `without_value` more had nothing to ask with. `truncated` means that the caller's own
    limit ended the read. `stopped` is the reason in words.
    """

    rows: int
    pages: int
    reported_total: int | None
    stop_reason: str | None
    complete: bool | None
    truncated: bool = False
    note: str | None = None
    duplicates: int = 0
    rejected: int = 0
    sunset: str | None = None
    expanded_from: int | None = None
    parent_rows: int | None = None
    not_found: int = 0
    without_value: int = 0

    @classmethod
    def of(cls, stamp: Mapping[str, Any]) -> Completeness:
        """From the stamp as it is answered; members this version does not know are left out."""
        return cls(
            rows=int(stamp.get("rows") or 0),
            pages=int(stamp.get("pages") or 0),
            reported_total=stamp.get("reported_total"),
            stop_reason=stamp.get("stop_reason"),
            complete=stamp.get("complete"),
            truncated=bool(stamp.get("truncated", False)),
            note=stamp.get("note"),
            duplicates=int(stamp.get("duplicates") or 0),
            rejected=int(stamp.get("rejected") or 0),
            sunset=stamp.get("sunset"),
            expanded_from=stamp.get("expanded_from"),
            parent_rows=stamp.get("parent_rows"),
            not_found=int(stamp.get("not_found") or 0),
            without_value=int(stamp.get("without_value") or 0),
        )

    @property
    def stopped(self) -> str:
        """Why the read stopped, in words."""
        reason = self.stop_reason or "unknown"
        return STOPPED.get(reason, reason.replace("_", " "))

    @property
    def is_short(self) -> bool:
        """Whether rows are missing or may be, for another reason than the caller's own limit."""
        return self.complete is False and not self.truncated

    @property
    def word(self) -> str:
        """Complete, TotalUnknown, Truncated or Incomplete."""
        if self.truncated:
            return "Truncated"
        return {True: "Complete", None: "TotalUnknown", False: "Incomplete"}[self.complete]

    @property
    def sentence(self) -> str:
        """For people: `1,234 of 1,234 rows, 13 pages, stopped: no next link`."""
        of = "" if self.reported_total is None else f" of {self.reported_total:,}"
        pages = f"{self.pages:,} {'page' if self.pages == 1 else 'pages'}"
        left = [f", expanded from {self.expanded_from:,}"] if self.expanded_from is not None else []
        left += [f", for {self.parent_rows:,} parent rows"] if self.parent_rows is not None else []
        left += [f", {self.not_found:,} of them not found (404)"] if self.not_found else []
        left += [f", {self.without_value:,} more had nothing to ask with"] if self.without_value else []
        left += [f", {self.duplicates:,} came twice"] if self.duplicates else []
        left += [f", {self.rejected:,} values rejected"] if self.rejected else []
        return f"{self.rows:,}{of} rows, {pages}, stopped: {self.stopped}{''.join(left)}"

    def __repr__(self) -> str:
        return (
            f"{self.word}(rows={self.rows}, reported={self.reported_total}, pages={self.pages}, "
            f"stopped={self.stopped!r})"
        )
