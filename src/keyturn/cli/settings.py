"""`keyturn settings`: what the operator set, read-only, whether mail arrives, and files of imports."""

from __future__ import annotations

from typing import Annotated

import typer

from keyturn.cli.arguments import Json, given, workspace
from keyturn.cli.terminal import terminal

app = typer.Typer(help="Settings: what the operator set, mail, and files of imports.", no_args_is_help=True)


@app.command()
def show(*, json: Json = False) -> None:
    """The mail server, and each of the operator's settings."""
    out = terminal()
    with workspace() as found:
        settings = found.settings.found
    if json:
        out.json(settings)
        return
    mail = settings["mail"]
    out.pairs({"Mail server": mail["server"] or "none", "Mail from": mail["from"]})
    rows = [(item["name"], item["value"] or "–", item["meaning"]) for item in settings["operator"]]
    out.table(("SETTING", "VALUE", "MEANS"), rows)


@app.command()
def files(
    *,
    keep_days: Annotated[int | None, typer.Option(help="How long they stay, in days; 0: for ever.")] = None,
    keep_newest: Annotated[int | None, typer.Option(help="How many of each table stay; 0: all.")] = None,
    max_import: Annotated[str | None, typer.Option(help="The largest import, for example 500MB; 0: no limit.")] = None,
    max_total: Annotated[str | None, typer.Option(help="All files together, for example 20GB; 0: no limit.")] = None,
    json: Json = False,
) -> None:
    """Files of imports on the server: what they take, how long they stay, how large they may be. Options change it."""
    out = terminal()
    changes = given(
        keep_days=keep_days, keep_newest=keep_newest, max_import_bytes=max_import, max_total_bytes=max_total
    )
    with workspace() as found:
        limits = found.settings.change_files(**changes) if changes else found.settings.files
    if json:
        out.json(limits)
        return
    used, days, newest = limits["used"], limits["keep_days"], limits["keep_newest"]
    out.pairs({
        "Files": f"{used['files']:,} of {used['bytes']:,} bytes",
        "Pages under way": f"{used['under_way_bytes']:,} bytes",
        "Kept": f"{days:,} days" if days else "for ever",
        "Of each table": f"the {newest:,} newest" if newest else "all",
        "Largest import": f"{limits['max_import_bytes']:,} bytes" if limits["max_import_bytes"] else "no limit",
        "All together": f"{limits['max_total_bytes']:,} bytes" if limits["max_total_bytes"] else "no limit",
    })  # fmt: skip


@app.command("test-mail")
def try_mail(*, json: Json = False) -> None:
    """Send a test message to your own address."""
    out = terminal()
    with workspace() as found:
        to = found.settings.test_mail()
    if json:
        out.json({"sent_to": to})
        return
    out.good(f"The mail server took a message to {to}")
