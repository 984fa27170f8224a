"""`keyturn connections share` and its like: who may read through a connection, and as whose account."""

from __future__ import annotations

from typing import Annotated

import typer

from keyturn.cli import words
from keyturn.cli.arguments import Json, workspace
from keyturn.cli.connections import Name, app
from keyturn.cli.terminal import terminal

Member = Annotated[str, typer.Argument(help="A member's name or e-mail address.")]


@app.command("shares")
def list_(name: Name, *, json: Json = False) -> None:
    """With whom it is shared, and as whom they read."""
    out = terminal()
    with workspace() as found:
        shares = found.connections[name].shares
    if json:
        out.json({"data": shares, "next_cursor": None})
        return
    if not shares:
        out.say(f"{name} is shared with no single member: keyturn connections share {name} MEMBER")
        return
    rows = [(s["member"]["name"], s["rights"], _credentials(s["with_credentials"]), words.when(s["created_at"]))
            for s in shares]  # fmt: skip
    out.table(("MEMBER", "RIGHTS", "READS AS", "SINCE"), rows)


@app.command()
def share(
    name: Name,
    member: Member,
    *,
    rights: Annotated[str | None, typer.Option(help="viewer (at first) or editor.")] = None,
    credentials: Annotated[
        bool | None,
        typer.Option("--with-credentials/--without-credentials", help="They read as its account, or as their own."),
    ] = None,
    json: Json = False,
) -> None:
    """Share it with one member, or change what they may do."""
    out = terminal()
    with workspace() as found:
        made = found.connections[name].share(member, rights=rights, with_credentials=credentials)
    if json:
        out.json(made)
        return
    out.good(
        f"{made['member']['name']} is {made['rights']} of {name}, reading as {_credentials(made['with_credentials'])}"
    )


@app.command()
def unshare(name: Name, member: Member, *, json: Json = False) -> None:
    """Take a share back; it ends at once, with their own sign-in on it."""
    out = terminal()
    with workspace() as found:
        connection = found.connections[name]
        connection.unshare(member)
    if json:
        out.json({"id": connection.id, "member": member, "deleted": True})
        return
    out.good(f"{name} is no longer shared with {member}")


def _credentials(given: bool) -> str:
    return "its account" if given else "their own account"
