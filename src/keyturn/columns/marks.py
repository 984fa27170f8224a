"""The highest value of a column over the batches of a read: where the next read for new rows begins."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute

# Its functions are made when it is imported, so type checkers see none of them.
pc: Any = pyarrow.compute


def can_mark(type_: str) -> bool:
    """Whether values of a column's type come in an order that says which rows are new."""
    return type_ in {"timestamp", "date", "int64"}


def highest(batch: pa.RecordBatch, column: str, before: str | int | None) -> str | int | None:
    """The higher of `before` and the column's highest value: RFC 3339, a day, or a whole number. Else `before`."""
    if column not in batch.schema.names or not batch.num_rows:
        return before
    array = batch.column(column)
    if not any(test(array.type) for test in (pa.types.is_timestamp, pa.types.is_date, pa.types.is_integer)):
        return before
    found = pc.max(array).as_py()
    if found is None:
        return before
    mark = _mark(found)
    return mark if before is None or _order(mark) >= _order(before) else before


def _mark(value: Any) -> str | int:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else int(value)


def _order(mark: str | int) -> Any:
    # A fraction of a second makes the text longer, and so texts of instants are not in their order.
    return datetime.fromisoformat(mark) if isinstance(mark, str) else mark
