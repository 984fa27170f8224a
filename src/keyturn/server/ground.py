"""What operator commands and the server stand on alike: the data folder's lock, the keyring, a scene to act in."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO

import keyturn
from keyturn.egress import Egress, EgressSettings
from keyturn.encryption import KeySource
from keyturn.errors import Conflict
from keyturn.server.config import Config
from keyturn.server.key_sources import load_keyring
from keyturn.services.context import Context, Deployment, scene
from keyturn.storage.database import Database
from keyturn.storage.migrate import migrate


@dataclass(frozen=True, slots=True)
class Ground:
    """A scene nobody in particular acts in, where its keys come from, and the configuration."""

    scene: Context
    source: KeySource
    config: Config

    def __repr__(self) -> str:
        return f"Ground({self.config.public_url})"


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


@asynccontextmanager
async def stand(config: Config) -> AsyncIterator[Ground]:
    """Ground for one operator command, without serving: lock, migrations, keys. Raises what keeps us from it."""
    lock = await asyncio.to_thread(lock_data_dir, config)
    try:
        database = Database(config.database_url)
        try:
            await asyncio.to_thread(migrate, database)
            keyring, source = await load_keyring(config, database)
            egress = egress_of(config)
            keep_for_good()
            try:
                yield Ground(scene(database, egress, keyring, deployment_of(config)), source, config)
            finally:
                await egress.close()
        finally:
            await asyncio.to_thread(database.close)
    finally:
        if lock is not None:
            lock.close()


def keep_for_good() -> None:
    """What stands after the start stays: the garbage collector need not go through all of it again with every page."""
    gc.freeze()


def egress_of(config: Config) -> Egress:
    """The door out, as the operator set it."""
    user_agent = f"Keyturn/{keyturn.__version__}"
    return Egress(
        EgressSettings(allowed=config.allowed, user_agent=user_agent, ca_file=config.ca_file, mail=config.mail)
    )


def deployment_of(config: Config, owner: str | None = None) -> Deployment:
    """What verbs need to know of the configuration. `owner`: the name this process holds leases under."""
    return Deployment(
        public_url=config.public_url,
        data_dir=config.data_dir,
        owner=owner or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}",
        export_dirs=config.export_dirs,
        version=keyturn.__version__,
        operator=config.shown,
        sets_organisation=config.organisation is not None,
    )
