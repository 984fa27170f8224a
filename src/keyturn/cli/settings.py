"""`keyturn settings`: what the operator set, read-only, and whether mail arrives."""

from __future__ import annotations

import typer

from keyturn.cli.arguments import Json, workspace
from keyturn.cli.terminal import terminal

app = typer.Typer(help="Settings: what the operator set, and whether mail arrives.", no_args_is_help=True)


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
