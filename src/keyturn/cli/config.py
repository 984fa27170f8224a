"""`keyturn config`: clients, connections and tables as a TOML file without secrets: export, plan, apply."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keyturn import redaction
from keyturn.cli import words
from keyturn.cli.arguments import Json, Yes, confirm, workspace
from keyturn.cli.terminal import terminal
from keyturn.errors import Invalid

if TYPE_CHECKING:
    from keyturn.client.config import Change

app = typer.Typer(help="Clients, connections and tables as a file.", no_args_is_help=True)
File = Annotated[Path, typer.Argument(help="A file of `keyturn config export`.")]
Prune = Annotated[bool, typer.Option("--prune", help="Delete what the file does not name.")]
_SIGNS = {"create": "+", "change": "~", "delete": "-"}


@app.command()
def export(
    to: Annotated[Path | None, typer.Option(help="A file to write; stdout without it.")] = None,
) -> None:
    """The workspace as TOML. No secret is in it; apply asks for those it needs."""
    out = terminal()
    with workspace() as found:
        text = found.config.export()
    if to is None:
        out.line(text.rstrip("\n"))
        return
    try:
        to.write_text(text, "utf-8")
    except OSError as error:
        raise Invalid(f"{to} cannot be written ({error.strerror}).", at="--to") from None
    out.say(f"Written to {to}")


@app.command()
def plan(file: File, *, prune: Prune = False, json: Json = False) -> None:
    """What apply would do; nothing is changed."""
    text = _read(file)
    with workspace() as found:
        changes = found.config.plan(text, prune=prune)
    _show(changes, json=json)


@app.command()
def apply(
    file: File,
    *,
    prune: Prune = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Make the workspace as the file says. Secrets come from KEYTURN_SECRET_<NAME>, or are asked for."""
    from keyturn.client.config import parse

    text = _read(file)
    with workspace() as found:
        changes = found.config.plan(text, prune=prune)
        if dry_run or not changes:
            _show(changes, json=json)
            return
        if not json:
            _show(changes, json=False)
        confirm(f"{words.count(len(changes), 'change')} to the workspace.", yes=yes)
        _check_secrets(changes)
        found.config.apply(changes, parse(text), _secret_of)
    if json:
        _show(changes, json=True)
    else:
        terminal().say(f"Done: {words.count(len(changes), 'change')}. Connections without a sign-in: "
                       "keyturn connections connect NAME")  # fmt: skip


def _show(changes: list[Change], *, json: bool) -> None:
    out = terminal()
    if json:
        told = [
            {
                "kind": c.kind,
                "noun": c.noun,
                "name": c.name,
                "fields": sorted(c.fields),
                "needs_secret": c.needs_secret,
                "missing_secrets": list(c.missing_secrets),
                "refused": c.refused or None,
            }
            for c in changes
        ]
        out.json({"data": told, "next_cursor": None})
        return
    if not changes:
        out.good("The workspace is as the file says")
    for change in changes:
        fields = f" ({', '.join(change.fields)})" if change.kind == "change" else ""
        asks = f", asks for {variable_of(change)}" if change.needs_secret else ""
        lacks = (
            f", names a secret that is missing: {', '.join(change.missing_secrets)}" if change.missing_secrets else ""
        )
        refused = f", will be refused: {change.refused}" if change.refused else ""
        out.line(f"{_SIGNS[change.kind]} {change.noun} {change.name}{fields}{asks}{lacks}{refused}")
    if missing := [name for change in changes for name in change.missing_secrets]:
        out.say(f"First: keyturn secrets set {missing[0]} --host HOST")


def variable_of(change: Change) -> str:
    """The environment variable its secret may come from."""
    return "KEYTURN_SECRET_" + re.sub(r"[^A-Z0-9]+", "_", change.name.upper()).strip("_")


def _check_secrets(changes: list[Change]) -> None:
    missing = [variable_of(c) for c in changes if c.needs_secret and not os.environ.get(variable_of(c))]
    if missing and not sys.stdin.isatty():
        raise Invalid(f"Nothing was changed. These secrets are needed in the environment: {', '.join(missing)}.",
                      at=missing[0])  # fmt: skip


def _secret_of(change: Change) -> str:
    value = os.environ.get(variable_of(change)) or typer.prompt(
        f"Secret of {change.noun} {change.name}", hide_input=True, err=True
    )
    redaction.remember(value)
    return str(value)


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise Invalid(f"{file} cannot be read ({reason}).", at="FILE") from None
