"""`keyturn sql`: one SELECT over tables, run by DuckDB on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keyturn.cli.arguments import Json, check_place, pairs_of, workspace
from keyturn.cli.terminal import terminal
from keyturn.errors import Invalid

if TYPE_CHECKING:
    import duckdb

_SHOWN_ROWS = 1000


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT over connection.table, for example acme.orders.")],
    *,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", help="name=value for all tables that ask for it, connection.table.name=value for one."),
    ] = None,
    since: Annotated[
        list[str] | None,
        typer.Option("--since", help="Only new rows: a time, a day or a number; connection.table=… for one table."),
    ] = None,
    to: Annotated[Path | None, typer.Option(help="Write the answer to a .parquet or .csv file.")] = None,
    allow_incomplete: Annotated[
        bool, typer.Option("--allow-incomplete", help="Answer also where rows of a table are missing.")
    ] = False,
    csv: Annotated[bool, typer.Option("--csv", help="CSV for machines.")] = False,
    json: Json = False,
) -> None:
    """Ask tables in SQL. It runs on this machine: only the tables and columns it needs are read."""
    from keyturn.client.sql import in_words

    out = terminal()
    if to is not None:
        if to.suffix not in {".parquet", ".csv"}:
            raise Invalid("The file's name ends in .parquet or .csv.", at="--to")
        check_place(to)
    with workspace() as found, in_words():
        asked = pairs_of(param or [], "--param")
        answer = found.sql(query, since=_since(since or []), parameters=asked, allow_incomplete=allow_incomplete)
        if to is not None:
            _write(answer, to)
            out.good(f"{answer.shape[0]:,} rows → {to}")
            return
        heads, rows = answer.columns, answer.fetchall()
    if json:
        out.json({"columns": heads, "rows": rows})
    elif csv:
        out.csv(heads, rows)
    else:
        out.table(heads, [["" if value is None else str(value) for value in row] for row in rows[:_SHOWN_ROWS]])
        if len(rows) > _SHOWN_ROWS:
            out.say(f"The first {_SHOWN_ROWS:,} of {len(rows):,} rows. --csv, --json and --to give all.")


def _since(values: list[str]) -> str | dict[str, str] | None:
    """One value for all tables, or values by a table's name. Raises `Invalid` for anything else."""
    if len(values) == 1 and "=" not in values[0]:
        return values[0]
    return pairs_of(values, "--since") or None


def _write(answer: duckdb.DuckDBPyRelation, to: Path) -> None:
    part = to.with_name(f".part-{to.name}")
    try:
        if to.suffix == ".parquet":
            answer.write_parquet(str(part))
        else:
            answer.write_csv(str(part))
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)
