"""Options that several verbs share, prompts for what may not be an argument, and the workspace they speak to."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keyturn import redaction
from keyturn.cli.terminal import terminal
from keyturn.errors import Invalid

if TYPE_CHECKING:
    from keyturn.client.workspace import Workspace


def _as_json(value: bool) -> bool:
    if value:
        terminal().as_json = True
    return value


Json = Annotated[bool, typer.Option("--json", help="JSON for machines.", callback=_as_json)]
Params = Annotated[list[str] | None, typer.Option("--param", help="name=value, of what the table asks for.")]
PartitionBy = Annotated[
    list[str] | None,
    typer.Option("--partition-by", help="A column, or created_at:month: a folder of Parquet files in place of one."),
]
Since = Annotated[str | None, typer.Option(help="Only new rows: a time, a day or a number.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def workspace() -> Workspace:
    """The workspace of the environment or of the saved profile."""
    from keyturn.client.workspace import connect

    return connect()


def secret(what: str, *, variable: str, option: str, from_stdin: bool) -> str:
    """A secret from stdin, the environment or a hidden prompt, never from an argument. Raises `Invalid`."""
    if from_stdin:
        value = sys.stdin.readline().rstrip("\r\n")
        if value.lstrip().startswith("{"):
            # A key file has more than one line.
            value += sys.stdin.read().rstrip()
    elif os.environ.get(variable):
        value = os.environ[variable]
    elif sys.stdin.isatty():
        value = typer.prompt(what, hide_input=True, err=True)
    else:
        raise Invalid(f"Give the {what} on stdin with {option}, or in {variable}.", at=option)
    if not value.strip():
        raise Invalid(f"Enter the {what}.", at=option)
    redaction.remember(value)
    return value


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something stops working. Raises `Invalid` where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Invalid(f"{question} Add --yes to do it.", at="--yes")
    if not typer.confirm(question, err=True):
        terminal().say("Nothing was changed.")
        raise typer.Exit(1)


def confirm_by_name(question: str, name: str, *, yes: bool) -> bool:
    """Ask for the name to be typed; whether it was. Raises `Invalid` where nobody can be asked."""
    if yes:
        return False
    if not sys.stdin.isatty():
        raise Invalid(f"{question} Add --yes to delete it.", at="--yes")
    if typer.prompt(f"{question} Type the name to delete", err=True) != name:
        terminal().say("Nothing was changed.")
        raise typer.Exit(1)
    return True


def pairs_of(values: list[str], option: str) -> dict[str, str]:
    """`name=value` options as a mapping. Raises `Invalid`."""
    found: dict[str, str] = {}
    for value in values:
        name, sign, text = value.partition("=")
        if not sign or not name:
            raise Invalid(f"{option} takes name=value.", at=option)
        found[name] = text
    return found


def json_of(value: str | None, option: str) -> Any:
    """JSON typed as an option, or in a file named `@file`. Raises `Invalid`."""
    if value is None:
        return None
    try:
        text = Path(value[1:]).read_text("utf-8") if value.startswith("@") else value
        return json.loads(text)
    except OSError as error:
        raise Invalid(f"{option}: {value[1:]} cannot be read ({error.strerror}).", at=option) from None
    except ValueError:
        raise Invalid(f"{option} takes JSON, or @file with JSON in it.", at=option) from None


def number_or_text(value: str | None) -> int | str | None:
    """Digits as a number, anything else (`1h`) as it is: the server knows the units."""
    return int(value) if value is not None and value.strip().isdigit() else value


def given(**values: Any) -> dict[str, Any]:
    """Only what was given."""
    return {name: value for name, value in values.items() if value is not None}


def text_of(path: Path, *, at: str) -> str:
    """What is in a file, or with `-` on stdin. Raises `Invalid` where nothing can be read."""
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise Invalid(f"{path} cannot be read.", at=at) from None


def check_place(to: Path) -> None:
    """Whether a file can be written, before the work and not after it. Raises `Invalid`."""
    folder = to.parent
    if not folder.is_dir():
        raise Invalid(f"There is no folder {folder}. Make it first.", at="--to")
    if to.is_dir():
        raise Invalid(f"{to} is a folder. Name a file, for example {to}/orders.parquet.", at="--to")
    if not os.access(folder, os.W_OK):
        raise Invalid(f"The folder {folder} is not writable.", at="--to")
