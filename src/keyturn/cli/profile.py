"""`keyturn login`: an API token is pasted, verified, and kept where only its owner can read it."""

from __future__ import annotations

import sys
from typing import Annotated
from urllib.parse import urlsplit

import typer

from keyturn.cli.arguments import Json, secret
from keyturn.cli.terminal import terminal

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def login(
    url: Annotated[str, typer.Argument(help="The server's address, for example https://data.example.com.")],
    *,
    token_stdin: Annotated[bool, typer.Option("--token-stdin", help="Read the API token from stdin.")] = False,
    json: Json = False,
) -> None:
    """Sign in to a server with an API token, and remember both in a profile of mode 600."""
    from keyturn.client import profile as profiles
    from keyturn.client.workspace import connect
    from keyturn.model.permissions import ROLE_LABELS

    out = terminal()
    origin = profiles.check_url(url)
    parts = urlsplit(origin)
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        out.warn(f"{origin} is plain http: whoever is on the way can read the API token.")
    if sys.stdin.isatty() and not token_stdin:
        out.say(f"Make an API token at {origin} (profile menu, API tokens) and paste it here.")
    pasted = secret("API token", variable="KEYTURN_TOKEN", option="--token-stdin", from_stdin=token_stdin)
    token = profiles.check_token(pasted)
    with connect(origin, token) as found:
        me = found.me
    file = profiles.path()
    profiles.save(profiles.Profile(origin, token), file)
    if json:
        out.json({**me, "profile": str(file)})
        return
    role = ROLE_LABELS.get(me["role"], me["role"])
    out.good(f"Signed in to {origin} as {me['account']['name']} ({role}) · workspace {me['workspace']['name']}")
    out.say(f"  Kept in {file}, for you alone.")
    if me.get("public_url") not in {None, origin}:
        out.warn(f"The server calls itself {me['public_url']}. Links it gives lead there.")
