"""A sign-in seen from the command line: the link is printed, and we wait while a person is in their browser."""

from __future__ import annotations

import math
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer

from keyturn.cli import exits, words
from keyturn.cli.terminal import terminal
from keyturn.errors import Conflict, Invalid

if TYPE_CHECKING:
    from keyturn.client.connections import Connection, SignIn

_POLL_SECONDS = 1.0


def sign_in(connection: Connection, *, wait: bool, switch_account: bool = False) -> dict[str, Any] | None:
    """Print the link and wait; the connection once it is signed in, None if nobody waits.

    `switch_account`: another account than before is taken; otherwise the connection goes on reading as before.

    Raises the error the sign-in failed with.
    """
    out = terminal()
    begun = connection.begin_sign_in()
    if begun.start_url is None and begun.device is None:
        return _noted(connection, begun.look())
    if not wait:
        out.say(f"Open this link to sign in ({_minutes(begun)} min):")
        told = {"id": begun.id, "start_url": begun.start_url, "device": begun.device}
        out.line(_link(begun)) if not out.as_json else out.json({k: v for k, v in told.items() if v is not None})
        return None
    try:
        out.say(f"Open this link to sign in (waiting, {_minutes(begun)} min):  {_link(begun)}")
        ended = _ended(begun)
    except KeyboardInterrupt:
        out.say("")
        out.warn(f"Stopped waiting. The link still works: {_link(begun)}")
        out.say(f"  How it went: keyturn connections show {connection.name}")
        raise typer.Exit(exits.INTERRUPTED) from None
    if ended.get("undecided"):
        decided = begun.decide(switch=switch_account)
        ended = decided if switch_account else ended
    return _noted(connection, ended)


def _noted(connection: Connection, ended: dict[str, Any]) -> dict[str, Any]:
    """The connection after an attempt, with what it falls short of said. Raises the error it failed with."""
    if ended["status"] != "completed":
        raise _failure(connection, ended)
    for note in ended.get("notes", ()):
        terminal().warn(f"{note['message_code']} {note['message']}")
    return connection.settings


def say_connected(connection: dict[str, Any]) -> None:
    """The line a sign-in ends with."""
    account = f" as {connection['account']}" if connection.get("account") else ""
    told = connection.get("has_refresh_token")
    refresh = "not needed" if told is None else words.yes_no(told)
    terminal().good(
        f"Connected{account} · scopes {words.scopes(connection)} · refresh token {refresh} · "
        f"works until {words.works_until(connection)}"
    )


def _ended(begun: SignIn) -> dict[str, Any]:
    while True:
        found = begun.look()
        if found["status"] != "pending":
            return found
        time.sleep(_POLL_SECONDS)


def _failure(connection: Connection, ended: dict[str, Any]) -> Exception:
    from keyturn.client.problems import error_of

    again = f"keyturn connections connect {connection.name}"
    if ended["status"] == "expired":
        return Conflict(f"The link ended before anyone signed in. Start again: {again}")
    error = error_of(ended.get("error") or {"message": f"The sign-in did not end well. Start again: {again}"})
    # What is wrong with an answer of the authorization server is no wrong use of this command.
    return Conflict(error.message, message_code=error.message_code) if isinstance(error, Invalid) else error


def _link(begun: SignIn) -> str:
    """Where a person goes, with the code to enter there if it is for any device."""
    if begun.device is None:
        return str(begun.start_url)
    return f"{begun.device['verification_uri']}  and enter the code  {begun.device['user_code']}"


def _minutes(begun: SignIn) -> int:
    if begun.expires_at is None:
        return 10
    left = (begun.expires_at - datetime.now(begun.expires_at.tzinfo)).total_seconds()
    return max(1, math.ceil(left / 60 - 0.1))
