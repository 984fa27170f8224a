"""Every sealed value of the database, whatever the noun: counted by the key it needs, and wrapped anew.

A sealed value is a `LargeBinary` column whose name ends in `_sealed`; a new one is found by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from keyturn.storage import schema
from keyturn.storage.database import Tx

_ID_FROM, _ID_BYTES = 2, 4


@dataclass(frozen=True, slots=True)
class Place:
    """One sealed column of one table."""

    table: str
    column: str


@dataclass(frozen=True, slots=True)
class SealedRow:
    """One sealed value and the primary key of its row."""

    row: tuple[Any, ...]
    value: bytes

    def __repr__(self) -> str:
        return f"SealedRow({self.row})"


def places() -> list[Place]:
    """Every sealed column of the schema."""
    return [
        Place(table.name, column.name)
        for table in schema.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, sa.LargeBinary) and column.name.endswith("_sealed")
    ]


def usage_anywhere(tx: Tx) -> dict[str, int]:
    """How many values each key opens, by its fingerprint."""
    found: dict[str, int] = {}
    for place in places():
        _, column = _of(place)
        key_id = _key_id(column)
        counted = sa.select(key_id, sa.func.count()).where(column.is_not(None)).group_by(key_id)
        for raw, count in tx.execute(counted):
            found[bytes(raw).hex()] = found.get(bytes(raw).hex(), 0) + count
    return found


def others_anywhere(
    tx: Tx, place: Place, fingerprint: str, *, after: tuple[Any, ...] | None, limit: int
) -> list[SealedRow]:
    """Values of a column that need another key than `fingerprint`, in the order of their rows, after one of them."""
    table, column = _of(place)
    keys = list(table.primary_key.columns)
    found = sa.select(column, *keys).where(column.is_not(None), _key_id(column) != bytes.fromhex(fingerprint))
    if after is not None:
        found = found.where(sa.tuple_(*keys) > sa.tuple_(*after))
    rows = tx.execute(found.order_by(*keys).limit(limit))
    return [SealedRow(tuple(row[1:]), bytes(row[0])) for row in rows]


def replace_anywhere(tx: Tx, place: Place, pairs: list[tuple[SealedRow, bytes]]) -> int:
    """Put new values where the old ones still are: what somebody else wrote meanwhile stays. Answers how many."""
    table, column = _of(place)
    keys = list(table.primary_key.columns)
    done = 0
    # Locks are taken in the order of the rows, so that two who rotate do not wait for each other in a ring.
    for old, new in pairs:
        same_row = [key == value for key, value in zip(keys, old.row, strict=True)]
        done += tx.execute(table.update().where(*same_row, column == old.value).values({column.name: new})).rowcount
    return done


def _of(place: Place) -> tuple[sa.Table, sa.Column[Any]]:
    table = schema.metadata.tables[place.table]
    return table, table.columns[place.column]


def _key_id(column: sa.Column[Any]) -> sa.ColumnElement[bytes]:
    return sa.func.substr(column, _ID_FROM, _ID_BYTES, type_=sa.LargeBinary)
