"""`keyturn tokens`: API tokens, by which programs speak to Keyturn. A new one is printed once."""

from __future__ import annotations

from typing import Annotated

import typer

from keyturn.cli import words
from keyturn.cli.arguments import Json, Yes, confirm, workspace
from keyturn.cli.terminal import terminal

app = typer.Typer(help="API tokens: how programs speak to Keyturn.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The token's name or id.")]


@app.command("list")
def list_(*, json: Json = False) -> None:
    """API tokens; none is ever shown again."""
    out = terminal()
    with workspace() as found:
        tokens = list(found.tokens)
    if json:
        out.json({"data": tokens, "next_cursor": None})
        return
    rows = [
        (t["id"], t["name"], " ".join(t["permissions"]), words.when(t["expires_at"]), words.when(t["last_used_at"]))
        for t in tokens
    ]
    out.table(("ID", "NAME", "CAN", "EXPIRES", "LAST USED"), rows)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    *,
    permission: Annotated[
        list[str] | None, typer.Option("--permission", "-p", help="For example tables:read; once for each.")
    ] = None,
    expires_in_days: Annotated[int, typer.Option(min=1, help="Until when it works.")] = 90,
    service_account: Annotated[str | None, typer.Option("--for", help="A service account's name.")] = None,
    in_workspace: Annotated[str | None, typer.Option("--workspace", help="Another workspace you are in.")] = None,
    never_expires: Annotated[bool, typer.Option("--never-expires", help="It works until it is revoked.")] = False,
    json: Json = False,
) -> None:
    """Make an API token. The token itself is the only line on stdout, this once."""
    out = terminal()
    with workspace() as found:
        made = found.tokens.create(
            name,
            permission or (),
            expires_in_days=None if never_expires else expires_in_days,
            account_id=found.members[service_account]["id"] if service_account else None,
            workspace_id=found.workspaces[in_workspace]["id"] if in_workspace else None,
        )
    if json:
        out.json(dict(made))
        return
    until = f", until {words.full_time(made['expires_at'])}" if made["expires_at"] else ""
    out.say(f"{made['name']} can {', '.join(made['permissions'])}{until}. Keep it now: it is not shown again.")
    out.line(made["token"])


@app.command()
def revoke(name: Name, *, yes: Yes = False, json: Json = False) -> None:
    """Revoke an API token; programs that use it are refused from now on."""
    out = terminal()
    with workspace() as found:
        token = found.tokens[name]
        confirm(f"Programs that use {token['name']} are refused from now on.", yes=yes)
        found.tokens.revoke(token["id"])
    if json:
        out.json({"id": token["id"], "revoked": True})
        return
    out.good(f"Revoked {token['name']}")
