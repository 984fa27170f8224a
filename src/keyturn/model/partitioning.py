"""How a folder of Parquet files is divided: by columns, with a folder `column=value` for each value of one. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from keyturn.model.validation import wrong

MOST_COLUMNS = 3
# How much of a date, written as 2026-01-31, names a folder.
PERIODS: dict[str, int] = {"day": 10, "month": 7, "year": 4}
_VALUES = frozenset({"string", "int64", "bool", "date"})
_TIMES = frozenset({"timestamp", "date"})


@dataclass(frozen=True, slots=True)
class By:
    """One column, or the day, month or year (UTC) of one."""

    column: str
    period: str | None = None

    @property
    def name(self) -> str:
        """What stands before the `=`: readers see a column of that name."""
        return f"{self.column}_{self.period}" if self.period else self.column


def by_of(text: str) -> By:
    """`country` or `created_at:month`. Raises ValueError with a sentence."""
    column, _, period = text.partition(":")
    if period not in {"", *PERIODS}:
        raise ValueError(f"After the colon comes {', '.join(PERIODS)}. Example: created_at:month")
    # Readers skip folders that begin with _ or a dot, and most take no other signs.
    if not column[:1].isalnum() or not all(sign.isalnum() or sign in "_.-" for sign in column):
        raise ValueError(
            "A column that folders are named by begins with a letter or digit, and has only those, _ . and -."
        )
    return By(column, period or None)


def check(by: Sequence[By], types: Mapping[str, str]) -> None:
    """Raise ValueError with a sentence unless rows with columns of these types can be divided so."""
    for item in by:
        word = types.get(item.column)
        if word is None:
            raise ValueError(f"There is no column {item.column}.")
        if item.period and word not in _TIMES:
            raise ValueError(f"{item.column} is {word} and has no {item.period}. Name it alone, or choose a time.")
        if not item.period and word == "timestamp":
            raise ValueError(f"{item.column} is a time. Say {item.column}:day, :month or :year.")
        if not item.period and word not in _VALUES:
            raise ValueError(
                f"{item.column} is {word}. Folders are named by text, whole numbers, dates or true and false."
            )
        if item.period and item.name in types:
            raise ValueError(f"There is a column {item.name} already, so {item.column}:{item.period} cannot be one.")
    if types.keys() <= {item.column for item in by if not item.period}:
        raise ValueError("At least one column has to be left for the files.")


def _split(value: Any) -> Any:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _checked(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) > MOST_COLUMNS:
        raise wrong(f"Choose at most {MOST_COLUMNS} columns.")
    try:
        names = [by_of(text).name for text in value]
    except ValueError as error:
        raise wrong(str(error)) from None
    if len({*names}) < len(names):
        raise wrong("Name each column once.")
    return value


PartitionBy = Annotated[tuple[str, ...], BeforeValidator(_split), AfterValidator(_checked)]
"""Columns as `country` or `created_at:month`: a list, or text with commas."""
