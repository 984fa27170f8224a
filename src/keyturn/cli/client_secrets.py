"""`keyturn clients secrets` and its like: a client's stored secrets by id, their order and last days; never a value."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from keyturn.cli import words
from keyturn.cli.arguments import Json, workspace
from keyturn.cli.oauth_clients import ExpiresOn, Name, app
from keyturn.cli.terminal import terminal
from keyturn.errors import Invalid

SecretId = Annotated[str, typer.Argument(help="The secret's id, as `clients secrets` lists it.")]


@app.command("secrets")
def list_(name: Name, *, json: Json = False) -> None:
    """The stored secrets of a client, in the order they are tried."""
    out = terminal()
    with workspace() as found:
        secrets = found.clients[name]["secrets"]
    if json:
        out.json({"data": secrets, "next_cursor": None})
        return
    out.table(("SECRET", "SAVED", "EXPIRES", "LAST WORKED", "LAST REFUSED"), [_row(secret) for secret in secrets])


@app.command("edit-secret")
def edit(
    name: Name,
    secret_id: SecretId,
    *,
    expires_on: ExpiresOn = None,
    first: Annotated[bool, typer.Option("--first", help="Try it before the client's other secrets.")] = False,
    json: Json = False,
) -> None:
    """Set the day a stored secret expires on, or let it be tried first."""
    changes: dict[str, Any] = {} if expires_on is None else {"expires_on": expires_on}
    if first:
        changes["first"] = True
    if not changes:
        raise Invalid("Say --expires-on DAY or --first.", at="expires_on")
    out = terminal()
    with workspace() as found:
        client = found.clients.change_secret(name, secret_id, changes)
    if json:
        out.json(client)
        return
    out.good(f"Saved {client['name']}")


@app.command("remove-secret")
def remove(name: Name, secret_id: SecretId, *, json: Json = False) -> None:
    """Take one of several secrets away."""
    out = terminal()
    with workspace() as found:
        found.clients.remove_secret(name, secret_id)
    if json:
        out.json({"id": secret_id, "deleted": True})
        return
    out.good(f"Removed a Client Secret of {name}")


def _row(secret: dict[str, Any]) -> tuple[object, ...]:
    worked, refused = words.when(secret["last_ok_at"]), words.when(secret["last_refused_at"])
    return secret["id"], words.when(secret["saved_at"]), secret["expires_on"] or "not known", worked, refused
