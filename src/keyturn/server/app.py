"""Configuration in, ASGI app out: the database is migrated, the key checked, the runner started and stopped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO

import structlog
from fastapi import FastAPI

import keyturn
from keyturn import redaction
from keyturn.jobs.audit import AuditWriter
from keyturn.jobs.imports import ImportRunner
from keyturn.jobs.notices import Notifier
from keyturn.jobs.refreshes import GrantKeeper
from keyturn.jobs.replicas import Presence
from keyturn.jobs.retention import FileKeeper
from keyturn.jobs.schedules import Ticker
from keyturn.jobs.sign_ins import DevicePoller
from keyturn.server.config import Config
from keyturn.server.control import listen
from keyturn.server.ground import Ground, deployment_of, egress_of, keep_for_good, lock_data_dir
from keyturn.server.key_sources import load_keyring
from keyturn.server.owner import Owner, take_owner
from keyturn.services import accounts, export_dirs, import_runs, organisations, refreshes, upkeep
from keyturn.storage.database import Database
from keyturn.storage.migrate import migrate
from keyturn.web.auth import Runtime
from keyturn.web.routes import build_routes
from keyturn.web.security import SecurityHeaders
from keyturn.web.usage import Usage

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a process holds while it serves: runtime, the setup link if there is no account yet, locks of the folder."""

    runtime: Runtime
    setup_url: str | None
    lock: IO[str] | None
    ground: Ground
    owner: Owner


async def prepare(config: Config) -> Prepared:
    """Everything before the first request: lock, migrations, key, first account. Raises what keeps us from starting."""
    lock = await asyncio.to_thread(lock_data_dir, config)
    database = Database(config.database_url)
    try:
        await asyncio.to_thread(migrate, database)
        keyring, source = await load_keyring(config, database)
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
    await database.look_at_clock()
    owner = await asyncio.to_thread(take_owner, config.data_dir)
    deployment = deployment_of(config, owner.name)
    for folder in await export_dirs.away(deployment):
        log.warning("export_dir_away", folder=str(folder))
    egress = egress_of(config)
    setup_url = None
    if await accounts.setup_needed(database):
        setup_url = f"{config.public_url}/setup?code={await accounts.new_setup_code(database)}"
    runtime = Runtime(database, egress, keyring, deployment, database.clock)
    await organisations.keep_operators(runtime.scene(), config.organisation)
    return Prepared(runtime, setup_url, lock, Ground(runtime.scene(), source, config), owner)


@asynccontextmanager
async def at_work(prepared: Prepared) -> AsyncIterator[None]:
    """What runs by itself on prepared ground, with a web server beside it or without; at the end all is given back."""
    scene = prepared.runtime.scene()
    if prepared.lock is not None:
        await asyncio.to_thread(import_runs.free_all, scene)
    await upkeep.come_back(scene)
    runner, presence = ImportRunner(scene), Presence(scene, look_seconds=prepared.ground.source.look_seconds)
    keeper = GrantKeeper(scene)
    others = (AuditWriter(scene, prepared.runtime.uses), presence, Notifier(scene), Ticker(scene), DevicePoller(scene),
              FileKeeper(scene))  # fmt: skip
    tasks = [asyncio.create_task(job.run()) for job in others]
    task, keeping = asyncio.create_task(runner.run()), asyncio.create_task(keeper.run())
    control = await listen(prepared.ground) if prepared.lock is not None else None
    keep_for_good()
    try:
        yield
    finally:
        await runner.stop()
        await keeper.stop()
        await asyncio.gather(task, keeping)
        await refreshes.drain(scene)
        if control is not None:
            control.close()
        for job in others:
            await job.stop()
        await asyncio.gather(*tasks)
        await prepared.runtime.egress.close()
        await asyncio.to_thread(prepared.runtime.database.close)
        prepared.owner.file.close()
        if prepared.lock is not None:
            prepared.lock.close()


def create_app(prepared: Prepared) -> FastAPI:
    """The ASGI app on prepared ground; what runs by itself runs as long as it does."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:  # noqa: ARG001 - the framework's signature
        async with at_work(prepared):
            yield

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
