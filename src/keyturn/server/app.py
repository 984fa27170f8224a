"""Configuration in, ASGI app out: the database is migrated, the key checked, the runner started and stopped."""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import structlog
from fastapi import FastAPI

import keyturn
from keyturn import redaction
from keyturn.egress import Egress, EgressSettings
from keyturn.encryption import Keyring, key_mismatch, load_or_make_key_file
from keyturn.errors import Conflict
from keyturn.jobs.audit import AuditWriter
from keyturn.jobs.imports import ImportRunner
from keyturn.server.config import Config
from keyturn.services import access_tokens, accounts, imports
from keyturn.services.context import Deployment
from keyturn.storage import accounts as deployment_rows
from keyturn.storage.database import Database
from keyturn.storage.migrate import migrate
from keyturn.web.auth import Runtime
from keyturn.web.routes import build_routes
from keyturn.web.security import SecurityHeaders
from keyturn.web.usage import Usage

log = structlog.get_logger(__name__)
_FINGERPRINT = "key_fingerprint"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a process holds while it serves: runtime, the setup link if there is no account yet, the folder's lock."""

    runtime: Runtime
    setup_url: str | None
    lock: IO[str] | None


def lock_data_dir(config: Config) -> IO[str] | None:
    """SQLite has exactly one server process. Raises `Conflict` when another one holds the folder."""
    config.data_dir.mkdir(parents=True, exist_ok=True)
    if not config.is_sqlite:
        return None
    file = (config.data_dir / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise Conflict(
            f"Another Keyturn process uses {config.data_dir}. SQLite serves one process: stop the other one, "
            "or use PostgreSQL."
        ) from None
    return file


async def prepare(config: Config) -> Prepared:
    """Everything before the first request: lock, migrations, key, first account. Raises what keeps us from starting."""
    lock = await asyncio.to_thread(lock_data_dir, config)
    database = Database(config.database_url)
    try:
        await asyncio.to_thread(migrate, database)
        keyring = await _keyring(config, database)
        redaction.remember(config.encryption_key, config.bootstrap_password, config.bootstrap_api_token)
        made = await accounts.bootstrap(
            database,
            email=config.bootstrap_email,
            password=config.bootstrap_password,
            api_token=config.bootstrap_api_token,
            now=time.time(),
        )
    except BaseException:
        database.close()
        if lock is not None:
            lock.close()
        raise
    if config.bootstrap_email and not made:
        log.info("bootstrap_ignored", reason="an account exists")
    deployment = Deployment(
        public_url=config.public_url,
        data_dir=config.data_dir,
        owner=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}",
        export_dirs=config.export_dirs,
        version=keyturn.__version__,
    )
    egress = Egress(EgressSettings(allowed=config.allowed, user_agent=f"Keyturn/{keyturn.__version__}"))
    setup_url = None
    if await accounts.setup_needed(database):
        setup_url = f"{config.public_url}/setup?code={await accounts.new_setup_code(database)}"
    return Prepared(Runtime(database, egress, keyring, deployment, time.time), setup_url, lock)


def create_app(prepared: Prepared) -> FastAPI:
    """The ASGI app on prepared ground; its lifespan starts the import runner and waits for refreshes at the end."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:  # noqa: ARG001 - the framework's signature
        scene = prepared.runtime.scene()
        if prepared.lock is not None:
            await asyncio.to_thread(imports.remove_unfinished_files, scene)
        runner, writer = ImportRunner(scene), AuditWriter(scene, prepared.runtime.uses)
        task, writing = asyncio.create_task(runner.run()), asyncio.create_task(writer.run())
        try:
            yield
        finally:
            await runner.stop()
            await task
            await access_tokens.drain()
            await writer.stop()
            await writing
            await prepared.runtime.egress.close()
            await asyncio.to_thread(prepared.runtime.database.close)
            if prepared.lock is not None:
                prepared.lock.close()

    app = FastAPI(
        title="Keyturn",
        version=keyturn.__version__,
        description="A team's REST APIs, signed in once with OAuth 2.0, read for ever as tables.",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.keyturn = prepared.runtime
    build_routes(app)
    app.add_middleware(Usage, uses=prepared.runtime.uses)
    app.add_middleware(SecurityHeaders, public_url=prepared.runtime.deployment.public_url)
    return app


async def _keyring(config: Config, database: Database) -> Keyring:
    """The keyring, checked against what the database was sealed with. A key is made only while it is empty."""
    stored = await database.read(deployment_rows.deployment_value, _FINGERPRINT)
    place = config.data_dir / "key"
    if config.encryption_key:
        keyring: Keyring | None = Keyring.parse(config.encryption_key)
    else:
        keyring = await asyncio.to_thread(load_or_make_key_file, place, may_make=stored is None)
    if keyring is None:
        raise key_mismatch(stored=stored, given="none", place=str(place))
    if stored is None:
        await database.run(deployment_rows.set_deployment_value, _FINGERPRINT, keyring.fingerprint)
    elif stored not in keyring.fingerprints:
        raise key_mismatch(stored=stored, given=keyring.fingerprint, place=_place(config, place))
    elif stored != keyring.fingerprint:
        # The old key is still there beside a new first one: both open, the new one seals from now on.
        log.info("key_added", fingerprint=keyring.fingerprint)
    return keyring


def _place(config: Config, file: Path) -> str:
    return "KEYTURN_ENCRYPTION_KEY" if config.encryption_key else str(file)
