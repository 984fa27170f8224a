"""`keyturn destinations`: databases that imports may write to."""

from __future__ import annotations

from typing import Annotated

import typer

from keyturn.cli.arguments import Json, Yes, confirm, given, secret, workspace
from keyturn.cli.terminal import terminal

app = typer.Typer(help="Destinations: databases that imports may write to.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The destination's name.")]
Url = "postgresql://user@host:5432/database, without the password."
Schema = Annotated[str | None, typer.Option(help="The schema that tables are made in; public without.")]
AskPassword = Annotated[bool, typer.Option("--password/--no-password", help="Whether it has a password to ask for.")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin.")]


@app.command("list")
def list_(*, json: Json = False) -> None:
    """The databases that imports may write to."""
    out = terminal()
    with workspace() as found:
        items = list(found.destinations)
    if json:
        out.json({"data": items, "next_cursor": None})
        return
    if not items:
        out.say("No destinations yet: keyturn destinations add NAME postgresql://user@host/database")
        return
    out.table(("NAME", "URL", "SCHEMA"), [(item["name"], item["url"], item["schema"]) for item in items])


@app.command()
def add(
    name: Name,
    url: Annotated[str, typer.Argument(help=Url)],
    *,
    schema: Schema = None,
    password: AskPassword = True,
    password_stdin: FromStdin = False,
    json: Json = False,
) -> None:
    """Make one; its password is asked for, sealed and never shown."""
    out = terminal()
    typed = _password(password_stdin) if password or password_stdin else None
    with workspace() as found:
        made = found.destinations.create(given(name=name, url=url, schema=schema, password=typed))
    if json:
        out.json(made)
        return
    out.good(f"Added {name}. See whether it works: keyturn destinations test {name}")


@app.command()
def edit(
    name: Name,
    *,
    url: Annotated[str | None, typer.Option(help=Url)] = None,
    schema: Schema = None,
    password: AskPassword = False,
    password_stdin: FromStdin = False,
    json: Json = False,
) -> None:
    """Change it; with another address the password is needed again."""
    out = terminal()
    typed = _password(password_stdin) if password or password_stdin else None
    with workspace() as found:
        now = found.destinations.update(name, given(url=url, schema=schema, password=typed))
    if json:
        out.json(now)
        return
    out.good(f"Saved {name}")


@app.command("test")
def try_(name: Name, *, json: Json = False) -> None:
    """Connect to it, and see whether tables may be made."""
    out = terminal()
    with workspace() as found:
        said = found.destinations.test(name)
    if json:
        out.json(said)
        return
    out.good(f"{name} takes tables (PostgreSQL {said['version']})")


@app.command()
def delete(name: Name, *, yes: Yes = False, json: Json = False) -> None:
    """Delete it; the tables that were written stay."""
    out = terminal()
    with workspace() as found:
        confirm(f"Nothing can be imported to {name} any more.", yes=yes)
        found.destinations.delete(name)
    if json:
        out.json({"name": name, "deleted": True})
        return
    out.good(f"Deleted {name}")


def _password(from_stdin: bool) -> str:
    return secret("password", variable="KEYTURN_PASSWORD", option="--password-stdin", from_stdin=from_stdin)
