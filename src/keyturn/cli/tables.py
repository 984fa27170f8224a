"""`keyturn tables`: saved endpoints, their columns, and how these changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from keyturn.cli import words
from keyturn.cli.arguments import Json, Params, Since, Yes, confirm, given, json_of, pairs_of, text_of, workspace
from keyturn.cli.terminal import terminal
from keyturn.errors import Invalid

app = typer.Typer(help="Tables: saved endpoints.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="connection.table, for example acme.orders.")]
QueryList = Annotated[list[str] | None, typer.Option("--query", help="name=value, sent with the first request.")]
HeaderList = Annotated[list[str] | None, typer.Option("--header", help="name=value.")]
RowsPath = Annotated[str | None, typer.Option(help="Where the rows are, for example $.data.")]
Method = Annotated[str, typer.Option(help="GET, or POST where that only reads.")]
Body = Annotated[str | None, typer.Option(help="JSON, or @file; for POST.")]
Parent = Annotated[str | None, typer.Option(help="Read once for each row of this table of the same connection.")]
Fill = Annotated[list[str] | None, typer.Option("--fill", help="placeholder=column of the parent: order_id=id.")]
More = Annotated[
    str | None, typer.Option("--settings", help="JSON, or @file: further settings by their names in the API.")
]


@app.command("list")
def list_(
    *,
    connection: Annotated[str | None, typer.Option(help="Of this connection only.")] = None,
    json: Json = False,
) -> None:
    """The tables you may see."""
    out = terminal()
    with workspace() as found:
        chosen = None if connection is None else found.connections[connection].id
        tables = list(found.tables.listed(chosen))
    if json:
        out.json({"data": tables, "next_cursor": None})
        return
    if not tables:
        out.say("No tables yet. A table is a saved endpoint: keyturn tables add acme.orders --path /orders")
        return
    rows = [(t["full_name"], f"{t['method']} {t['path']}", _columns(t), words.when(t["last_read_at"])) for t in tables]
    out.table(("NAME", "ENDPOINT", "COLUMNS", "LAST READ"), rows)


@app.command()
def show(name: Name, *, json: Json = False) -> None:
    """One table's settings, and how they were found."""
    out = terminal()
    with workspace() as found:
        table = found.tables[name].settings
    if json:
        out.json(table)
        return
    _say_settings(table)
    _say_evidence(table)


@app.command()
def detect(
    connection: Annotated[str, typer.Argument(help="The connection's name.")],
    path: Annotated[str, typer.Argument(help="After the Base URL, for example /orders.")],
    *,
    query: QueryList = None,
    rows_path: RowsPath = None,
    parent: Parent = None,
    fill: Fill = None,
    settings: More = None,
    param: Params = None,
    json: Json = False,
) -> None:
    """Ask an endpoint where its rows are and how its pages follow; nothing is saved."""
    out = terminal()
    with workspace() as found:
        draft = {
            "connection_id": found.connections[connection].id,
            "name": "draft",
            "path": path,
            **given(query=pairs_of(query or [], "--query"), rows_path=rows_path, parent=_parent(parent, fill)),
            **(json_of(settings, "--settings") or {}),
        }
        result = found.tables.detect(draft, **pairs_of(param or [], "--param"))
    if json:
        out.json(result)
        return
    out.line(_summary(result))
    _say_evidence(result)


@app.command()
def drafts(
    connection: Annotated[str, typer.Argument(help="The connection's name.")],
    source: Annotated[
        Path | None,
        typer.Argument(help="A cURL line, OpenAPI 3 or Postman in a file; - reads stdin. Default: the API is asked."),
    ] = None,
    *,
    add: Annotated[list[str] | None, typer.Option("--add", help="Save the one of that name.")] = None,
    json: Json = False,
) -> None:
    """Tables that a file describes (cURL, OpenAPI 3, Postman), or the API itself where it publishes a description."""
    out = terminal()
    text = text_of(source, at="SOURCE") if source else None
    with workspace() as found:
        connection_id = found.connections[connection].id
        result = found.tables.drafts(connection_id, text)
        by_name = {draft["name"]: draft for draft in result["data"]}
        for name in add or []:
            if name not in by_name:
                raise Invalid(f"There is no draft called {name}.", at="--add")
            found.tables.create({**by_name[name], "connection_id": connection_id})
    if json:
        out.json(result)
        return
    rows = [(d["name"], f"{d['method']} {d['path']}", ", ".join(p["name"] for p in d.get("parameters", ())))
            for d in result["data"]]  # fmt: skip
    out.table(("NAME", "ENDPOINT", "ASKS FOR"), rows)
    if result["found_at"]:
        out.say(f"  found at {result['found_at']}")
    for sentence in result["left_out"]:
        out.say(f"  left out: {sentence}")
    for name in add or []:
        out.good(f"Added {connection}.{name}")


@app.command()
def add(
    name: Name,
    *,
    path: Annotated[str | None, typer.Option(help="After the Base URL. Default: / and the table's name.")] = None,
    method: Method = "GET",
    query: QueryList = None,
    header: HeaderList = None,
    body: Body = None,
    rows_path: RowsPath = None,
    pagination: Annotated[str | None, typer.Option(help="JSON, or @file. Default: found by asking.")] = None,
    primary_key: Annotated[str | None, typer.Option(help="Column, or several with commas.")] = None,
    column: Annotated[
        list[str] | None, typer.Option("--column", help="name=type, pinned: total=decimal(18,2).")
    ] = None,
    infer_types: Annotated[bool, typer.Option(help="Off: every column is text.")] = True,
    parent: Parent = None,
    fill: Fill = None,
    settings: More = None,
    param: Params = None,
    json: Json = False,
) -> None:
    """Save an endpoint as a table; where its rows are and how its pages follow is found by asking."""
    out = terminal()
    connection, dot, table = name.partition(".")
    if not dot or not table:
        raise Invalid("A table is called connection.table, for example acme.orders.", at="name")
    pinned = pairs_of(column or [], "--column")
    more = json_of(settings, "--settings") or {}
    draft = given(
        name=table,
        path=path or f"/{table}",
        method=method.upper(),
        query=pairs_of(query or [], "--query"),
        headers=pairs_of(header or [], "--header"),
        body=json_of(body, "--body"),
        rows_path=rows_path,
        pagination=json_of(pagination, "--pagination"),
        primary_key=None if primary_key is None else [part.strip() for part in primary_key.split(",")],
        columns=[{"name": key, "type": value} for key, value in pinned.items()],
        infer_types=infer_types,
        parent=_parent(parent, fill),
    )
    with workspace() as found:
        draft |= {"connection_id": found.connections[connection].id, **more}
        saved = found.tables.create(draft, **pairs_of(param or [], "--param")).settings
    if json:
        out.json(saved)
        return
    out.good(f"Added {saved['full_name']}")
    _say_evidence(saved)


@app.command()
def edit(
    name: Name,
    *,
    settings: Annotated[str, typer.Option(help="JSON, or @file: the fields to change; null clears one.")],
    json: Json = False,
) -> None:
    """Change a table's settings, all of them by their names in the API."""
    out = terminal()
    with workspace() as found:
        table = found.tables[name]
        table.update(json_of(settings, "--settings"))
        now = table.settings
    if json:
        out.json(now)
        return
    out.good(f"Changed {now['full_name']}")
    _say_settings(now)


@app.command()
def schema(
    name: Name,
    *,
    refresh: Annotated[bool, typer.Option("--refresh", help="Learn it from the endpoint again.")] = False,
    param: Params = None,
    json: Json = False,
) -> None:
    """Its columns."""
    out = terminal()
    with workspace() as found:
        table = found.tables[name]
        values = pairs_of(param or [], "--param")
        columns = table.refresh_schema(**values) if refresh or values else table.schema
    if json:
        names = ("name", "type", "nullable", "source_path", "note")
        out.json({"columns": [{key: getattr(column, key) for key in names} for column in columns]})
        return
    rows = [(c.name, c.type, "yes" if c.nullable else "no", c.source_path, c.note or "") for c in columns]
    out.table(("NAME", "TYPE", "NULLABLE", "SOURCE PATH", "NOTE"), rows)


@app.command()
def parts(
    name: Name,
    *,
    to: Annotated[Path, typer.Option(help="The folder for the files.")],
    param: Params = None,
    since: Since = None,
    json: Json = False,
) -> None:
    """Write the table and the child tables of its relational model to Parquet files, all of one fetch."""
    out = terminal()
    with workspace() as found:
        names = found.tables[name].save_parts(to, since=since, **pairs_of(param or [], "--param"))
    if json:
        out.json({"files": names})
        return
    for file in names:
        out.good(str(to / file))


@app.command()
def diff(name: Name, *, json: Json = False) -> None:
    """How its columns changed, and when; the newest first."""
    out = terminal()
    with workspace() as found:
        history = found.tables[name].schema_history
    if json:
        out.json({"data": history, "next_cursor": None})
        return
    if not history:
        out.say("Its columns are as they were first seen.")
        return
    said = {"added": "new", "removed": "gone", "type_changed": "other type", "left_out": "new, left out"}
    rows = [
        (
            words.when(item["seen_at"]),
            change["column"],
            said[change["kind"]],
            change["before"] or "",
            change["after"] or "",
        )
        for item in history
        for change in item["changes"]
    ]
    out.table(("SEEN", "COLUMN", "WHAT", "BEFORE", "AFTER"), rows)


@app.command()
def delete(name: Name, *, yes: Yes = False, json: Json = False) -> None:
    """Delete a table; finished files stay."""
    out = terminal()
    with workspace() as found:
        table = found.tables[name]
        confirm(f"{table.name} is deleted.", yes=yes)
        table.delete()
    if json:
        out.json({"id": table.id, "deleted": True})
        return
    out.good(f"Deleted {table.name}")


def _parent(table: str | None, fill: list[str] | None) -> dict[str, Any] | None:
    """The parent that a table is read for, out of the two options."""
    if table is None and not fill:
        return None
    if table is None or not fill:
        raise Invalid("A parent needs both: --parent orders --fill order_id=id", at="--parent")
    return {"table": table, "values": pairs_of(fill, "--fill")}


def _for_each(parent: dict[str, Any] | None) -> str | None:
    """`orders, order_id from id`."""
    if parent is None:
        return None
    return ", ".join([parent["table"], *(f"{name} from {column}" for name, column in parent["values"].items())])


def _columns(table: dict[str, Any]) -> str:
    return "not seen yet" if table["schema"] is None else str(len(table["schema"]))


def _summary(found: dict[str, Any]) -> str:
    """`rows at $.data · next link at $.paging.next · page 2 differs ✓ · key id`."""
    table = found["table"]
    parts = [f"rows at {table['rows_path'] or '$'}", _paging(table["pagination"])]
    if any("Page 2 differs" in item["sentence"] for item in found["evidence"]):
        parts.append("page 2 differs ✓")
    if table["primary_key"]:
        parts.append(f"key {', '.join(table['primary_key'])}")
    if found.get("reported_total") is not None:
        parts.append(f"{found['reported_total']:,} rows in all")
    return " · ".join(parts)


def _paging(pagination: dict[str, Any]) -> str:
    said = {
        "none": "no paging",
        "auto": "paging not found yet",
        "next_url": f"next link at {pagination.get('next_url_path')}",
        "link_header": "next link in the Link header",
        "page_number": f"pages by {pagination.get('page_param')}",
        "offset": f"pages by {pagination.get('offset_param')}",
        "cursor": f"cursor at {pagination.get('cursor_path')}",
    }
    return said.get(pagination["type"], pagination["type"])


def _say_settings(table: dict[str, Any]) -> None:
    terminal().pairs(
        {
            "Name": table["full_name"],
            "Endpoint": f"{table['method']} {table['path']}",
            "Parameters": " ".join(f"{k}={v}" for k, v in table["query"].items()) or None,
            "Parent": _for_each(table.get("parent")),
            "Where the rows are": table["rows_path"],
            "Pages": _paging(table["pagination"]),
            "Unique key": ", ".join(table["primary_key"]) or None,
            "Columns": _columns(table),
            "Last read": words.full_time(table["last_read_at"]),
        }
    )


def _say_evidence(found: dict[str, Any]) -> None:
    for item in found.get("evidence") or ():
        terminal().say(f"  · {item['at']}: {item['sentence']}")
