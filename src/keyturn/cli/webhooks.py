"""`keyturn webhooks`: addresses of other programs that are told of events, and how the messages went."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from keyturn.cli import words
from keyturn.cli.arguments import Json, Yes, confirm, given, workspace
from keyturn.cli.terminal import terminal

app = typer.Typer(help="Webhooks: other programs that are told of events, signed.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The webhook's name.")]
Events = Annotated[list[str] | None, typer.Option("--event", help="An event to be told of; all of them without.")]


@app.command("list")
def list_(*, json: Json = False) -> None:
    """The workspace's webhooks."""
    out = terminal()
    with workspace() as found:
        webhooks = list(found.webhooks)
    if json:
        out.json({"data": webhooks, "next_cursor": None})
        return
    if not webhooks:
        out.say("No webhooks yet: keyturn webhooks add NAME URL")
        return
    rows = [(w["name"], w["url"], "on" if w["enabled"] else "off", len(w["events"]), w["given_up"]) for w in webhooks]
    out.table(("NAME", "URL", "STATE", "EVENTS", "GIVEN UP"), rows)


@app.command()
def add(
    name: Name,
    url: Annotated[str, typer.Argument(help="Where events are posted to.")],
    *,
    event: Events = None,
    json: Json = False,
) -> None:
    """Make one; its secret is shown this once."""
    out = terminal()
    with workspace() as found:
        made = found.webhooks.create(given(name=name, url=url, events=event or None))
    if json:
        out.json(made)
        return
    out.say(f"Added {name}. Its messages are signed with this secret; it is not shown again:")
    out.line(made["secret"])


@app.command()
def edit(
    name: Name,
    *,
    url: Annotated[str | None, typer.Option(help="Where events are posted to.")] = None,
    event: Events = None,
    enabled: Annotated[bool | None, typer.Option("--on/--off", help="Whether anything is sent to it.")] = None,
    json: Json = False,
) -> None:
    """Change it."""
    out = terminal()
    with workspace() as found:
        now = found.webhooks.update(name, given(url=url, events=event or None, enabled=enabled))
    if json:
        out.json(now)
        return
    out.good(f"Saved {name}")


@app.command("replace-secret")
def replace_secret(name: Name, *, json: Json = False) -> None:
    """A new secret; the old one signs beside it for a day."""
    out = terminal()
    with workspace() as found:
        now = found.webhooks.replace_secret(name)
    if json:
        out.json(now)
        return
    out.say("The old secret signs beside this one for a day; it is not shown again:")
    out.line(now["secret"])


@app.command("test")
def try_(name: Name, *, json: Json = False) -> None:
    """Send a test message."""
    out = terminal()
    with workspace() as found:
        sent = found.webhooks.test(name)
    if json:
        out.json(sent)
        return
    out.good(f"On its way as {sent['id']}. How it went: keyturn webhooks deliveries {name}")


@app.command()
def deliveries(
    name: Name,
    *,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    json: Json = False,
) -> None:
    """Its messages and how they went, newest first."""
    out = terminal()
    with workspace() as found:
        messages = list(islice(found.webhooks.deliveries(name), limit))
    if json:
        out.json({"data": messages, "next_cursor": None})
        return
    rows = [
        (words.full_time(d["created_at"]), d["id"], d["event"], d["status"].replace("_", " "), d["attempts"],
         d["last_error"] or "–")
        for d in messages
    ]  # fmt: skip
    out.table(("TIME", "ID", "EVENT", "STATE", "TRIES", "LAST ERROR"), rows)


@app.command()
def retry(
    name: Name, delivery_id: Annotated[str, typer.Argument(help="A message that was given up.")], *, json: Json = False
) -> None:
    """Send a message that was given up once more."""
    out = terminal()
    with workspace() as found:
        found.webhooks.retry(name, delivery_id)
    if json:
        out.json({"id": delivery_id, "status": "waiting"})
        return
    out.good(f"{delivery_id} is sent again")


@app.command()
def delete(name: Name, *, yes: Yes = False, json: Json = False) -> None:
    """Delete it with its messages."""
    out = terminal()
    with workspace() as found:
        confirm(f"{name} is told of nothing any more.", yes=yes)
        found.webhooks.delete(name)
    if json:
        out.json({"name": name, "deleted": True})
        return
    out.good(f"Deleted {name}")
