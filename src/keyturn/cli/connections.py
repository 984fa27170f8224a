"""`keyturn connections`: signed-in accounts, how they are, and what happened to them."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keyturn.cli import exits, words
from keyturn.cli.arguments import Json, Yes, confirm, given, pairs_of, secret, workspace
from keyturn.cli.authorizations import say_connected, sign_in
from keyturn.cli.terminal import clean, terminal
from keyturn.errors import Conflict, Invalid

if TYPE_CHECKING:
    from keyturn.client.connections import Connection
    from keyturn.client.workspace import Workspace

app = typer.Typer(help="Connections: one base URL with one way of authenticating.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The connection's name, for example acme.")]
BaseUrl = Annotated[str | None, typer.Option(help="All endpoints start with this.")]
Client = Annotated[str | None, typer.Option(help="The OAuth 2.0 client's name, for example “Acme CRM”.")]
Access = Annotated[str, typer.Option(help="only_me, shared_account or own_account.")]
HeaderList = Annotated[list[str] | None, typer.Option("--header", help="name=value, sent with every call.")]
QueryList = Annotated[list[str] | None, typer.Option("--query", help="name=value, sent with every call.")]
VariableList = Annotated[
    list[str] | None, typer.Option("--variable", help="name=value, what the client's URLs ask for.")
]
ServiceAccount = Annotated[bool, typer.Option("--service-account", help="It is not a person's own account.")]

_SECRETS = {"basic": "password", "bearer": "token", "header": "value", "headers": "headers", "query": "value"}


@app.command("list")
def list_(
    *,
    end_user: Annotated[str | None, typer.Option("--end-user", help="Of that end user alone.")] = None,
    status: Annotated[str | None, typer.Option(help="In that state alone, for example reconnect_needed.")] = None,
    json: Json = False,
) -> None:
    """The connections you may see."""
    out = terminal()
    with workspace() as found:
        connections = list(found.connections.listed(end_user=end_user, status=status))
    if json:
        out.json({"data": connections, "next_cursor": None})
        return
    if not connections and (end_user or status):
        out.say("No connection is like that.")
        return
    if not connections:
        out.say("No connections yet. A connection is one signed-in account: keyturn connections connect NAME")
        return
    out.table(("NAME", "ACCOUNT", "HEALTH", "LAST DATA", "USED BY"), [_row(item) for item in connections])


@app.command()
def show(name: Name, *, json: Json = False) -> None:
    """One connection with its health."""
    out = terminal()
    with workspace() as found:
        connection = found.connections[name].settings
    if json:
        out.json(connection)
        return
    out.pairs(
        {
            "Name": connection["name"],
            "Health": words.health(connection),
            "Base URL": connection["base_url"],
            "OAuth 2.0 client": connection.get("oauth_client_name"),
            "Connected account": connection.get("account"),
            "Owner": connection["owner"]["name"],
            "Access": connection["access"],
            "Read as": connection["reading"]["message"],
            "Scopes": words.scopes(connection) if connection.get("scopes_requested") else None,
            "Why": connection.get("status_reason"),
            "Works until": words.works_until(connection) if connection.get("generation") else None,
            "Forecast": connection.get("forecast"),
            "Token sets": connection.get("generation"),
            "Last data": words.full_time(connection.get("last_data_at")),
            "Used by": words.count(connection["tables"], "table"),
        }
    )


@app.command()
def connect(
    name: Name,
    *,
    client: Client = None,
    base_url: BaseUrl = None,
    access: Access = "only_me",
    header: HeaderList = None,
    query: QueryList = None,
    variable: VariableList = None,
    service_account: ServiceAccount = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Print the link and stop.")] = False,
    switch_account: Annotated[bool, typer.Option("--switch-account", help="Take another account than before.")] = False,
    json: Json = False,
) -> None:
    """Sign in through an OAuth 2.0 client; the connection is made if it is not there. Works over SSH."""
    with workspace() as found:
        connection = _existing(found, name)
        if connection is None:
            settings = _settings(name, base_url, access, header, query, variable, service_account=service_account)
            connection = found.connections.create(settings | {"auth": _oauth2(found, client)})
        else:
            _same(connection, base_url, client)
        signed_in = sign_in(connection, wait=not no_wait, switch_account=switch_account)
    if signed_in is not None and json:
        terminal().json(signed_in)
    elif signed_in is not None:
        say_connected(signed_in)


@app.command()
def add(
    name: Name,
    base_url: BaseUrl = None,
    *,
    auth: Annotated[str, typer.Option(help="oauth2, none, basic, bearer, header, headers or query.")] = "none",
    client: Client = None,
    username: Annotated[str | None, typer.Option(help="For basic.")] = None,
    auth_name: Annotated[str | None, typer.Option(help="For header and query: its name, such as X-API-Key.")] = None,
    secret_stdin: Annotated[bool, typer.Option("--secret-stdin", help="Read it from stdin; headers as JSON.")] = False,
    access: Access = "only_me",
    header: HeaderList = None,
    query: QueryList = None,
    variable: VariableList = None,
    service_account: ServiceAccount = False,
    json: Json = False,
) -> None:
    """Make a connection without signing in: for API keys, passwords, or a sign-in later."""
    out = terminal()
    settings = _settings(name, base_url, access, header, query, variable, service_account=service_account)
    with workspace() as found:
        if auth == "oauth2":
            settings["auth"] = _oauth2(found, client)
        else:
            settings["auth"] = given(type=auth, username=username, name=auth_name)
            if auth in _SECRETS:
                words_for = "Password" if auth == "basic" else "Secret"
                settings["auth"][_SECRETS[auth]] = secret(
                    words_for, variable="KEYTURN_CONNECTION_SECRET", option="--secret-stdin", from_stdin=secret_stdin
                )
        connection = found.connections.create(settings).settings
    if json:
        out.json(connection)
        return
    out.good(f"Added {connection['name']}, reading {connection['base_url']}")
    if auth == "oauth2":
        out.say(f"  Next: keyturn connections connect {connection['name']}")


@app.command("test")
def look(
    name: Name,
    *,
    path: Annotated[str | None, typer.Option(help="An endpoint to ask, for example /orders.")] = None,
    json: Json = False,
) -> None:
    """Look at it step by step, by the code that reads data."""
    out = terminal()
    with workspace() as found:
        connection = found.connections[name]
        result = connection.test(path)
    failed = [step for step in result["steps"] if step["state"] == "fail"]
    code = exits.of_step(failed[0].get("code")) if failed else exits.OK
    if json:
        out.json(result)
        raise typer.Exit(code)
    for step in result["steps"]:
        sign = {"ok": "✓", "warn": "!", "fail": "✗"}.get(step["state"])
        named = f"{step['code']} " if str(step.get("code") or "").startswith("E-") else ""
        told = f"{step['name']}: {named}{step['message']}"
        out.line(f"– {clean(told)}" if sign is None else out.mark(sign, f"{told} ({step['elapsed_ms']} ms)"))
    if code == exits.RECONNECT_NEEDED:
        out.say(f"  Fix: keyturn connections connect {connection.name}")
    raise typer.Exit(code)


@app.command()
def refresh(name: Name, *, json: Json = False) -> None:
    """Renew its token set now."""
    out = terminal()
    with workspace() as found:
        connection = found.connections[name]
        connection.refresh()
        now = connection.settings
    if json:
        out.json(now)
        return
    out.good(f"Token set {now['generation']} of {now['name']} · works until {words.works_until(now)}")


@app.command()
def history(
    name: Name,
    *,
    limit: Annotated[int, typer.Option(min=1, help="At most so many lines.")] = 50,
    show: Annotated[str | None, typer.Option(help="problems or sign_ins; everything without.")] = None,
    json: Json = False,
) -> None:
    """What happened to it in the last 90 days, newest first."""
    out = terminal()
    with workspace() as found:
        events = list(islice(found.connections[name].events(show), limit))
    if json:
        out.json({"data": events, "next_cursor": None})
        return
    rows = [(words.full_time(e["at"]), e["title"], e["message"], e.get("actor") or "") for e in events]
    out.table(("TIME", "WHAT", "DETAILS", "BY"), rows)


@app.command()
def disconnect(
    name: Name,
    *,
    revoke: Annotated[bool, typer.Option(help="Revoke the sign-in at the end system too.")] = True,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Destroy its sign-in here, and at the end system too."""
    out = terminal()
    with workspace() as found:
        connection = found.connections[name]
        confirm(f"{connection.name} and its tables stop until someone signs in again.", yes=yes)
        result = connection.disconnect(revoke=revoke)
    if json:
        out.json(result)
        return
    out.good(f"Disconnected {connection.name}. {result['message']}")


@app.command()
def delete(name: Name, *, yes: Yes = False, json: Json = False) -> None:
    """Delete it with its sign-in and its tables; finished files stay."""
    out = terminal()
    with workspace() as found:
        connection = found.connections[name]
        tables = words.count(connection.settings["tables"], "table")
        confirm(f"{connection.name} is deleted with its sign-in and {tables}.", yes=yes)
        connection.delete()
    if json:
        out.json({"id": connection.id, "deleted": True})
        return
    out.good(f"Deleted {connection.name}")


def _row(connection: dict[str, Any]) -> tuple[object, ...]:
    used = words.count(connection["tables"], "table")
    account = connection.get("account") or "–"
    return connection["name"], account, words.health(connection), words.when(connection.get("last_data_at")), used


def _existing(found: Workspace, name: str) -> Connection | None:
    return next((connection for connection in found.connections if connection.name == name), None)


def _settings(
    name: str,
    base_url: str | None,
    access: str,
    header: list[str] | None,
    query: list[str] | None,
    variable: list[str] | None,
    *,
    service_account: bool,
) -> dict[str, Any]:
    return {
        "name": name,
        # Empty where the OAuth 2.0 client or the sign-in tells it; the server says so where nobody does.
        "base_url": base_url or "",
        "variables": pairs_of(variable or [], "--variable"),
        "access": access,
        "headers": pairs_of(header or [], "--header"),
        "query": pairs_of(query or [], "--query"),
        "service_account": service_account,
    }


def _oauth2(found: Workspace, client: str | None) -> dict[str, Any]:
    clients = list(found.clients) if client is None else []
    if client is None and len(clients) != 1:
        raise Invalid("Which OAuth 2.0 client? Give --client NAME; keyturn clients list shows them.", at="--client")
    chosen = clients[0] if client is None else found.clients[client]
    return {"type": "oauth2", "oauth_client_id": chosen["id"]}


def _same(connection: Connection, base_url: str | None, client: str | None) -> None:
    """An existing connection is signed in as it is; other settings would be another connection."""
    settings = connection.settings
    if base_url is not None and base_url.rstrip("/") != settings["base_url"]:
        raise Conflict(f"{connection.name} reads {settings['base_url']} already. Choose another name for {base_url}.")
    named = settings.get("oauth_client_name")
    if client is not None and client not in {named, settings.get("oauth_client_id")}:
        raise Conflict(f"{connection.name} belongs to {named or 'no OAuth 2.0 client'}. Choose another name.")
    if settings["auth"]["type"] != "oauth2":
        raise Conflict(f"{connection.name} is not on an OAuth 2.0 client, so there is nothing to sign in to.")
