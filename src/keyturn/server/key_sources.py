"""Which of the places that hold keys this process uses, and the keyring out of it, checked against stored values."""

from __future__ import annotations

import asyncio
import threading
from urllib.parse import urlsplit

import structlog

import keyturn
from keyturn import redaction
from keyturn.egress import AllowList, Egress, EgressSettings
from keyturn.encryption import (
    CommandKeys,
    FileKeys,
    FixedKeys,
    Keyring,
    KeyService,
    KeySource,
    WrappedKeys,
    fingerprint_of,
    key_mismatch,
    load_or_make_key_file,
    new_key,
    parse_services,
)
from keyturn.errors import Conflict, Invalid, KeyturnError
from keyturn.server.config import Config
from keyturn.services import keys
from keyturn.services.wrapped_keys import WrappedRow
from keyturn.storage import accounts as deployment_rows
from keyturn.storage.database import Database
from keyturn.wire import Request, Response

log = structlog.get_logger(__name__)
_SECONDS = 10.0


def key_source(config: Config) -> KeySource:
    """Keys without a key service: a file of the operator's, the environment, a command, or our own file."""
    if config.encryption_key_file is not None:
        return FileKeys(config.encryption_key_file)
    if config.encryption_key:
        redaction.remember(*config.encryption_key.split(","))
        return FixedKeys(config.encryption_key)
    if config.encryption_key_command:
        return CommandKeys(config.encryption_key_command)
    return FileKeys(config.data_dir / "key", ours=True)


def key_services(config: Config) -> tuple[KeyService, ...]:
    """The key services of the configuration, none without. Raises `Invalid`."""
    if config.encryption_key_service is None:
        return ()

    def token() -> str | None:
        if config.vault_token_file is None:
            return config.vault_token
        try:
            # Vault Agent renews it there.
            return config.vault_token_file.read_text("utf-8").strip() or None
        except OSError as error:
            raise Invalid(f"KEYTURN_VAULT_TOKEN_FILE cannot be read ({error.strerror}).",
                          at="KEYTURN_VAULT_TOKEN") from None  # fmt: skip

    return parse_services(config.encryption_key_service, send=lambda request: _send(config, request), token=token)


async def load_keyring(config: Config, database: Database) -> tuple[Keyring, KeySource]:
    """The keyring, checked against what stored values need. A key is made only while the database is empty."""
    services = key_services(config)
    if services:
        return await _load_wrapped(config, database, WrappedKeys(services, WrappedRow(database)))
    source = key_source(config)
    if isinstance(source, FileKeys) and source.ours:
        stored = await database.read(deployment_rows.deployment_value, keys.FINGERPRINT)
        made = await asyncio.to_thread(load_or_make_key_file, source.path, may_make=stored is None)
        if made is None:
            raise key_mismatch(stored=str(stored), given="none", place=source.place)
        keyring = made
    else:
        keyring = await asyncio.to_thread(Keyring.of, source)
    await keys.check_at_start(database, keyring, place=source.place)
    return keyring, source


async def _load_wrapped(config: Config, database: Database, source: WrappedKeys) -> tuple[Keyring, KeySource]:
    if await asyncio.to_thread(lambda: source.empty):
        stored = await database.read(deployment_rows.deployment_value, keys.FINGERPRINT)
        try:
            await asyncio.to_thread(_first, config, source, stored)
        except Conflict:
            # Another replica was a moment earlier.
            if await asyncio.to_thread(lambda: source.empty):
                raise
    keyring = await asyncio.to_thread(Keyring.of, source)
    await keys.check_at_start(database, keyring, place=source.place)
    await asyncio.to_thread(source.settle)
    return keyring, source


def _first(config: Config, source: WrappedKeys, stored: str | None) -> None:
    """Wrap the keys this deployment has had until now, or a new one while the database is empty."""
    local = key_source(config)
    if isinstance(local, FileKeys) and not local.path.exists():
        if stored is not None:
            raise key_mismatch(stored=stored, given="none", place=local.place)
        found: tuple[bytes, ...] = (new_key(),)
    else:
        found = local.read()
        if stored is not None and stored not in map(fingerprint_of, found):
            raise key_mismatch(stored=stored, given=fingerprint_of(found[0]), place=local.place)
    source.write(found)
    log.info("keys_wrapped", service=source.services[0].name, fingerprints=[fingerprint_of(key) for key in found])


def _send(config: Config, request: Request) -> Response:
    """One request to a host that the operator named, through a door of its own: no connection may reach that host."""
    parts = urlsplit(request.url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    found: list[Response | KeyturnError] = []

    async def once() -> Response:
        allowed = AllowList.parse(f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}")
        agent = f"Keyturn/{keyturn.__version__}"
        egress = Egress(EgressSettings(allowed=allowed, user_agent=agent, ca_file=config.ca_file))
        try:
            return await egress.send(request, timeout_seconds=_SECONDS, max_bytes=1024 * 1024)
        finally:
            await egress.close()

    def run() -> None:
        try:
            found.append(asyncio.run(once()))
        except KeyturnError as error:
            found.append(error)

    # A thread of its own, since the caller's may have a loop that runs.
    thread = threading.Thread(target=run, name="key-service")
    thread.start()
    thread.join()
    if not found:
        raise KeyturnError("Something of ours failed while the key service was asked; the log has more.")
    if isinstance(found[0], KeyturnError):
        raise found[0]
    return found[0]
