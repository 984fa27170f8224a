"""`keyturn backup` and `keyturn restore`: everything into one sealed file, and back into a fresh deployment."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from keyturn.encryption import FileKeys, Keyring, KeySource, WrappedKeys, unwrap
from keyturn.errors import Conflict, Invalid, KeyturnError
from keyturn.server.config import Config
from keyturn.server.control import perform
from keyturn.server.ground import lock_data_dir
from keyturn.server.key_sources import key_services, key_source
from keyturn.server.speech import configured, say, stop
from keyturn.services import backups, restores
from keyturn.services.wrapped_keys import WrappedRow
from keyturn.storage.database import Database

Target = Annotated[Path | None, typer.Argument(help="A new file. Default keyturn-<time>.backup in this folder.")]


def backup(file: Target = None) -> None:
    """Write everything but imported files into one sealed file, while everything runs."""
    config = _configured()
    path = (file or Path(f"keyturn-{datetime.now(UTC):%Y%m%d-%H%M%S}.backup")).absolute()
    try:
        made = asyncio.run(perform(config, "backup", {"path": str(path)}, say))
    except KeyturnError as error:
        stop(error)
    print(f"✓ {made['rows']:,} rows in {made['path']}")  # noqa: T201
    say(f"It opens with key {made['fingerprint']} or the recovery key; keep one of them elsewhere.")


def restore(
    file: Annotated[Path, typer.Argument(help="A backup.")],
    *,
    recovery_key_stdin: Annotated[
        bool, typer.Option("--recovery-key-stdin", help="Open it with the recovery key, read from stdin.")
    ] = False,
    old_stopped: Annotated[
        bool, typer.Option("--old-stopped", help="The deployment that made it is stopped for good: go on in its place.")
    ] = False,
    paused: Annotated[
        bool, typer.Option("--paused", help="It still runs, or may: every connection is paused here.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Only read it to its end.")] = False,
) -> None:
    """Fill a fresh database and data folder with a backup. The server must not run yet."""
    config = _configured()
    recovery_key = sys.stdin.readline().strip() if recovery_key_stdin else None
    try:
        if check:
            _, keyring, _ = _opened(config, file, recovery_key)
            counts = backups.check(file, keyring)
        elif old_stopped == paused:
            raise _undecided(backups.look(file))
        else:
            counts = restore_file(config, file, recovery_key, paused=paused)
    except KeyturnError as error:
        stop(error)
    total = sum(counts.values())
    tables = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count and name in _TOLD)
    print(f"✓ {total:,} rows {'are whole' if check else 'restored'}: {tables}")  # noqa: T201


def restore_file(config: Config, file: Path, recovery_key: str | None, *, paused: bool) -> dict[str, int]:
    """Restore a backup. Raises `Conflict`, `Invalid`, `CannotOpen`, and leaves nothing then."""
    header, keyring, held = _opened(config, file, recovery_key)
    services, source = key_services(config), key_source(config)
    lock = lock_data_dir(config)
    database = Database(config.database_url)
    try:
        counts, settled = backups.restore(database, file, keyring, now=time.time(), paused=paused)
        if services:
            _wrap_again(WrappedKeys(services, WrappedRow(database)), keyring)
        elif held is None or set(keyring.fingerprints) - set(held.fingerprints):
            _keep(source, keyring)
    finally:
        database.close()
        if lock is not None:
            lock.close()
    _tell(settled)
    _warn(config, header)
    return counts


def _opened(config: Config, file: Path, recovery_key: str | None) -> tuple[dict[str, Any], Keyring, Keyring | None]:
    """The backup's header, the keys that open it, and those that are here."""
    header = backups.look(file)
    services = key_services(config)
    source = key_source(config)
    held = _held(source)
    if services and header.get("wrapped") and recovery_key is None:
        held = Keyring(unwrap(header["wrapped"], services))
    return header, backups.keyring_of(header, held, recovery_key), held


def _undecided(header: dict[str, Any]) -> Invalid:
    return Invalid(
        f"Is the deployment that made this backup ({header['public_url']}) stopped for good? Then add --old-stopped. "
        "If it still runs, or may, add --paused: every connection is paused here, so that the two do not import the "
        "same twice and do not take each other's sign-ins.",
        at="--old-stopped",
    )


def _tell(settled: restores.Settled) -> None:
    """What the two deployments might have done twice."""
    if settled.imports:
        say(f"{settled.imports} imports were under way and have ended: look at their destinations, then import again.")
    if settled.moments:
        say(f"{settled.moments} schedules came due since the backup: that moment is skipped here.")
    if settled.messages:
        say(f"{settled.messages} messages were waiting and are not sent: the old deployment may have sent them.")
    if settled.paused:
        say(f"{settled.paused} connections are paused. Resume each one here once the old deployment uses it no more.")


_TOLD = frozenset({"workspaces", "accounts", "oauth_clients", "connections", "grants", "tables"})


def _held(source: KeySource) -> Keyring | None:
    if isinstance(source, FileKeys) and not source.path.exists():
        return None
    return Keyring(source.read())


def _wrap_again(source: WrappedKeys, keyring: Keyring) -> None:
    """By the service of this deployment, whatever wrapped the keys where the backup was made."""
    if source.empty or not source.current(keyring):
        source.write(keyring.keys)


def _keep(source: KeySource, keyring: Keyring) -> None:
    """The keys came out of the recovery key: the server needs them where it looks."""
    if not isinstance(source, FileKeys):
        raise Conflict(
            f"The database is restored, but {source.place} lacks its key {keyring.fingerprint}. Unset it and run "
            "keyturn keys recover, or put the key there."
        )
    source.path.parent.mkdir(parents=True, exist_ok=True)
    source.write(keyring.keys)
    say(f"The keys of the backup are in {source.place} now.")


def _warn(config: Config, header: dict[str, Any]) -> None:
    if header["public_url"] != config.public_url:
        say(
            f"! It was made at {header['public_url']}, and this is {config.public_url}: the redirect URIs of all "
            "OAuth 2.0 clients change with it."
        )


def _configured() -> Config:
    config = configured(quiet="KEYTURN_LOG_LEVEL" not in os.environ)
    if config.is_sqlite and not config.data_dir.parent.exists():
        stop(Invalid(f"{config.data_dir.parent} does not exist.", at="KEYTURN_DATA_DIR"))
    return config
