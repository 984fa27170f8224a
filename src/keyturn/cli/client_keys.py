"""`keyturn clients keys` and its like: the keys with which a client signs; only their public halves are ever shown."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from keyturn.cli import words
from keyturn.cli.arguments import Json, workspace
from keyturn.cli.client_secrets import app
from keyturn.cli.oauth_clients import Name
from keyturn.cli.terminal import terminal

KeyId = Annotated[str, typer.Argument(help="The key's id, as `clients keys` lists it.")]


@app.command("keys")
def list_(name: Name, *, json: Json = False) -> None:
    """The keys of a client that signs, in the order they are tried."""
    out = terminal()
    with workspace() as found:
        client = found.clients[name]
    if json:
        out.json({"data": client["keys"], "next_cursor": None})
        return
    if client["jwks_uri"]:
        out.say(f"JWKS URL to give to {client['name']}: {client['jwks_uri']}")
    heads = ("KEY", "KID", "ALGORITHM", "MADE", "LAST WORKED", "LAST REFUSED")
    out.table(heads, [_row(key) for key in client["keys"]])


@app.command("add-key")
def add(name: Name, *, json: Json = False) -> None:
    """Make another key beside the old ones, which go on working until they are removed."""
    out = terminal()
    with workspace() as found:
        client = found.clients.add_key(name)
    if json:
        out.json(client)
        return
    out.good(f"Made a key for {client['name']}: {client['keys'][0]['kid']}")
    out.say(f"Let {client['name']} read {client['jwks_uri']}, check the client, then remove the old key.")


@app.command("remove-key")
def remove(name: Name, key_id: KeyId, *, json: Json = False) -> None:
    """Take a key away; it is no longer published."""
    out = terminal()
    with workspace() as found:
        found.clients.remove_key(name, key_id)
    if json:
        out.json({"id": key_id, "deleted": True})
        return
    out.good(f"Removed a key of {name}")


def _row(key: dict[str, Any]) -> tuple[object, ...]:
    worked, refused = words.when(key["last_ok_at"]), words.when(key["last_refused_at"])
    return key["id"], key["kid"], key["algorithm"], words.when(key["made_at"]), worked, refused
