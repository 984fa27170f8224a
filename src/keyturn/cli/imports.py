"""`keyturn import` and `keyturn imports`: a whole table into a file here, with the stamp that says it is whole."""

from __future__ import annotations

import dataclasses
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keyturn.cli import exits, words
from keyturn.cli.arguments import Json, Params, PartitionBy, check_place, pairs_of, workspace
from keyturn.cli.terminal import terminal
from keyturn.errors import IncompleteData, Invalid

if TYPE_CHECKING:
    from keyturn.client.imports import ImportRun

app = typer.Typer(help="Imports: durable runs that read a whole table.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The import's id.")]
EstimateOnly = Annotated[
    bool, typer.Option("--estimate", help="Only say about how many requests and how long; nothing is imported.")
]
_LABELS = {"complete": "Complete", "incomplete": "Incomplete"}


def import_(
    name: Annotated[str, typer.Argument(help="connection.table, for example acme.orders.")],
    to: Annotated[
        Path | None, typer.Option(help="The file here; its ending chooses the format: orders.parquet.")
    ] = None,
    *,
    on_server: Annotated[
        str | None,
        typer.Option(
            "--on-server",
            help="Instead: a file on the server, where it stays, or Database/table, or Bucket/name.parquet.",
        ),
    ] = None,
    mode: Annotated[str, typer.Option(help="replace, append or update.")] = "replace",
    param: Params = None,
    partition_by: PartitionBy = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many rows. Default: all there are.")] = None,
    keep_as: Annotated[
        str | None,
        typer.Option("--keep-as", help="Its name on the server, where append and update go on. Default: a new one."),
    ] = None,
    allow_incomplete: Annotated[
        bool, typer.Option("--allow-incomplete", help="Keep the rows that came even if some are missing.")
    ] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Start it and print its id; the file stays there.")
    ] = False,
    estimate: EstimateOnly = False,
    json: Json = False,
) -> None:
    """Import a whole table into a file here. Exit 4 when rows are missing; the file is as it was then."""
    from keyturn.client.imports import format_of

    out = terminal()
    if estimate:
        return _estimated(name, json=json)
    if (to is None) == (on_server is None):
        raise Invalid("Give --to with a file here, or --on-server with one on the server.", at="--to")
    if to is not None:
        if partition_by:
            raise Invalid("A folder stays on the server or in a bucket. Give --on-server with it.", at="--partition-by")
        format_of(to.name)
        check_place(to)
    with workspace() as found:
        table = found.table(name)
        # A name of its own: two imports of one table at a time must not fetch each other's file.
        place = on_server or keep_as or f"{table.name}-{secrets.token_hex(4)}{Path(to or '').suffix.lower()}"
        values, by = pairs_of(param or [], "--param"), partition_by or []
        run = found.imports.begin(table.id, to=place, mode=mode, parameters=values, partition_by=by, limit=limit)
        if no_wait:
            return out.json(run.found) if json else out.line(run.id)
        _waited(run)
        short = run.status == "incomplete"
        if short and not allow_incomplete:
            _refuse(run, str(to or on_server), here=to is not None, json=json)
        run.wait(allow_incomplete=True)
        files = run.files
        if to is not None:
            _fetched(run, to)
    if json:
        out.json({**run.found, **({"path": str(to)} if to else {}), "files": [_file(file) for file in files]})
        return None
    where = f"→ {on_server}"
    if partition_by:
        where += f", by {', '.join(partition_by)}"
    elif files:
        elsewhere = run.found["destination"].get("destination_id")
        place = str(to or (on_server if elsewhere else f"{files[0].name} on the server"))
        where = f"→ {place} ({words.size(files[0].bytes)}, sha256 {(files[0].sha256 or '')[:8]}…)"
    text = f"{_word(run)}: {_sentence(run)} {where}"
    return out.warn(text) if short else out.good(text)


def _estimated(name: str, *, json: bool) -> None:
    out = terminal()
    with workspace() as found:
        told = found.table(name).estimate()
    out.json(dataclasses.asdict(told)) if json else out.line(told.sentence)


@app.command("list")
def list_(
    *,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    json: Json = False,
) -> None:
    """Imports, newest first."""
    from itertools import islice

    out = terminal()
    with workspace() as found:
        runs = [run.found for run in islice(found.imports, limit)]
    if json:
        out.json({"data": runs, "next_cursor": None})
        return
    if not runs:
        out.say("No imports yet: keyturn import acme.orders --to orders.parquet")
        return
    rows = [
        (r["id"], r["table_name"], r.get("label") or r["status"], f"{r['rows']:,}", f"{r['pages']:,}",
         words.when(r["created_at"]))
        for r in runs
    ]  # fmt: skip
    out.table(("ID", "TABLE", "STATUS", "ROWS", "PAGES", "STARTED"), rows)


@app.command()
def show(import_id: Id, *, json: Json = False) -> None:
    """One import: progress while it runs, the stamp once it ended."""
    out = terminal()
    with workspace() as found:
        run = found.imports[import_id]
        files = run.files
    item = run.found
    if json:
        out.json({**item, "files": [_file(file) for file in files]})
        return
    stamp = run.completeness
    out.pairs(
        {
            "Import": item["id"],
            "Table": item["table_name"],
            "Status": item.get("label") or item["status"],
            "Rows": stamp.sentence if stamp else f"{item['rows']:,} rows, page {item['pages']:,}",
            "Why": (item["error"] or {}).get("message") or (stamp.note if stamp and stamp.is_short else None),
            "Waiting for": (item["waiting"] or {}).get("reason"),
            "Waiting until": words.full_time((item["waiting"] or {}).get("until")),
            "Rejected": f"{stamp.rejected:,} values: keyturn imports rejects {run.id}"
            if stamp and stamp.rejected
            else None,
            "Goes on": f"keyturn imports resume {run.id}" if item.get("resumes_at_page") else None,
            "Started": words.full_time(item.get("started_at")),
            "Finished": words.full_time(item.get("finished_at")),
            "Files": ", ".join(f"{file.name} ({words.size(file.bytes)})" for file in files) or None,
        }
    )


@app.command()
def rejects(import_id: Id, *, json: Json = False) -> None:
    """The values that did not fit their columns, a line each: row, column, path, value, reason."""
    out = terminal()
    with workspace() as found:
        items = list(found.imports[import_id].rejects())
    if json:
        out.json({"data": items, "next_cursor": None})
        return
    if not items:
        out.say("Every value fitted its column.")
        return
    names = ("row", "column", "path", "value", "reason")
    out.table([name.upper() for name in names], [[str(item[name]) for name in names] for item in items])


@app.command()
def download(
    import_id: Id,
    *,
    to: Annotated[Path, typer.Option(help="The file here.")],
    json: Json = False,
) -> None:
    """Fetch the file of an import that has ended: of one that was not waited for, or found no room here."""
    out = terminal()
    check_place(to)
    with workspace() as found:
        run = found.imports[import_id]
        files = run.files
        _fetched(run, to)
    if json:
        out.json({**run.found, "path": str(to), "files": [_file(file) for file in files]})
        return
    out.good(f"{_word(run)}: {_sentence(run)} → {to} ({words.size(files[0].bytes)})")


@app.command()
def cancel(import_id: Id, *, json: Json = False) -> None:
    """Stop it at its next page; the previous file stays."""
    out = terminal()
    with workspace() as found:
        run = found.imports[import_id].cancel()
    if json:
        out.json(run.found)
        return
    out.good(f"Cancelling {run.id}; it stops at its next page")


@app.command()
def resume(import_id: Id, *, json: Json = False) -> None:
    """Let one that failed, was cancelled or is incomplete go on behind its last safe page."""
    out = terminal()
    with workspace() as found:
        run = found.imports[import_id]
        page = run.found.get("resumes_at_page")
        run.resume()
    if json:
        out.json(run.found)
        return
    out.good(f"{run.id} goes on from page {page:,}" if page else f"{run.id} begins anew")


def _waited(run: ImportRun) -> None:
    """Wait until it ended well or incomplete. Raises the error it failed with."""
    try:
        run.wait(allow_incomplete=True)
    except KeyboardInterrupt:
        out = terminal()
        out.warn("Stopped waiting. The import goes on at the server.")
        out.say(f"  How it goes: keyturn imports show {run.id} · stop it: keyturn imports cancel {run.id}")
        out.say(f"  Its file, when it has ended: {_fetch_words(run)}")
        raise typer.Exit(exits.INTERRUPTED) from None


def _fetched(run: ImportRun, to: Path) -> None:
    """Bring the file here. Where that fails the import need not be done again, and the error says so."""
    try:
        run.download(to)
    except KeyboardInterrupt:
        terminal().warn(f"Stopped. {_kept(to)} The import is done: {_fetch_words(run)}")
        raise typer.Exit(exits.INTERRUPTED) from None
    except (IncompleteData, Invalid) as error:
        again = f"The import is done, its file is on the server: {_fetch_words(run)}"
        raise type(error)(f"{error.message} {_kept(to)} {again}", import_id=run.id) from None


def _fetch_words(run: ImportRun) -> str:
    return f"keyturn imports download {run.id} --to FILE"


def _kept(to: Path | str) -> str:
    return f"{to} is as it was." if Path(to).exists() else f"{to} was not written."


def _refuse(run: ImportRun, to: str, *, here: bool, json: bool) -> None:
    if json:
        terminal().json(run.found)
    note = run.completeness.note if run.completeness else None
    why = f" {note}" if note else ""
    kept = _kept(to) if here else f"{to} is as it was."
    raise IncompleteData(
        f"Incomplete: {_sentence(run)}.{why} {kept} Take the rows anyway: --allow-incomplete", import_id=run.id
    )


def _word(run: ImportRun) -> str:
    stamp = run.completeness
    if stamp is not None and stamp.truncated:
        return "Limited"
    if stamp is not None and stamp.complete is None:
        return "Complete, total unknown"
    return _LABELS.get(run.status, run.status)


def _sentence(run: ImportRun) -> str:
    stamp = run.completeness
    return stamp.sentence if stamp else words.count(run.found["rows"], "row")


def _file(file: Any) -> dict[str, Any]:
    return {"name": file.name, "bytes": file.bytes, "sha256": file.sha256}
