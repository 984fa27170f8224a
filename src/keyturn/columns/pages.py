"""Pages into batches by one schema that learns: the fast way where it is exact, else the exact way; and by policy.

`add`: columns widen and new ones appear. `ask` and `ignore`: the schema stays, and what does not fit is rejected.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import pyarrow as pa

from keyturn.columns.build import Misfit, Reject, build
from keyturn.columns.fast import FastBuilder, Unfit
from keyturn.columns.schema import Schema, infer, widen
from keyturn.columns.twice import said_twice
from keyturn.room import Room

# The rows of a page as Python values, and what is made of them, weigh about ten times their text: few pages are values
# at once. More threads at it would be no faster, since Python runs one at a time, and would keep all else waiting.
VALUES_TIMES = 10
_values = Room(96 << 20)


class RawPage(Protocol):
    """What a page has to offer."""

    @property
    def raw(self) -> bytes | None:
        """The JSON text of its list of rows, if it could be cut out."""
        ...

    @property
    def count(self) -> int:
        """How many rows are given out."""
        ...

    @property
    def rows(self) -> list[Any]:
        """Its rows as values."""
        ...


def as_values(raw: bytes | None) -> AbstractContextManager[None]:
    """Room in which the rows of this text are Python values; the thread waits for it. Not to be taken twice."""
    return nullcontext() if raw is None else _values.taken(VALUES_TIMES * len(raw))


@dataclass(frozen=True, slots=True)
class Typed:
    """A page as Arrow; what widened the schema, and what did not fit. Rows of `rejects` count from 1 in the read."""

    data: pa.RecordBatch
    schema: Schema
    widened_by: Misfit | None = None
    rejects: tuple[Reject, ...] = ()
    ignored: frozenset[str] = frozenset()
    fast: bool = False


@dataclass(slots=True)
class PageTyper:
    """Types the pages of one read, in order."""

    schema: Schema | None = None
    pins: Mapping[str, str] = field(default_factory=dict)
    infer_types: bool = True
    when_columns_change: str = "add"
    rows_before: int = 0
    _fast: FastBuilder | None = field(default=None, repr=False)
    _fast_of: Schema | None = None

    def add(self, page: RawPage) -> Typed:
        """The next page. Raises what reading its rows raises."""
        typed = self._fast_way(page)
        if typed is None:
            with as_values(page.raw):
                typed = self._exact_way(page)
        self.rows_before += page.count
        return typed

    def _fast_way(self, page: RawPage) -> Typed | None:
        if self.schema is None or page.raw is None or not page.count:
            return None
        if self._fast_of is not self.schema:
            self._fast_of = self.schema
            try:
                self._fast = FastBuilder(self.schema)
            except Unfit:
                self._fast = None
        if self._fast is None:
            return None
        try:
            data = self._fast.build(page.raw)
        except Unfit:
            return None
        return Typed(data if len(data) == page.count else data.slice(0, page.count), self.schema, fast=True)

    def _exact_way(self, page: RawPage) -> Typed:
        rows = page.rows
        misfit: Misfit | None = None
        rejects: list[Reject] = []
        ignored: set[str] = set()
        if self.schema is None:
            self.schema = infer(rows, pins=self.pins, infer_types=self.infer_types)
            # The columns are known now, and building them of the text takes neither the time nor the memory.
            if (typed := self._fast_way(page)) is not None:
                return typed
        if self.when_columns_change == "add":
            try:
                data = build(self.schema, rows, rejects)
            except Misfit as found:
                misfit = found
                rejects.clear()
                self.schema = widen(self.schema, rows, pins=self.pins, infer_types=self.infer_types)
                if (typed := self._fast_way(page)) is not None:
                    return replace(typed, widened_by=misfit)
                data = build(self.schema, rows, rejects)
        else:
            data = build(self.schema, rows, rejects, frozen=True, ignored=ignored)
        if page.raw is not None:
            rejects += [item for item in said_twice(page.raw) if item.row_number <= page.count]
        placed = tuple(replace(item, row_number=item.row_number + self.rows_before) for item in rejects)
        return Typed(data, self.schema, misfit, placed, frozenset(ignored))
