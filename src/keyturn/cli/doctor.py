"""`keyturn doctor`: whether the deployment stands as it should, and what to do where it does not."""

from __future__ import annotations

import typer

from keyturn.cli import exits
from keyturn.cli.arguments import Json, workspace
from keyturn.cli.terminal import terminal

_SIGNS = {"ok": "✓", "warn": "!", "fail": "✗"}


def doctor(*, json: Json = False) -> None:
    """Look at the server, its clock, key, database, disk and backup; each trouble comes with its fix."""
    out = terminal()
    with workspace() as found:
        result = found.doctor()
    code = exits.OK if result["ok"] else exits.FAILED
    if json:
        out.json(result)
        raise typer.Exit(code)
    for check in result["checks"]:
        out.line(out.mark(_SIGNS.get(check["state"], "!"), check["message"]))
        if check["fix"]:
            out.line(f"  Fix: {check['fix']}")
    raise typer.Exit(code)
