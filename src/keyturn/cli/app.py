"""The command line: every user verb in one place, and the one way in which errors become words and exit codes."""

from __future__ import annotations

import os
import sys
from copy import copy
from typing import Any

import typer

from keyturn import __version__, redaction
from keyturn.cli import (
    api_tokens,
    audit,
    client_keys,
    config,
    connect_links,
    copies,
    destinations,
    doctor,
    exits,
    imports,
    members,
    notices,
    organisations,
    previews,
    profile,
    schedules,
    secrets,
    settings,
    shares,
    sql,
    tables,
    webhooks,
    workspaces,
)
from keyturn.cli.terminal import Terminal, begin, clean
from keyturn.errors import ClientRefused, IncompleteData, KeyturnError, Problem, ReconnectNeeded, Unauthenticated

app = typer.Typer(
    name="keyturn",
    help="A team's REST APIs, signed in once with OAuth 2.0, read for ever as tables.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("login")(profile.login)
app.command("doctor")(doctor.doctor)
app.add_typer(client_keys.app, name="clients")
app.add_typer(shares.app, name="connections")
app.add_typer(connect_links.app, name="connect-links")
app.add_typer(tables.app, name="tables")
tables.app.command("copy")(copies.copy)
app.command("preview")(previews.preview)
app.command("import")(imports.import_)
app.command("sql")(sql.sql)
app.add_typer(imports.app, name="imports")
app.add_typer(schedules.app, name="schedules")
app.add_typer(destinations.app, name="destinations")
app.add_typer(api_tokens.app, name="tokens")
app.add_typer(audit.app, name="audit")
app.add_typer(config.app, name="config")
app.add_typer(members.app, name="members")
app.add_typer(workspaces.app, name="workspaces")
app.add_typer(notices.app, name="notices")
app.add_typer(secrets.app, name="secrets")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(organisations.app, name="organisation")
app.add_typer(settings.app, name="settings")


def _version(value: bool) -> None:
    if value:
        typer.echo(f"keyturn {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *, version: bool = typer.Option(False, "--version", help="Say the version.", callback=_version, is_eager=True)
) -> None:
    """A team's REST APIs, signed in once with OAuth 2.0, read for ever as tables."""


def run(arguments: list[str] | None = None) -> int:
    """Run one command line and answer its exit code; nothing of Python's own is ever printed."""
    out = begin()
    arguments = sys.argv[1:] if arguments is None else arguments
    # An error can come before the option is read, and machines want it as JSON then too.
    out.as_json = "--json" in arguments
    try:
        _only(arguments)(args=arguments, prog_name="keyturn", standalone_mode=True)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else exits.FAILED
    except KeyturnError as error:
        return _told(out, error)
    except Exception as error:
        if os.environ.get("KEYTURN_LOG_LEVEL", "").lower() == "debug":
            raise
        words = redaction.text(error, limit=300)
        out.bad(f"Something of ours failed ({type(error).__name__}: {words}). KEYTURN_LOG_LEVEL=debug shows where.")
        return exits.FAILED
    return exits.OK


def _only(arguments: list[str]) -> typer.Typer:
    """The command line with nothing but the verb that is asked for, if it is one: reading all signatures takes time."""
    verb = next(iter(arguments), None)
    commands = [item for item in app.registered_commands if item.name == verb]
    groups = [item for item in app.registered_groups if item.name == verb]
    if not commands and not groups:
        return app
    only = copy(app)
    only.registered_commands, only.registered_groups = commands, groups
    return only


def _told(out: Terminal, error: KeyturnError) -> int:
    """Say an error on stderr."""
    try:
        if out.as_json:
            out.say(_as_json(error))
        else:
            _in_words(out, error)
    except typer.Exit:
        return exits.of(error)
    return exits.of(error)


def _in_words(out: Terminal, error: KeyturnError) -> None:
    problems: tuple[Problem, ...] = getattr(error, "problems", ())
    code = f"{error.message_code} " if error.message_code else ""
    lone = problems[0].at if len(problems) == 1 and problems[0].message == error.message else ""
    at = f"{lone}: " if lone and not lone.startswith("-") and lone not in error.message else ""
    sign = "!" if isinstance(error, IncompleteData) else "✗"
    out.say(out.mark(sign, f"{code}{at}{redaction.text(error.message)}", err=True))
    if not lone:
        for problem in problems:
            out.say(f"  {clean(problem.at)}: {clean(redaction.text(problem.message))}")
    if fix := _fix(error):
        out.say(f"  Fix: {clean(fix)}")


def _as_json(error: KeyturnError) -> str:
    import json

    problems: tuple[Problem, ...] = getattr(error, "problems", ())
    body: dict[str, Any] = {"code": error.code, "message": redaction.text(error.message), "exit_code": exits.of(error)}
    if error.message_code:
        body["message_code"] = error.message_code
    if problems:
        body["errors"] = [{"at": item.at, "message": redaction.text(item.message)} for item in problems]
    if fix := _fix(error):
        body["fix"] = fix
    return json.dumps({"error": {**redaction.fields(error.details), **body}}, default=str)


def _fix(error: KeyturnError) -> str | None:
    if isinstance(error, ReconnectNeeded):
        return error.fix
    if isinstance(error, ClientRefused):
        return f"keyturn clients replace-secret {error.details.get('oauth_client') or 'NAME'}"
    if isinstance(error, Unauthenticated) and "keyturn login" not in error.message:
        return "keyturn login URL, or set KEYTURN_TOKEN to an API token that is valid"
    if error.details.get("dependents"):
        return "delete or move what uses it first, or add --force"
    if error.code == "internal" and error.details.get("request_id"):
        return f"the server's log has more under request {error.details['request_id']}"
    return None
