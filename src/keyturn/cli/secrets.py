"""`keyturn secrets`: values that tables name, saved and never shown."""

from __future__ import annotations

from typing import Annotated

import typer

from keyturn.cli import words
from keyturn.cli.arguments import Json, Yes, confirm, secret, workspace
from keyturn.cli.terminal import terminal

app = typer.Typer(help="Secrets: values that tables name, as {{secret:NAME}}.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The secret's name.")]


@app.command("list")
def list_(*, json: Json = False) -> None:
    """Their names, and where each may be sent."""
    out = terminal()
    with workspace() as found:
        secrets = list(found.secrets)
    if json:
        out.json({"data": secrets, "next_cursor": None})
        return
    if not secrets:
        out.say("No secrets yet: keyturn secrets set NAME --host api.endsystem.com")
        return
    rows = [(item["name"], ", ".join(item["allowed_hosts"]), words.when(item["saved_at"])) for item in secrets]
    out.table(("NAME", "API HOSTS", "SAVED"), rows)


@app.command("set")
def set_(
    name: Name,
    *,
    host: Annotated[list[str], typer.Option("--host", help="It is sent to this host alone; may be repeated.")],
    value_stdin: Annotated[bool, typer.Option("--value-stdin", help="Read the value from stdin.")] = False,
    json: Json = False,
) -> None:
    """Save one, or another value for it (on stdin, in KEYTURN_SECRET_VALUE, or typed)."""
    out = terminal()
    value = secret("Value", variable="KEYTURN_SECRET_VALUE", option="--value-stdin", from_stdin=value_stdin)
    with workspace() as found:
        saved = found.secrets.put(name, value, allowed_hosts=host)
    if json:
        out.json(saved)
        return
    out.good(f"Saved {name}. Tables write {{{{secret:{name}}}}}")


@app.command()
def delete(name: Name, *, yes: Yes = False, json: Json = False) -> None:
    """Delete one that no table names any more."""
    out = terminal()
    with workspace() as found:
        confirm(f"{name} is deleted.", yes=yes)
        found.secrets.delete(name)
    if json:
        out.json({"name": name, "deleted": True})
        return
    out.good(f"Deleted {name}")
