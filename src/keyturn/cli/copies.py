"""`keyturn tables copy`: a table's settings used on another connection too."""

from __future__ import annotations

from typing import Annotated

import typer

from keyturn.cli.arguments import Json, workspace
from keyturn.cli.terminal import terminal


def copy(
    name: Annotated[str, typer.Argument(help="connection.table, for example acme.orders.")],
    *,
    connection: Annotated[str, typer.Option(help="The other connection’s name.")],
    as_name: Annotated[str | None, typer.Option("--name", help="What it is called there. Default: as here.")] = None,
    json: Json = False,
) -> None:
    """Use a table's settings on another connection too, with the parents that are missing there."""
    out = terminal()
    with workspace() as found:
        before = {table["full_name"] for table in found.tables.listed()}
        made = found.tables[name].copy(connection=connection, name=as_name).settings
        also = [table["full_name"] for table in found.tables.listed() if table["full_name"] not in before]
    if json:
        out.json(made)
        return
    out.good(f"Copied to {made['full_name']}")
    for parent in also:
        if parent != made["full_name"]:
            out.say(f"  · with its parent: {parent}")
    out.say(f"Nothing was asked there yet: keyturn preview {made['full_name']}")
