"""`keyturn clients`: OAuth 2.0 clients, for Workspace Admins. A secret comes by stdin, environment or prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from keyturn.cli import exits, words
from keyturn.cli.arguments import (
    Json,
    Yes,
    confirm_by_name,
    given,
    json_of,
    number_or_text,
    pairs_of,
    secret,
    workspace,
)
from keyturn.cli.terminal import terminal
from keyturn.errors import Invalid

if TYPE_CHECKING:
    from keyturn.client.workspace import Workspace

app = typer.Typer(help="OAuth 2.0 clients: who we are at an end system.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The client's name, for example “Acme CRM”.")]
FromStdin = Annotated[bool, typer.Option("--client-secret-stdin", help="Read the Client Secret from stdin.")]
ClientId = Annotated[str | None, typer.Option(help="From the end system's developer console.")]
Type = Annotated[
    str | None,
    typer.Option(help="rest_api_oauth2_auth_code, _client_credentials (nobody signs in) or _device_code."),
]
AuthorizationUrl = Annotated[str | None, typer.Option(help="Where people sign in.")]
TokenUrl = Annotated[str | None, typer.Option(help="Where tokens are exchanged and refreshed.")]
Scopes = Annotated[str | None, typer.Option(help="Separated by spaces, spelled as the end system spells them.")]
AccessMs = Annotated[str | None, typer.Option(help="Milliseconds, or 1h. Used if the end system does not say.")]
RefreshMs = Annotated[str | None, typer.Option(help="Milliseconds, or 90d. 0: does not expire, or unknown.")]
Advanced = Annotated[str | None, typer.Option(help="JSON, or @file: what this end system does differently.")]
ExpiresOn = Annotated[str | None, typer.Option(help="The secret's last day, for example 2027-01-31.")]
NoCheck = Annotated[bool, typer.Option("--no-check", help="Do not ask the Token URL.")]

_COMES_BACK = (None, "rest_api_oauth2_auth_code")
_STYLES = {
    "basic": "secret sent as Basic header",
    "post": "secret sent in the request body",
    "none": "secret sent not at all: PKCE only",
    "private_key_jwt": "signed with a key of ours",
    "client_secret_jwt": "signed with the secret",
}
# Nothing to ask for: no secret at all, or a key that the server makes.
_SECRETLESS = frozenset({"none", "private_key_jwt"})


@app.command("list")
def list_(*, json: Json = False) -> None:
    """The workspace's OAuth 2.0 clients."""
    out = terminal()
    with workspace() as found:
        clients = list(found.clients)
    if json:
        out.json({"data": clients, "next_cursor": None})
        return
    if not clients:
        out.say("No OAuth 2.0 clients yet. A client tells an end system who we are: keyturn clients register")
        return
    heads = ("NAME", "AUTHENTICATION TYPE", "CONNECTIONS", "SECRET", "LAST UPDATE")
    out.table(heads, [_row(client) for client in clients])


@app.command()
def show(name: Name, *, json: Json = False) -> None:
    """One client; its secret is never shown."""
    with workspace() as found:
        _shown(found.clients[name], json=json)


@app.command("presets")
def presets_(*, json: Json = False) -> None:
    """Well-known end systems, whose settings need not be typed."""
    out = terminal()
    with workspace() as found:
        items = list(found.clients.presets())
    if json:
        out.json({"data": items, "next_cursor": None})
        return
    heads = ("PRESET", "NAME", "TOKEN HOST", "ASKS FOR")
    out.table(heads, [_preset_row(item) for item in items])


@app.command()
def register(
    name: Annotated[str, typer.Option(help="What people see when they pick it, for example “Acme CRM”.")],
    client_id: Annotated[str, typer.Option(help="From the end system's developer console.")],
    *,
    token_url: TokenUrl = None,
    preset: Annotated[str | None, typer.Option(help="Settings of a well-known end system: clients presets.")] = None,
    variable: Annotated[list[str] | None, typer.Option(help="name=value, what the preset asks for.")] = None,
    issuer: Annotated[str | None, typer.Option(help="Settings from its published metadata.")] = None,
    openapi: Annotated[str | None, typer.Option(help="Settings from the OpenAPI 3 document at this address.")] = None,
    authorization_url: AuthorizationUrl = None,
    scopes: Scopes = None,
    authentication_type: Type = None,
    access_token_expires_in: AccessMs = None,
    refresh_token_expires_in: RefreshMs = None,
    advanced: Advanced = None,
    client_secret_stdin: FromStdin = False,
    secret_expires_on: ExpiresOn = None,
    public: Annotated[bool, typer.Option("--public", help="It has no secret, PKCE only.")] = False,
    no_check: NoCheck = False,
    json: Json = False,
) -> None:
    """Register an OAuth 2.0 client, and ask its Token URL whether it knows us."""
    out = terminal()
    with workspace() as found:
        redirect_uri = found.clients.redirect_uri(name)
        if authentication_type in _COMES_BACK:
            out.say(f"Redirect URI to paste in {name}'s console: {redirect_uri}")
        settings = given(
            name=name,
            client_id=client_id,
            authentication_type=authentication_type,
            authorization_url=authorization_url,
            token_url=token_url,
            scopes=scopes,
            access_token_expires_in=number_or_text(access_token_expires_in),
            refresh_token_expires_in=number_or_text(refresh_token_expires_in),
            advanced=json_of(advanced, "--advanced"),
            secret_expires_on=secret_expires_on,
        )
        settings = _on_top(_known(found, preset, variable, issuer, openapi), settings)
        if public:
            settings["advanced"] = _public(settings.get("advanced") or {})
        elif _auth(settings) not in _SECRETLESS:
            settings["client_secret"] = _secret(from_stdin=client_secret_stdin)
        client = found.clients.register({**settings, "redirect_uri": redirect_uri})
        if client["jwks_uri"]:
            out.say(f"JWKS URL to give to {name}: {client['jwks_uri']}")
        # A key that was just made is not known there before somebody gives it to them.
        verdict = None if no_check or client["jwks_uri"] else found.clients.check(client["id"])
    if json:
        out.json({**client, "check": verdict})
        return
    accepted = verdict is not None and verdict["verdict"] == "accepted"
    before = f"{_accepted(client, verdict)}   ✓ " if verdict is not None and accepted else ""
    out.good(f"{before}Registered {client['name']}")
    if verdict is not None and not accepted:
        out.warn(verdict["message"])
    _warn(client)


@app.command("register-at")
def register_at(
    issuer: Annotated[str, typer.Argument(help="The issuer, as the server writes it in its metadata.")],
    name: Annotated[str, typer.Option(help="What people see when they pick it, for example “Acme CRM”.")],
    *,
    scopes: Scopes = None,
    initial_access_token_stdin: Annotated[
        bool, typer.Option("--initial-access-token-stdin", help="Read the token from stdin, if the server wants one.")
    ] = False,
    json: Json = False,
) -> None:
    """Let a server register a client by itself (dynamic registration): there is nothing to copy from its console."""
    token = None
    if initial_access_token_stdin:
        token = secret(
            "initial access token", variable="KEYTURN_INITIAL_ACCESS_TOKEN", option="--initial-access-token-stdin",
            from_stdin=True,
        )  # fmt: skip
    with workspace() as found:
        client = found.clients.register_at(issuer, name, scopes=scopes, initial_access_token=token)
    _shown(client, json=json)
    if not json:
        terminal().good(f"Registered {client['name']} by {urlsplit(client['token_url']).netloc} itself")


def _known(
    found: Workspace, preset: str | None, variable: list[str] | None, issuer: str | None, openapi: str | None
) -> dict[str, Any]:
    """The settings to start from. Raises `NotFound` and `Invalid` as the server words them."""
    if preset:
        item = found.clients.preset(preset, **pairs_of(variable or [], "--variable"))
        if "settings" not in item:
            asks = ", ".join(f"--variable {name}={what['example']}" for name, what in item["variables"].items())
            raise Invalid(f"{item['name']} needs {asks}.", at="variable")
        return dict(item["settings"])
    if issuer:
        return dict(found.clients.discover(issuer=issuer)["settings"])
    return dict(found.clients.discover(openapi_url=openapi)["settings"]) if openapi else {}


def _on_top(known: dict[str, Any], given_: dict[str, Any]) -> dict[str, Any]:
    """What was typed wins over what is known, also inside `advanced`."""
    advanced = {**known.get("advanced", {}), **(given_.get("advanced") or {})}
    return {**known, **given_} | ({"advanced": advanced} if advanced else {})


def _preset_row(item: dict[str, Any]) -> tuple[str, ...]:
    return item["id"], item["name"], urlsplit(item["token_url"]).netloc, ", ".join(item["variables"])


@app.command()
def edit(
    name: Name,
    *,
    new_name: Annotated[str | None, typer.Option("--name", help="A new name; the Redirect URI stays.")] = None,
    client_id: ClientId = None,
    authentication_type: Type = None,
    authorization_url: AuthorizationUrl = None,
    token_url: TokenUrl = None,
    scopes: Scopes = None,
    access_token_expires_in: AccessMs = None,
    refresh_token_expires_in: RefreshMs = None,
    advanced: Advanced = None,
    client_secret_stdin: FromStdin = False,
    json: Json = False,
) -> None:
    """Change what is given. A changed URL clears the secret unless it comes along."""
    changes = given(
        name=new_name,
        client_id=client_id,
        authentication_type=authentication_type,
        authorization_url=authorization_url,
        token_url=token_url,
        scopes=scopes,
        access_token_expires_in=number_or_text(access_token_expires_in),
        refresh_token_expires_in=number_or_text(refresh_token_expires_in),
        advanced=json_of(advanced, "--advanced"),
    )
    if client_secret_stdin:
        changes["client_secret"] = _secret(from_stdin=True)
    with workspace() as found:
        client = found.clients.edit(name, changes)
    out = terminal()
    if json:
        out.json(client)
        return
    out.good(f"Saved {client['name']}")
    if client["jwks_uri"]:
        out.say(f"JWKS URL to give to {client['name']}: {client['jwks_uri']}")
    if not client["has_secret"] and _auth(client) not in _SECRETLESS:
        out.warn(f"The Client Secret was cleared. Next: keyturn clients replace-secret {_quoted(client['name'])}")
    _warn(client)


@app.command("replace-secret")
def replace_secret(
    name: Name,
    *,
    client_secret_stdin: FromStdin = False,
    expires_on: ExpiresOn = None,
    keep_old: Annotated[bool, typer.Option("--keep-old", help="The old one is tried after the new one.")] = False,
    json: Json = False,
) -> None:
    """Store a new Client Secret; suspended connections go on by themselves."""
    with workspace() as found:
        known = found.clients[name]
        new = _secret(from_stdin=client_secret_stdin)
        client = found.clients.replace_secret(known["id"], new, expires_on=expires_on, keep_old=keep_old)
    out = terminal()
    if json:
        out.json(client)
        return
    out.good(f"The Client Secret of {client['name']} was replaced")


@app.command()
def check(name: Name, *, json: Json = False) -> None:
    """Ask the Token URL with a made-up code whether it knows this client. Exit 1 when it refuses."""
    out = terminal()
    with workspace() as found:
        client = found.clients[name]
        verdict = found.clients.check(client["id"])
    word = verdict["verdict"]
    if json:
        out.json(verdict)
    elif word == "accepted":
        out.good(_accepted(client, verdict))
        for step in verdict.get("steps") or ():
            if step["state"] in {"warn", "fail"}:
                out.warn(step["message"])
    elif word == "unknown":
        out.warn(verdict["message"])
    else:
        out.bad(verdict["message"])
    if word == "refused":
        raise typer.Exit(exits.FAILED)
    if word == "unreachable":
        raise typer.Exit(exits.WAIT)


@app.command()
def delete(
    name: Name,
    *,
    force: Annotated[bool, typer.Option("--force", help="Even while connections use it.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Delete a client; its connections lose their sign-ins."""
    with workspace() as found:
        client = found.clients[name]
        total = client["connections"]["total"]
        stop = f"{words.count(total, 'connection')} {'uses' if total == 1 else 'use'} {client['name']} and will stop."
        typed = confirm_by_name(stop if total else f"{client['name']} is deleted.", client["name"], yes=yes)
        found.clients.delete(client["id"], force=force or typed)
    out = terminal()
    if json:
        out.json({"id": client["id"], "deleted": True})
        return
    out.good(f"Deleted {client['name']}")


@app.command("redirect-uri")
def redirect_uri(name: Name, *, json: Json = False) -> None:
    """The Redirect URI to paste in the end system's console, known before the client exists."""
    with workspace() as found:
        uri = found.clients.redirect_uri(name)
    out = terminal()
    if json:
        out.json({"redirect_uri": uri})
        return
    out.line(uri)


def _secret(*, from_stdin: bool) -> str:
    return secret(
        "Client Secret", variable="KEYTURN_CLIENT_SECRET", option="--client-secret-stdin", from_stdin=from_stdin
    )


def _auth(client: dict[str, Any]) -> str | None:
    return (client.get("advanced") or {}).get("token", {}).get("auth")


def _public(advanced: dict[str, Any]) -> dict[str, Any]:
    return {**advanced, "token": {**advanced.get("token", {}), "auth": "none"}}


def _row(client: dict[str, Any]) -> tuple[object, ...]:
    counts = client["connections"]
    secret_word = f"saved {words.when(client.get('secret_saved_at'))}" if client["has_secret"] else "none"
    used = f"{counts['healthy']} healthy / {counts['broken']} broken" if counts["total"] else "none"
    kind = words.authentication_type(client["authentication_type"])
    return client["name"], kind, used, secret_word, words.when(client["updated_at"])


def _shown(client: dict[str, Any], *, json: bool) -> None:
    out = terminal()
    if json:
        out.json(client)
        return
    out.pairs(
        {
            "Name": client["name"],
            "Authentication Type": words.authentication_type(client["authentication_type"]),
            "Client ID": client["client_id"],
            "Client Secret": f"saved {words.full_time(client['secret_saved_at'])}" if client["has_secret"] else "none",
            "Authorization URL": client["authorization_url"],
            "Token URL": client["token_url"],
            "Scopes": client["scopes"],
            "Access Token Expires In": f"{client['access_token_expires_in']} ms",
            "Refresh Token Expires In": f"{client['refresh_token_expires_in']} ms",
            "Redirect URI": client["redirect_uri"],
            **({"JWKS URL": client["jwks_uri"]} if client["jwks_uri"] else {}),
            "Connections": client["connections"]["total"],
            "Last update": words.full_time(client["updated_at"]),
        }
    )
    _warn(client)


def _accepted(client: dict[str, Any], verdict: dict[str, Any]) -> str:
    style = _STYLES.get(verdict.get("client_authentication") or "")
    sent = f" ({style})" if style else ""
    return f"Client accepted by {urlsplit(client['token_url']).netloc}{sent}"


def _warn(client: dict[str, Any]) -> None:
    for warning in client.get("warnings") or ():
        terminal().warn(f"{warning['at']}: {warning['message']}")


def _quoted(name: str) -> str:
    import shlex

    return shlex.quote(name)
