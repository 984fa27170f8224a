"""The port of destinations: where the rows of one import go, whatever it is.

`begin`, then for each page `add` and, sooner or later, `land`; at the end `plan` and `settle`, or `give_up`. All of it
blocks, so it is called in threads: `add` may run beside `land`, anything else one at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import pyarrow as pa

from keyturn.columns.schema import Schema

Mode = Literal["replace", "append", "update"]
Values = dict[str, Any]


class Away(Exception):
    """The destination cannot be written to just now; time, or its operator, mends it. `sentence` is for people."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class Doubtful(OSError):
    """Whether bytes are safe that were written before is not known, and asking again would not tell: a failed fsync."""


class Fenced(Exception):
    """Another run of this import has begun: nothing of this one counts any more."""


@dataclass(frozen=True, slots=True)
class Left:
    """What the import's own row says of the runs before: the last checkpoint, and the end that was written down."""

    checkpoint: Mapping[str, Any] | None = None
    files: Sequence[Mapping[str, Any]] = ()
    completeness: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The rows are in place: the stamp they have, and the files they are, if any."""

    completeness: Values
    files: list[Values] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Begun:
    """What there is: an end, or the point behind the pages that are safe; neither: the read begins at the start."""

    read: Mapping[str, Any] | None = None
    ended: Ended | None = None


class Destination(Protocol):
    """One import's destination, held by one run of it."""

    def begin(self, left: Left) -> Begun:
        """Fence off every run before this one, and find what they made safe. Raises `Away`, `Fenced`, `Invalid`."""
        ...

    def exists(self) -> bool:
        """Whether rows are at the place already, from an import before."""
        ...

    def add(self, batch: pa.RecordBatch, schema: Schema) -> Any:
        """Take a page, which is not safe yet. Answers the mark that `land` wants for it.

        Where it raises `Away` or an OSError the page was not taken, and may be given again.
        """
        ...

    @property
    def crowded(self) -> bool:
        """Whether so much waits for `land` that no page should be added before."""
        ...

    def land(self, mark: Any, read: Values) -> Values:
        """Make every page up to `mark` safe together with the point behind it. Answers what the row is to keep.

        Where it raises `Away` or an OSError that is not `Doubtful`, it may be asked again.
        """
        ...

    def last(self, rows: int) -> list[pa.RecordBatch]:
        """The batches that hold at least the last `rows` safe rows."""
        ...

    def plan(self, schema: Schema, completeness: Values, *, whole: bool) -> Ended:
        """Make everything ready, and say what the end will be. Raises `Invalid` if the rows cannot go there."""
        ...

    def settle(self) -> None:
        """Put the rows in place, in one step. What was there stays as it was unless this returns."""
        ...

    def give_up(self) -> None:
        """Stop; what is safe stays for another run."""
        ...

    def forget(self) -> None:
        """Forget the pages: the import has ended well."""
        ...
