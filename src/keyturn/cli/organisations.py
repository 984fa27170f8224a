"""`keyturn organisation`: who people sign in to Keyturn with."""

from __future__ import annotations

from typing import Annotated

import typer

from keyturn.cli.arguments import Json, Yes, confirm, secret, workspace
from keyturn.cli.terminal import terminal

app = typer.Typer(help="Signing in to Keyturn with your organisation (OpenID Connect).", no_args_is_help=True)


@app.command()
def show(*, json: Json = False) -> None:
    """Who people sign in with."""
    out = terminal()
    with workspace() as found:
        organisation = found.organisation.found
    if json:
        out.json(organisation)
        return
    out.pairs(
        {
            "Name": organisation["name"],
            "Issuer": organisation["issuer"],
            "Client ID": organisation["client_id"],
            "Redirect URI": organisation["redirect_uri"],
            "Set by": "the operator" if organisation["set_by_operator"] else "Workspace Admins",
        }
    )


@app.command("set")
def set_(
    name: Annotated[str, typer.Argument(help="On the sign-in page: Sign in with NAME.")],
    *,
    issuer: Annotated[str, typer.Option(help="Its OpenID Connect issuer, for example https://login.acme.com.")],
    client_id: Annotated[str, typer.Option("--client-id", help="The Client ID it gave Keyturn.")],
    keep_secret: Annotated[bool, typer.Option("--keep-secret", help="Keep the Client Secret that is there.")] = False,
    secret_stdin: Annotated[bool, typer.Option("--client-secret-stdin", help="Read the secret from stdin.")] = False,
    json: Json = False,
) -> None:
    """Set it up or change it; its Client Secret is asked for, sealed and never shown."""
    out = terminal()
    typed = None
    if not keep_secret:
        typed = secret(
            "Client Secret",
            variable="KEYTURN_CLIENT_SECRET",
            option="--client-secret-stdin",
            from_stdin=secret_stdin,
        )
    with workspace() as found:
        now = found.organisation.set(name, issuer=issuer, client_id=client_id, client_secret=typed)
    if json:
        out.json(now)
        return
    out.good(f"The sign-in page shows: Sign in with {now['name']}. Register there: {now['redirect_uri']}")


@app.command()
def remove(*, yes: Yes = False, json: Json = False) -> None:
    """Nobody signs in by it any more; whoever has no password needs a link to one."""
    out = terminal()
    with workspace() as found:
        name = found.organisation.found["name"]
        confirm(f"Nobody can sign in with {name} any more.", yes=yes)
        found.organisation.remove()
    if json:
        out.json({"name": name, "removed": True})
        return
    out.good(f"Removed {name}")
