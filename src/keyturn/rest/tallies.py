"""What is known of many endpoints that are read one after the other, and the one stamp over all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from keyturn.rest.paginators import USUAL_SIZES
from keyturn.rest.stamps import PROVED, UNPROVED, Completeness


@dataclass(slots=True)
class Tally:
    """Of the children that ended: counts, the first verdict that is not "complete", and why.

    `full` are the rows of the largest child that is one full page without a way to the next; `largest` of any.
    """

    parent_rows: int = 0
    not_found: int = 0
    without_value: int = 0
    repeated: int = 0
    rows: int = 0
    pages: int = 0
    total: int | None = 0
    complete: bool | None = True
    reason: str | None = None
    note: str | None = None
    sunset: str | None = None
    full: int = 0
    largest: int = 0

    def as_dict(self) -> dict[str, Any]:
        """JSON-safe."""
        return asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Tally:
        """What `as_dict` gave."""
        known = {item.name for item in fields(cls)}
        return cls(**{name: value for name, value in stored.items() if name in known})

    def add(self, stamp: Completeness, *, paging: bool, where: str) -> None:
        """A child ended with this stamp."""
        self.rows += stamp.rows
        self.pages += stamp.pages
        told = stamp.reported_total
        self.total = None if self.total is None or told is None else self.total + told
        self.sunset = stamp.sunset or self.sunset
        self.largest = max(self.largest, stamp.rows)
        if _is_one_full_page(stamp, paging=paging):
            self.full = max(self.full, stamp.rows)
        elif stamp.complete is False and self.complete is not False:
            self.complete, self.reason, self.note = False, stamp.stop_reason, f"{where}: {stamp.note}"
        elif stamp.complete is None and self.complete is True:
            self.complete, self.reason = None, stamp.stop_reason

    def with_child(self, child: Completeness | None) -> Completeness:
        """The stamp so far, with the child that is read just now."""
        rows, pages = (child.rows, child.pages) if child is not None else (0, 0)
        return Completeness(
            rows=self.rows + rows,
            pages=self.pages + pages,
            sunset=(child.sunset if child is not None else None) or self.sunset,
            parent_rows=self.parent_rows,
            not_found=self.not_found,
            without_value=self.without_value,
        )

    def whole(self, parent: Completeness, name: str) -> Completeness:
        """The stamp once the parent, called `name`, and every child have ended."""
        reason, complete, note = self._verdict(parent, name)
        total = self.total if self.pages else None
        stamp = replace(self.with_child(None), stop_reason=reason, complete=complete, note=note, reported_total=total)
        return stamp.short_of_total()

    def _verdict(self, parent: Completeness, name: str) -> tuple[str | None, bool | None, str | None]:
        """Complete only where the parent and every child are; what answered 404 is never proof."""
        if self.complete is False:
            return self.reason, False, self.note
        if parent.complete is False:
            return parent.stop_reason, False, f"{name}, its parent, is incomplete. {parent.note or ''}".strip()
        if self.full and self.full >= self.largest:
            sentence = (
                f"{name}: the largest has exactly {self.full:,} rows and no paging is set, so some may have more."
            )
            return self.reason or parent.stop_reason, False, sentence
        told = f"{self.not_found:,} of {self.parent_rows:,} rows of {name} answered 404."
        if self.not_found and self.not_found == self.parent_rows:
            return parent.stop_reason, False, f"{told} Check the path."
        if self.not_found:
            return self.reason or parent.stop_reason, None, f"{told} Nothing was read for them."
        if self.complete is None:
            return self.reason, None, None
        return parent.stop_reason, parent.complete, None


def _is_one_full_page(stamp: Completeness, *, paging: bool) -> bool:
    """Whether a child looks cut off by itself; beside a larger one of the same endpoint it is not."""
    ended = stamp.stop_reason in PROVED | UNPROVED and stamp.reported_total is None
    return ended and not paging and stamp.pages == 1 and stamp.rows in USUAL_SIZES
