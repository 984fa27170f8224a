"""Every row of the database as JSON lines, and back into an empty one: the same lines on SQLite and PostgreSQL.

The dump is one snapshot. It is loaded into the schema it was made with and migrated from there, all in one
transaction, so that a restore that fails leaves an empty database.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

import orjson
import sqlalchemy as sa

from keyturn.storage import schema
from keyturn.storage.accounts import accounts
from keyturn.storage.database import Tx
from keyturn.storage.migrate import upgrade

# What is of this moment alone: who is signed in, who waits, which processes run.
LEFT_OUT = frozenset({"sessions", "throttles", "replicas", "authorizations", "password_resets"})
_ROWS_PER_LINE = 200
# SQLAlchemy names columns by a kind of str of its own.
_NAMES = orjson.OPT_NON_STR_KEYS
_REVISION = "select version_num from alembic_version"


def begin_snapshot(tx: Tx) -> str:
    """Make what is read from now on one moment; answers the schema's revision. First thing in a transaction."""
    if tx.dialect.name == "postgresql":
        tx.execute(sa.text("set transaction isolation level repeatable read read only"))
    return str(tx.execute(sa.text(_REVISION)).scalar_one())


def dump(tx: Tx, sink: BinaryIO) -> dict[str, int]:
    """Write every table as JSON lines; answers how many rows each had."""
    counts: dict[str, int] = {}
    for table in schema.metadata.sorted_tables:
        if table.name in LEFT_OUT:
            continue
        binary = [column.name for column in table.columns if isinstance(column.type, sa.LargeBinary)]
        counts[table.name] = 0
        rows = tx.execution_options(yield_per=_ROWS_PER_LINE).execute(sa.select(table).order_by(*table.primary_key))
        for part in rows.partitions():
            encoded = [_encoded(row._asdict(), binary) for row in part]
            counts[table.name] += len(encoded)
            sink.write(orjson.dumps({"table": table.name, "rows": encoded}, option=_NAMES) + b"\n")
    sink.write(orjson.dumps({"end": counts}, option=_NAMES) + b"\n")
    return counts


def is_fresh(tx: Tx) -> bool:
    """Whether nobody has an account here yet (also: there are no tables at all)."""
    if not sa.inspect(tx).has_table(accounts.name):
        return True
    return tx.execute(sa.select(sa.func.count()).select_from(accounts)).scalar_one() == 0


def load(tx: Tx, revision: str, lines: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Fill a fresh database with a dump of `revision`, then bring it to this version. Answers rows by table.

    Raises `ValueError` when the dump ends early or holds a table nobody knows.
    """
    _clear(tx)
    upgrade(tx, revision)
    found = sa.MetaData()
    found.reflect(bind=tx)
    counts: dict[str, int] = {}
    for line in lines:
        if "end" in line:
            if {name: count for name, count in line["end"].items() if count} != counts:
                raise ValueError("rows are missing")
            upgrade(tx, "head")
            return counts
        table = found.tables.get(line["table"])
        if table is None:
            raise ValueError(f"table {line['table']} is not known")
        for names, rows in _alike(line["rows"]):
            tx.execute(table.insert(), [_decoded(row, table, names) for row in rows])
        counts[table.name] = counts.get(table.name, 0) + len(line["rows"])
    raise ValueError("the end is missing")


def _clear(tx: Tx) -> None:
    """Drop the empty tables a start without any account has made."""
    found = sa.MetaData()
    found.reflect(bind=tx, only=lambda name, _: name in schema.metadata.tables or name == "alembic_version")
    found.drop_all(tx)


def _encoded(row: dict[str, Any], binary: list[str]) -> dict[str, Any]:
    for name in binary:
        if row[name] is not None:
            row[name] = base64.b64encode(row[name]).decode()
    # What is absent stays SQL's own NULL, which a JSON null would not.
    return {name: value for name, value in row.items() if value is not None}


def _decoded(row: dict[str, Any], table: sa.Table, names: tuple[str, ...]) -> dict[str, Any]:
    binary = (sa.LargeBinary, sa.types.BLOB)
    return {
        name: base64.b64decode(row[name]) if isinstance(table.columns[name].type, binary) else row[name]
        for name in names
    }


def _alike(rows: list[dict[str, Any]]) -> Iterator[tuple[tuple[str, ...], list[dict[str, Any]]]]:
    """Rows in runs that have the same columns, in their order."""
    run: list[dict[str, Any]] = []
    names: tuple[str, ...] = ()
    for row in rows:
        if run and tuple(row) != names:
            yield names, run
            run = []
        names = tuple(row)
        run.append(row)
    if run:
        yield names, run
