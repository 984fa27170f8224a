"""`keyturn connect-links`: pages by which people outside sign in for a connection, once."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keyturn.cli import shares, words
from keyturn.cli.arguments import Json, given, pairs_of, workspace
from keyturn.cli.connections import Name
from keyturn.cli.terminal import terminal
from keyturn.errors import Conflict, LimitReached

if TYPE_CHECKING:
    from keyturn.client.connect_links import ConnectLink

app = typer.Typer(help="Connect links: people outside sign in for a connection, once.", no_args_is_help=True)
connections = shares.app

Id = Annotated[str, typer.Argument(help="The link's id, cl_…")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until somebody has signed in, or it has ended.")]
# The same words as model/connect_links.py, which is too slow to load for a list; a test holds them together.
STATUS_WORDS: dict[str, str] = {
    "pending": "Waiting",
    "undecided": "To be accepted",
    "completed": "Signed in",
    "failed": "Failed",
    "expired": "Ended unused",
    "revoked": "Taken back",
}
OUTCOME_WORDS: dict[str, str] = {
    "sent": "Sent",
    "copied": "To copy",
    "skipped": "Left out",
    "not_made": "Not made",
}


@app.command("list")
def list_(
    *,
    connection: Annotated[str | None, typer.Option(help="Of this connection alone.")] = None,
    end_user: Annotated[str | None, typer.Option(help="Of this end user alone.")] = None,
    status: Annotated[str | None, typer.Option(help=f"{', '.join(STATUS_WORDS)}.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    json: Json = False,
) -> None:
    """Links of the last 90 days, newest first."""
    out = terminal()
    with workspace() as found:
        links = list(islice(found.connect_links.listed(connection=connection, end_user=end_user, status=status), limit))
    if json:
        out.json({"data": links, "next_cursor": None})
        return
    if not links:
        out.say("No connect links: keyturn connect-links create CONNECTION")
        return
    rows = [
        (link["id"], link["connection"]["name"], link["end_user"] or "–", _state(link), link["account"] or "–",
         words.when(link["created_at"]))
        for link in links
    ]  # fmt: skip
    out.table(("ID", "CONNECTION", "END USER", "STATE", "ACCOUNT", "MADE"), rows)


@app.command()
def create(
    connection: Annotated[str | None, typer.Argument(help="The connection somebody shall sign in for.")] = None,
    *,
    client: Annotated[str | None, typer.Option(help="With --end-user: the OAuth 2.0 client's name.")] = None,
    end_user: Annotated[str | None, typer.Option(help="Your own id of them; their connection is made.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Of the connection that is made.")] = None,
    name: Annotated[str | None, typer.Option(help="Of the connection that is made.")] = None,
    variable: Annotated[list[str] | None, typer.Option("--variable", help="name=value of the client's URLs.")] = None,
    return_url: Annotated[str | None, typer.Option(help="One of the client's Return URLs.")] = None,
    hold: Annotated[
        bool | None, typer.Option("--hold/--no-hold", help="Nothing is read before the account is accepted.")
    ] = None,
    expires_in_seconds: Annotated[int | None, typer.Option(help="60 to 1800; 1800 without.")] = None,
    wait: Wait = False,
    json: Json = False,
) -> None:
    """Make a link; it is shown this once."""
    fields = given(
        base_url=base_url,
        name=name,
        variables=pairs_of(variable, "--variable") if variable else None,
        return_url=return_url,
        hold=hold,
        expires_in_seconds=expires_in_seconds,
    )
    _made(connection, wait=wait, json=json, client=client, end_user=end_user, **fields)


@connections.command("reconnect-link")
def reconnect_link(name: Name, *, wait: Wait = False, json: Json = False) -> None:
    """A link by which somebody else signs in for it, once, within 30 minutes."""
    _made(name, wait=wait, json=json)


@app.command()
def send(
    names: Annotated[list[str] | None, typer.Argument(metavar="[CONNECTION]...", help="Whose owners sign in.")] = None,
    *,
    client: Annotated[
        str | None, typer.Option(help="Those on this OAuth 2.0 client that need it or keep older scopes.")
    ] = None,
    json: Json = False,
) -> None:
    """Mail each owner a reconnect link; links that cannot be mailed are shown, this once."""
    out = terminal()
    with workspace() as found:
        results = found.connect_links.send_reconnect_links(*(names or ()), client=client)
    if json:
        out.json({"data": [{**one.found, "url": one.url} for one in results]})
    elif not results:
        out.say("No connection needs a reconnect.")
    else:
        # A link is one cell of its own, so that a terminal wraps nothing into it.
        rows = [
            (one.connection, OUTCOME_WORDS.get(one.outcome, one.outcome), one.url or one.message) for one in results
        ]
        out.table(("CONNECTION", "LINK", "WHAT BECAME OF IT"), rows)
    waits = [one.found["retry_after"] for one in results if one.outcome == "not_made"]
    if waits:
        wait = max(seconds or 0 for seconds in waits)
        raise LimitReached(f"{len(waits)} not made. Ask for them again in {wait} s.", retry_after_seconds=wait)


@app.command()
def show(link_id: Id, *, json: Json = False) -> None:
    """How a link stands."""
    out = terminal()
    with workspace() as found:
        link = found.connect_links[link_id].found
    if json:
        out.json(link)
        return
    out.pairs(
        {
            "Connection": link["connection"]["name"],
            "End user": link["end_user"],
            "State": _state(link),
            "Account": link["account"],
            "Why": (link["error"] or {}).get("message"),
            "Return URL": link["return_url"],
            "Made": f"{words.full_time(link['created_at'])} by {link['made_by']['name']}",
            "Opened": words.full_time(link["opened_at"]),
            "Can be opened until": words.full_time(link["expires_at"]),
            "Ended": words.full_time(link["ended_at"]),
        }
    )


@app.command()
def accept(link_id: Id, *, json: Json = False) -> None:
    """Read with the account that somebody signed in as."""
    out = terminal()
    with workspace() as found:
        link = found.connect_links[link_id].accept()
    if json:
        out.json(link.found)
        return
    out.good(f"{link.found['connection']['name']} reads as {link.account or 'that account'} from now on")


@app.command()
def revoke(link_id: Id, *, json: Json = False) -> None:
    """Take a link back; a sign-in that waits to be accepted is dropped."""
    out = terminal()
    with workspace() as found:
        link = found.connect_links[link_id]
        link.revoke()
        now = link.look().found
    if json:
        out.json(now)
        return
    if now["status"] == "completed":
        out.warn(
            f"It was used already. To undo the sign-in: keyturn connections disconnect {now['connection']['name']}"
        )
        return
    out.good(f"{link_id}: {_state(now)}")


def _made(connection: str | None, *, wait: bool, json: bool, **fields: Any) -> None:
    out = terminal()
    with workspace() as found:
        link = found.connect_links.create(connection, **fields)
        if json and not wait:
            out.json({**link.found, "url": link.url})
            return
        out.say(f"Send this link; it works once, until {words.when(link.found['expires_at'])}, and is not shown again:")
        # With --json the one document on stdout is how it ended.
        if json:
            out.say(str(link.url))
        else:
            out.line(str(link.url))
        if not wait:
            out.say(f"  How it went: keyturn connect-links show {link.id}")
            return
        _said(link.wait(), json=json)


def _said(link: ConnectLink, *, json: bool) -> None:
    out = terminal()
    if link.status not in {"completed", "undecided"}:
        reason = (link.error or {}).get("message") or "Nobody signed in. Make another one."
        raise Conflict(f"{_state(link.found)}: {reason}", message_code=(link.error or {}).get("message_code"))
    if json:
        out.json(link.found)
    elif link.status == "completed":
        out.good(f"Signed in as {link.account or 'an account whose name is not told'}")
    else:
        out.warn(f"{link.account or 'Somebody'} signed in. Nothing is read with it before you accept the account:")
        out.say(f"  keyturn connect-links accept {link.id}   (or: keyturn connect-links revoke {link.id})")


def _state(link: dict[str, Any]) -> str:
    return STATUS_WORDS.get(link["status"], link["status"])
