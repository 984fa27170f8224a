"""The completeness stamp: what a read counted, why it stopped, and what may be said of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from keyturn.rest.paginators import USUAL_SIZES

PROVED = frozenset({"no_next", "has_more_false", "total_reached"})
UNPROVED = frozenset({"empty_page", "short_page"})


@dataclass(frozen=True, slots=True)
class Completeness:
    """The stamp. `complete`: True when proved, False when not, None when it stopped with nothing to compare.

    `rows` were given out; `duplicates` more came again with a key that was there already; `rejected` values did
    not fit their columns and are listed apart. `sunset` is when the API says it will switch the endpoint off;
    `expanded_from` are the rows before each became one for every item of a list. Where an endpoint is read once for
    each row of a parent, `parent_rows` are those rows, `not_found` of them answered 404, and `without_value` more had
    nothing to ask with.
    """

    rows: int = 0
    pages: int = 0
    reported_total: int | None = None
    stop_reason: str | None = None
    complete: bool | None = None
    truncated: bool = False
    note: str | None = None
    duplicates: int = 0
    rejected: int = 0
    sunset: str | None = None
    expanded_from: int | None = None
    parent_rows: int | None = None
    not_found: int = 0
    without_value: int = 0

    def as_dict(self) -> dict[str, Any]:
        """JSON-safe, with the names other programs hold on to."""
        return asdict(self)

    def ended(self, reason: str, *, paging: bool) -> Completeness:
        """The stamp with its reason and verdict. `paging`: whether a way to the next page is set."""
        complete, note = verdict(
            reason, rows=self.rows, pages=self.pages, reported_total=self.reported_total, paging=paging
        )
        return replace(self, stop_reason=reason, complete=complete, truncated=reason == "max_rows", note=note)

    def less(self, duplicates: int, rejected: int, *, paging: bool, more: int | None = None) -> Completeness:
        """The stamp with what was found after the rows had been counted; its verdict is given anew.

        `more` rows came of expanding.
        """
        if not duplicates and not rejected and more is None:
            return self
        stamp = replace(self, rows=self.rows - duplicates, duplicates=duplicates, rejected=rejected)
        if self.parent_rows is not None:
            stamp = stamp.short_of_total()
        elif self.stop_reason is not None:
            stamp = stamp.ended(self.stop_reason, paging=paging)
        return stamp if more is None else replace(stamp, rows=stamp.rows + more, expanded_from=self.rows)

    def short_of_total(self) -> Completeness:
        """The stamp of many endpoints, whose verdict is there already: false too when fewer came than were reported."""
        total = self.reported_total
        if self.stop_reason is None or self.truncated or self.complete is False or total is None or self.rows >= total:
            return self
        return replace(self, complete=False, note=f"The API reported {total:,} rows and {self.rows:,} came.")


def verdict(
    reason: str, *, rows: int, pages: int, reported_total: int | None, paging: bool
) -> tuple[bool | None, str | None]:
    """Whether a read was complete, and a sentence when it was not. None: it stopped by itself, nothing to compare."""
    if reason == "max_rows":
        return None, None
    if reason in PROVED | UNPROVED and reported_total is not None:
        if rows >= reported_total:
            return True, None
        return False, f"The API reported {reported_total:,} rows and {rows:,} came."
    if not paging and pages == 1 and rows in USUAL_SIZES:
        return False, f"We got exactly {rows:,} rows and no paging is set, so there are probably more."
    if reason in PROVED:
        return True, None
    if reason in UNPROVED:
        return None, None
    return False, _why_not(reason, rows, pages)


def _why_not(reason: str, rows: int, pages: int) -> str:
    if reason == "repeated_page":
        return (
            f"Page {pages + 1} is identical to page {pages}, so we stopped. {rows:,} rows were kept and marked "
            "Incomplete; check Pages."
        )
    if reason == "repeated_cursor":
        return f"Page {pages} leads back to a page we had, so we stopped. {rows:,} rows were kept; check Pages."
    if reason == "max_pages":
        return f"Reading stopped at the limit of {pages:,} pages that is set for this table."
    return f"Reading ended after {rows:,} rows ({reason})."
