"""`keyturn keys`: which keys are in use, rotate to a new one while everything runs, remove an old one, recover."""

from __future__ import annotations

import asyncio
import base64
import json as json_module
import os
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from keyturn import redaction
from keyturn.encryption import FileKeys, unwrap_keyring
from keyturn.errors import Conflict, Invalid, KeyturnError
from keyturn.server.config import Config
from keyturn.server.control import perform
from keyturn.server.ground import lock_data_dir
from keyturn.server.key_sources import key_source
from keyturn.server.speech import configured, say, stop
from keyturn.services import recovery
from keyturn.storage.database import Database
from keyturn.storage.migrate import migrate

app = typer.Typer(help="Encryption keys: list, rotate, remove, recover.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="JSON for machines.")]


@app.command("list")
def list_(*, json: Json = False) -> None:
    """Every key by its fingerprint, with the number of stored secrets it opens."""
    found = _perform("keys.list", {})
    if json:
        print(json_module.dumps(found, indent=2))  # noqa: T201
        return
    for key in found["keys"]:
        state = "seals" if key["seals"] else "opens" if key["held"] else "MISSING"
        print(f"{key['fingerprint']}  {state:8}  {key['values']:,} secrets")  # noqa: T201
    say(f"Keys come from {found['place']}.")


@app.command()
def rotate(*, json: Json = False) -> None:
    """Wrap every stored secret with a new key, while everything runs. Killed midway, run it again: it goes on."""
    done = _perform("keys.rotate", {})
    if json:
        print(json_module.dumps(done, indent=2))  # noqa: T201
        return
    print(f"✓ {done['values']:,} secrets are wrapped by key {done['fingerprint']} now")  # noqa: T201
    for fingerprint in done["unused"]:
        say(f"Nothing needs key {fingerprint} any more, but older backups: keyturn keys remove {fingerprint}")
    if done["damaged"]:
        say(f"! {done['damaged']} secrets open with no key that is here and were left as they are.")
    if not done["recovery_key"]:
        say("! There is no recovery key yet. A Workspace Admin can make one under Settings.")


@app.command()
def remove(fingerprint: Annotated[str, typer.Argument(help="The key's fingerprint, as list says it.")]) -> None:
    """Take an old key away for good; refused while a stored secret or a replica needs it."""
    _perform("keys.remove", {"fingerprint": fingerprint})
    print(f"✓ Key {fingerprint} is gone")  # noqa: T201


@app.command()
def recover(
    *,
    recovery_key_stdin: Annotated[bool, typer.Option("--recovery-key-stdin", help="Read it from stdin.")] = False,
) -> None:
    """Write the key file anew with the recovery key, after it was lost. The server must be stopped."""
    config = configured()
    try:
        key = sys.stdin.readline() if recovery_key_stdin else typer.prompt("Recovery key", hide_input=True, err=True)
        fingerprints = recover_keys(config, key.strip())
    except KeyturnError as error:
        stop(error)
    print(f"✓ The key file is back: {', '.join(fingerprints)}")  # noqa: T201


def recover_keys(config: Config, recovery_key: str) -> tuple[str, ...]:
    """Unwrap the stored keyring into the data folder's key file. Raises `CannotOpen`, `Conflict`, `Invalid`."""
    redaction.remember(recovery_key)
    if config.encryption_key_service is not None:
        raise Invalid("Unset KEYTURN_ENCRYPTION_KEY_SERVICE for this: it writes the keys to the key file.",
                      at="KEYTURN_ENCRYPTION_KEY_SERVICE")  # fmt: skip
    source = key_source(config)
    if not isinstance(source, FileKeys):
        raise Invalid(f"Keys come from {source.place} here, so there is no file to write.", at="KEYTURN_ENCRYPTION_KEY")
    lock = lock_data_dir(config)
    database = Database(config.database_url)
    try:
        migrate(database)
        stored = database.run_now(recovery.stored)
        if stored is None:
            raise Conflict("This deployment has no recovery key. Put the old key file back, or restore a backup.")
        keyring = unwrap_keyring(base64.b64decode(stored["wrapped"]), recovery_key)
        config.data_dir.mkdir(parents=True, exist_ok=True)
        source.write(keyring.keys)
    finally:
        database.close()
        if lock is not None:
            lock.close()
    return keyring.fingerprints


def _perform(verb: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    config = configured(quiet="KEYTURN_LOG_LEVEL" not in os.environ)
    try:
        return asyncio.run(perform(config, verb, arguments, say))
    except KeyturnError as error:
        stop(error)
