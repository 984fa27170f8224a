"""SQL over tables, on the caller's own machine: DuckDB runs it here, and the server is only ever asked for rows.

A query is first planned over empty tables, which tells what it needs of each; only those tables are read, and of
them only those columns. A table whose rows are not all there fails the query before it answers anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

from keyturn.client.asked import asked_of_tables
from keyturn.client.names import suggestion
from keyturn.client.reads import SCHEMA_MOVED, WHOLE_ATTEMPTS
from keyturn.errors import IncompleteData, Invalid, NotFound

if TYPE_CHECKING:
    import pyarrow as pa

    from keyturn.client.tables import Table, Tables

# What says which columns a scan is asked for. The rest would hide some of them, or drop a scan that looks empty.
_PLANNING = ("unused_columns", "column_lifetime")
_SCAN = "SEQ_SCAN"
# The other leaves of a plan that are known to scan no table of ours.
_NO_SCANS = frozenset({"DUMMY_SCAN", "CTE_SCAN", "DELIM_SCAN", "COLUMN_DATA_SCAN"})
_FIRST_ROWS = frozenset({"STREAMING_LIMIT", "LIMIT", "PROJECTION", _SCAN})
_BATCH_ROWS = 100_000
_EXPLAIN = "explain (format json) "
# What DuckDB says below its first line that helps: where it is, and what there is instead.
_HELPS = ("LINE", "Candidate", "Did you mean", "Either")
_MISSING = re.compile(r'Table with name "?(?P<name>[^"\s]+)"? does not exist')


@dataclass(frozen=True, slots=True)
class Need:
    """What a query needs of one table: the columns by name (None: all of them), and at most `limit` rows."""

    columns: tuple[str, ...] | None
    limit: int | None = None


def run(
    tables: Tables,
    query: str,
    *,
    since: Any = None,
    parameters: Mapping[str, Any] | None = None,
    allow_incomplete: bool = False,
) -> duckdb.DuckDBPyRelation:
    """The answer of one SELECT over tables by their names, as a DuckDB relation (`.df()`, `.arrow()`, `.fetchall()`).

    `since` and `parameters` are given to the tables that are read: one value for all of them, or, in a mapping by the
    table's name, to that table alone; see `asked`.

    Raises `Invalid` for what is no single SELECT, `NotFound` for an unknown table, and what reading raises:
    `IncompleteData` above all, unless `allow_incomplete`.
    """
    database = duckdb.connect()
    known = {table.name: table for table in tables}
    asks = asked_of_tables(known, since, parameters or {})
    with in_words(known):
        _refuse_other_statements(database, query)
        # A name that only looks like a table's costs its schema and no more: the plan decides what is read.
        named = [name for name in known if _mentions(query, name)]
        schemas = {name: _create(database, known[name], asks.of(name)) for name in named}
        needs = _needs(database, query, schemas)
    asks.check(needs)
    for name, need in needs.items():
        _fill(database, known[name], schemas[name], need, asks.of(name), allow_incomplete=allow_incomplete)
    with in_words(known):
        return database.sql(query)


def _refuse_other_statements(database: duckdb.DuckDBPyConnection, query: str) -> None:
    statements = database.extract_statements(query)
    if [found.type for found in statements] != [duckdb.StatementType.SELECT]:
        raise Invalid("Write one SELECT. It runs on this machine, over tables called connection.table.", at="query")


def _mentions(query: str, name: str) -> bool:
    return all(re.search(rf"\b{part}\b", query, re.IGNORECASE) for part in name.split("."))


def _create(database: duckdb.DuckDBPyConnection, table: Table, asked: Mapping[str, Any]) -> pa.Schema:
    """The table without rows."""
    schema = table.learned_schema(**asked)
    if not schema.names and table.refresh_schema(**asked):  # rows have come since it was looked at
        schema = table.learned_schema(**asked)
    if not schema.names:
        raise Invalid(
            f"{table.name} has no columns yet: its endpoint answered without a row that has fields.", at="query"
        )
    connection, _, name = table.name.partition(".")
    database.execute(f'create schema if not exists "{connection}"')
    database.execute(f'drop table if exists "{connection}"."{name}"')
    database.from_arrow(schema.empty_table()).create(f'"{connection}"."{name}"')
    return schema


def _needs(database: duckdb.DuckDBPyConnection, query: str, schemas: Mapping[str, pa.Schema]) -> dict[str, Need]:
    """What the plan asks of each table it scans. A plan that is not understood asks for everything that is named."""
    optimizers = [name for (name,) in database.execute("select name from duckdb_optimizers()").fetchall()]
    off = ",".join(name for name in optimizers if name not in _PLANNING)
    database.execute(f"set disabled_optimizers = '{off}'")
    found = database.execute(f"{_EXPLAIN}{query}").fetchone()
    database.execute("reset disabled_optimizers")
    plan = json.loads(found[1]) if found else []
    nodes = list(_nodes(plan))
    limit = _limit(nodes)
    needs: dict[str, Need] = {}
    for node in nodes:
        if node["children"] or node["name"] in _NO_SCANS:
            continue
        name = str(node["extra_info"].get("Table", "")).replace('"', "").partition(".")[2]
        if node["name"] != _SCAN or name not in schemas:
            return dict.fromkeys(schemas, Need(None))
        columns = _columns(node["extra_info"].get("Projections") or [], schemas[name].names)
        if name in needs:
            before = needs[name].columns
            columns = None if columns is None or before is None else (*before, *columns)
        needs[name] = Need(columns, limit)
    return needs


def _nodes(plan: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for node in plan:
        yield node
        yield from _nodes(node["children"])


def _columns(projected: str | list[str], names: list[str]) -> tuple[str, ...] | None:
    """The columns of a scan by name; None, which reads all, where the plan's words are not understood."""
    wanted = [projected] if isinstance(projected, str) else projected
    # Rows are to be counted also where no column is asked for.
    wanted = [words for words in wanted if words] or names[:1]
    found: set[str] = set()
    for words in wanted:
        whole = {name for name in names if name == words or words.startswith(f"{name}.")}
        if not whole:
            return None
        found |= whole
    return tuple(name for name in names if name in found)


def _limit(nodes: list[dict[str, Any]]) -> int | None:
    """How many rows are enough, where a query takes the first rows of one table as they come."""
    if any(node["name"] not in _FIRST_ROWS or len(node["children"]) > 1 for node in nodes):
        return None
    for node in nodes:
        told = node.get("extra_info", {})
        if node["name"] in {"STREAMING_LIMIT", "LIMIT"} and str(told.get("Limit", "")).isdigit():
            return int(told["Limit"]) + int(told.get("Offset", 0))
    return None


def _fill(
    database: duckdb.DuckDBPyConnection,
    table: Table,
    schema: pa.Schema,
    need: Need,
    asked: Mapping[str, Any],
    *,
    allow_incomplete: bool,
) -> None:
    """Read what is needed into the table. A schema that moves meanwhile is learned, and the read begins again."""
    if need.limit == 0:
        return
    for attempt in range(1, WHOLE_ATTEMPTS + 1):
        read = table.read(limit=need.limit, columns=need.columns, allow_incomplete=allow_incomplete, **asked)
        try:
            for batch in read.batches(_BATCH_ROWS):
                if any(field.type != schema.field(field.name).type for field in batch.schema):
                    raise _moved(table)
                _insert(database, table.name, batch)
        except IncompleteData as error:
            if error.message_code != SCHEMA_MOVED or attempt == WHOLE_ATTEMPTS:
                raise
            schema = _create(database, table, asked)
        else:
            return


def _insert(database: duckdb.DuckDBPyConnection, name: str, batch: pa.RecordBatch) -> None:
    connection, _, table = name.partition(".")
    database.register("_page", batch)
    database.execute(f'insert into "{connection}"."{table}" by name select * from _page')  # noqa: S608 - names of ours
    database.unregister("_page")


def _moved(table: Table) -> IncompleteData:
    message = f"A column of {table.name} changed while it was read. Run the query again."
    return IncompleteData(message, message_code=SCHEMA_MOVED)


class in_words:  # noqa: N801 - a with-statement reads as a sentence
    """DuckDB's errors as ours: an unknown table gets a suggestion, everything else its first line.

    An answer is computed when its rows are taken, so whoever takes them needs it too.
    """

    def __init__(self, known: Mapping[str, Table] | None = None) -> None:
        self._known = known or {}

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, duckdb.Error):
            return
        missing = _MISSING.search(str(error))
        if isinstance(error, duckdb.CatalogException) and missing:
            name = missing["name"]
            raise NotFound(f"There is no table called {name}.{suggestion(name, self._known)}") from error
        first, *rest = str(error).strip().replace(_EXPLAIN, "").split("\n")
        pointed = " ".join(line.strip() for line in rest if line.startswith(_HELPS))
        raise Invalid(f"{first} {pointed}".strip(), at="query") from error
