"""`keyturn notices`: what is wrong now, and what was."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from keyturn.cli import words
from keyturn.cli.arguments import Json, workspace
from keyturn.cli.terminal import terminal

app = typer.Typer(help="Notices: episodes of trouble, told once each.", no_args_is_help=True)


@app.command("list")
def list_(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Those that are over too, kept for 90 days.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    json: Json = False,
) -> None:
    """What is wrong now, newest first."""
    out = terminal()
    with workspace() as found:
        notices = list(islice(found.notices, limit)) if everything else found.notices.open[:limit]
    if json:
        out.json({"data": notices, "next_cursor": None})
        return
    if not notices:
        out.say("Nothing is wrong." if not everything else "Nothing was wrong in the last 90 days.")
        return
    rows = [
        (words.full_time(n["opened_at"]), words.full_time(n["closed_at"]) or "lasts", n["title"], n["message"])
        for n in notices
    ]
    out.table(("SINCE", "UNTIL", "WHAT", "DETAILS"), rows)
