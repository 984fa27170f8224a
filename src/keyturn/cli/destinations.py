"""`keyturn destinations`: databases and buckets that imports may write to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keyturn import redaction
from keyturn.cli.arguments import Json, Yes, confirm, given, secret, workspace
from keyturn.cli.terminal import terminal
from keyturn.errors import Invalid
from keyturn.model.object_stores import SCHEMES, one_line

app = typer.Typer(help="Destinations: databases and buckets that imports may write to.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The destination's name.")]
Url = "postgresql://user@host:5432/database, without the password, s3://bucket/folder, gs://bucket/folder or az://container/folder."
Endpoint = Annotated[
    str | None, typer.Option(help="Of a bucket: the server's address; Amazon's, Google's or the account's own without.")
]
Region = Annotated[str | None, typer.Option(help="S3: the bucket's region; us-east-1 without.")]
KeyId = Annotated[str | None, typer.Option("--access-key-id", help="S3: whose secret access key the password is.")]
Account = Annotated[
    str | None, typer.Option(help="Azure: the storage account; its key or a SAS token is the password.")
]
Addressing = Annotated[str | None, typer.Option(help="S3: path or host, where requests have the bucket's name.")]
Schema = Annotated[str | None, typer.Option(help="The schema that tables are made in; public without.")]
AskPassword = Annotated[bool, typer.Option("--password/--no-password", help="Whether it has a password to ask for.")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password, or a key file, from stdin.")]
KeyFile = Annotated[Path | None, typer.Option(help="Google: the key file of a service account, which is the password.")]


@app.command("list")
def list_(*, json: Json = False) -> None:
    """The databases and buckets that imports may write to."""
    out = terminal()
    with workspace() as found:
        items = list(found.destinations)
    if json:
        out.json({"data": items, "next_cursor": None})
        return
    if not items:
        out.say("No destinations yet: keyturn destinations add NAME postgresql://user@host/database")
        return
    rows = [(i["name"], i["url"], i.get("schema") or i.get("endpoint") or i.get("region") or "") for i in items]
    out.table(("NAME", "URL", "SCHEMA OR SERVER"), rows)


@app.command()
def add(
    name: Name,
    url: Annotated[str, typer.Argument(help=Url)],
    *,
    schema: Schema = None,
    endpoint: Endpoint = None,
    region: Region = None,
    access_key_id: KeyId = None,
    account: Account = None,
    addressing: Addressing = None,
    password: AskPassword = True,
    password_stdin: FromStdin = False,
    key_file: KeyFile = None,
    json: Json = False,
) -> None:
    """Make one; its password (a key, a SAS token, a key file) is asked for, sealed and never shown."""
    out = terminal()
    typed = _password(password_stdin, key_file) if password or password_stdin or key_file else None
    of_bucket = given(
        endpoint=endpoint, region=region, access_key_id=access_key_id, account=account, addressing=addressing
    )
    scheme = url.partition(":")[0].lower()
    kind = next((kind for kind, known in SCHEMES.items() if known == scheme), "postgresql")
    with workspace() as found:
        made = found.destinations.create(
            {"type": kind, **given(name=name, url=url, schema=schema, password=typed), **of_bucket}
        )
    if json:
        out.json(made)
        return
    out.good(f"Added {name}. See whether it works: keyturn destinations test {name}")


@app.command()
def edit(
    name: Name,
    *,
    url: Annotated[str | None, typer.Option(help=Url)] = None,
    schema: Schema = None,
    endpoint: Endpoint = None,
    region: Region = None,
    access_key_id: KeyId = None,
    account: Account = None,
    addressing: Addressing = None,
    password: AskPassword = False,
    password_stdin: FromStdin = False,
    key_file: KeyFile = None,
    json: Json = False,
) -> None:
    """Change it; with another address the password is needed again."""
    out = terminal()
    typed = _password(password_stdin, key_file) if password or password_stdin or key_file else None
    of_bucket = given(
        endpoint=endpoint, region=region, access_key_id=access_key_id, account=account, addressing=addressing
    )
    with workspace() as found:
        now = found.destinations.update(name, {**given(url=url, schema=schema, password=typed), **of_bucket})
    if json:
        out.json(now)
        return
    out.good(f"Saved {name}")


@app.command("test")
def try_(name: Name, *, json: Json = False) -> None:
    """Reach it, and do what an import would: make a table, or write and delete a small object."""
    out = terminal()
    with workspace() as found:
        said = found.destinations.test(name)
    if json:
        out.json(said)
        return
    out.good(f"{name}: {said['sentence']}")


@app.command()
def delete(name: Name, *, yes: Yes = False, json: Json = False) -> None:
    """Delete it; what was written stays."""
    out = terminal()
    with workspace() as found:
        confirm(f"Nothing can be imported to {name} any more.", yes=yes)
        found.destinations.delete(name)
    if json:
        out.json({"name": name, "deleted": True})
        return
    out.good(f"Deleted {name}")


def _password(from_stdin: bool, key_file: Path | None) -> str:
    if key_file is not None:
        try:
            found = key_file.read_text()
        except (OSError, ValueError):
            raise Invalid(f"{key_file} cannot be read.", at="--key-file") from None
        redaction.remember(found, one_line(found))
        return found
    return secret("password", variable="KEYTURN_PASSWORD", option="--password-stdin", from_stdin=from_stdin)
