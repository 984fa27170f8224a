"""`keyturn workspaces`: several to a deployment, with nothing shared between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from keyturn.cli.arguments import Json, Yes, confirm_by_name, workspace
from keyturn.cli.terminal import terminal

if TYPE_CHECKING:
    from keyturn.client.workspace import Workspace

app = typer.Typer(help="Workspaces of this deployment.", no_args_is_help=True)


@app.command("list")
def list_(*, json: Json = False) -> None:
    """The workspaces you are in; the API token is for the marked one."""
    out = terminal()
    with workspace() as found:
        items = list(found.workspaces)
    if json:
        out.json({"data": items, "next_cursor": None})
        return
    out.table(("", "NAME", "ROLE", "ID"), [("*" if i["current"] else "", i["name"], i["role"], i["id"]) for i in items])


@app.command()
def create(name: str, *, json: Json = False) -> None:
    """Another workspace, which you administer. For a token there: keyturn tokens create NAME --workspace NAME"""
    with workspace() as found:
        made = found.workspaces.create(name)
    if json:
        terminal().json(made)
    else:
        terminal().good(f"Made {made['name']} ({made['id']})")


@app.command()
def rename(name: Annotated[str, typer.Argument(help="The new name.")], *, json: Json = False) -> None:
    """Another name for the API token's workspace."""
    with workspace() as found:
        changed = found.workspaces.rename(_current(found), name)
    if json:
        terminal().json(changed)
    else:
        terminal().good(f"It is called {changed['name']} now")


@app.command("second-factor")
def second_factor(
    required: Annotated[bool, typer.Option("--required/--optional", help="Of everybody, or as each one likes.")],
    *,
    json: Json = False,
) -> None:
    """Whether everybody who signs in to the API token's workspace by password needs a second factor."""
    with workspace() as found:
        changed = found.workspaces.require_second_factor(_current(found), required)
    if json:
        terminal().json(changed)
    elif required:
        terminal().good("Everybody needs a second factor now; who has none sets it up at their next page")
    else:
        terminal().good("A second factor is as each one likes")


@app.command("endpoints-per-connection")
def endpoints_per_connection(
    most: Annotated[str, typer.Argument(help="A whole number, or none for any number.")], *, json: Json = False
) -> None:
    """How many tables a connection of the API token's workspace may have. What is there stays."""
    wanted: Any = None if most == "none" else int(most) if most.isdecimal() else most
    with workspace() as found:
        changed = found.workspaces.limit_endpoints(_current(found), wanted)
    if json:
        terminal().json(changed)
    elif changed["endpoints_per_connection"] is None:
        terminal().good("A connection may have any number of endpoints")
    else:
        terminal().good(f"A connection may have {changed['endpoints_per_connection']} endpoints")


@app.command()
def delete(name: Annotated[str, typer.Argument(help="The API token's workspace.")], *, yes: Yes = False) -> None:
    """Delete the API token's workspace with everything in it, imported files too. Its audit log stays."""
    with workspace() as found:
        item = found.workspaces[name]
        confirm_by_name(f"Everything in {item['name']} is deleted.", item["name"], yes=yes)
        found.workspaces.delete(item["id"])
    terminal().good(f"Deleted {item['name']}")


def _current(found: Workspace) -> str:
    return next(str(item["id"]) for item in found.workspaces if item["current"])
