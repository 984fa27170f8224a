"""Operator verbs: serve, demo, migrate. Each reads its configuration, says one clear sentence when it cannot start."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import structlog
import typer
import uvicorn
import uvloop

from keyturn.errors import Invalid, KeyturnError
from keyturn.server import backup_commands, key_commands, simulation_commands
from keyturn.server.app import at_work, create_app, prepare
from keyturn.server.config import Config
from keyturn.server.ground import lock_data_dir
from keyturn.server.speech import configured, stop
from keyturn.storage.database import Database
from keyturn.storage.migrate import migrate as run_migrations

log = structlog.get_logger(__name__)
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(key_commands.app, name="keys")
app.add_typer(simulation_commands.app, name="simulate")
app.command("backup")(backup_commands.backup)
app.command("restore")(backup_commands.restore)


@app.command()
def serve() -> None:
    """Serve the web UI, the HTTP API and the worker. Settings come from the environment (KEYTURN_…)."""
    config = configured()
    try:
        uvloop.run(_serve(config))
    except KeyturnError as error:
        stop(error)


@app.command()
def worker() -> None:
    """Run imports beside the servers of the same PostgreSQL, without serving pages; stop it with Ctrl+C or SIGTERM."""
    config = configured()
    if config.is_sqlite:
        stop(Invalid("On SQLite `keyturn serve` does the work itself. A worker of its own needs PostgreSQL."))
    try:
        uvloop.run(_work(config))
    except KeyturnError as error:
        stop(error)


async def _work(config: Config) -> None:
    ending = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    async with at_work(await prepare(config)):
        print("The worker runs.", flush=True)  # noqa: T201
        await ending.wait()


@app.command()
def migrate() -> None:
    """Bring the database to this version's schema and stop."""
    config = configured()
    try:
        lock = lock_data_dir(config)
        database = Database(config.database_url)
        run_migrations(database)
        database.close()
        if lock is not None:
            lock.close()
    except KeyturnError as error:
        stop(error)
    typer.echo("The database has this version's schema.")


@app.command()
def demo(
    port: Annotated[int, typer.Option(help="Keyturn's port, at http://localhost.")] = 8080,
    end_system_port: Annotated[int, typer.Option(help="The demo end system's port, at http://127.0.0.1.")] = 8081,
    data: Annotated[Path, typer.Option(help="Where everything is kept.")] = Path("keyturn-demo"),
    once: Annotated[bool, typer.Option("--once", help="Stop after the import.")] = False,
    by_hand: Annotated[bool, typer.Option("--by-hand", help="Start empty; you do every step.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Forget everything first.")] = False,
) -> None:
    """Keyturn and the demo end system side by side: the main job, performed before your eyes."""
    from keyturn.server import demonstration

    try:
        uvloop.run(
            demonstration.run(
                demonstration.Plan(port, end_system_port, data.absolute(), once=once, by_hand=by_hand, reset=reset)
            )
        )
    except KeyturnError as error:
        stop(error)
    except KeyboardInterrupt:
        typer.echo("Stopped.")


async def _serve(config: Config) -> None:
    prepared = await prepare(config)
    if prepared.setup_url is not None:
        # The code is for the operator's eyes, so it goes to the terminal and not through the logs.
        print(f"Open this page to make the first account: {prepared.setup_url}", flush=True)  # noqa: T201
    server = uvicorn.Server(server_config(create_app(prepared), config.host, config.port))
    print(f"Keyturn is at {config.public_url}", flush=True)  # noqa: T201
    await server.serve()


def server_config(asgi: object, host: str, port: int) -> uvicorn.Config:
    """How we run uvicorn everywhere: no access log (it would hold codes), no trust in forwarded headers."""
    return uvicorn.Config(
        asgi,  # pyrefly: ignore
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=20,
        lifespan="on",
    )
