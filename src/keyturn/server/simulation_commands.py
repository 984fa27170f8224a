"""`keyturn simulate`: proofs that anyone may repeat on their own machine."""

from __future__ import annotations

import asyncio
import json as json_module
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from keyturn.errors import Invalid, KeyturnError
from keyturn.server import logs
from keyturn.server.speech import say, stop
from keyturn.simulation.plan import Plan

app = typer.Typer(help="Proofs to repeat: refreshing under fire.", no_args_is_help=True)
_USUAL = Plan()


@app.callback()
def _simulate() -> None:
    """Proofs to repeat."""


@app.command()
def refresh(
    *,
    json: Annotated[bool, typer.Option("--json", help="JSON for machines.")] = False,
    database: Annotated[str | None, typer.Option(help="An empty PostgreSQL; else a SQLite file of its own.")] = None,
    kills: Annotated[int, typer.Option(min=0, help="How many times a process is killed.")] = _USUAL.kills,
    refreshes: Annotated[int, typer.Option(min=0, help="Go on for so many token requests.")] = _USUAL.refreshes,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 4 on PostgreSQL, 1 on SQLite.")] = 0,
    grants: Annotated[int, typer.Option(min=1, help="How many grants they use.")] = _USUAL.grants,
    grace: Annotated[float, typer.Option(help="Seconds a used refresh token is still taken.")] = _USUAL.grace_seconds,
    rotation: Annotated[bool, typer.Option(help="A new refresh token each time.")] = True,
    seconds: Annotated[float, typer.Option(help="The longest the storm may last.")] = _USUAL.seconds,
    pause: Annotated[float, typer.Option(help="Seconds between two deeds to a process.")] = _USUAL.pause_seconds,
    deadline: Annotated[float, typer.Option(help="Seconds for a token request.")] = _USUAL.deadline_seconds,
    lease: Annotated[float, typer.Option(help="Seconds of a lease.")] = _USUAL.lease_seconds,
    life: Annotated[float, typer.Option(help="Seconds an access token lives.")] = _USUAL.life_seconds,
    clock_off: Annotated[float, typer.Option(help="Seconds by which clocks are wrong.")] = _USUAL.clock_off_seconds,
    seed: Annotated[int, typer.Option(help="Where chance begins.")] = _USUAL.seed,
) -> None:
    """Renew grants against an authorization server with faults while processes are killed; judge what came of it.

    Exits with 1 when an invariant is broken.
    """
    if database is not None and not database.startswith(("postgresql://", "postgres://")):
        stop(Invalid("--database is postgresql://user:pw@host/db, an empty one."))
    if database is None and workers > 1:
        stop(Invalid("SQLite serves one process. Give an empty PostgreSQL with --database, or leave --workers out."))
    plan = Plan(
        database_url=database, workers=workers or (1 if database is None else 4), grants=grants, kills=kills,
        refreshes=refreshes, seconds=seconds, grace_seconds=grace, rotates=rotation, life_seconds=life,
        deadline_seconds=deadline, lease_seconds=lease, pause_seconds=pause, clock_off_seconds=clock_off,
        seed=seed,
    )  # fmt: skip
    raise typer.Exit(_run(plan, json=json))


def _run(plan: Plan, *, json: bool) -> int:
    from keyturn.simulation.supervisor import Supervisor

    logs.configure(log_format="text", level="warning")
    with tempfile.TemporaryDirectory(prefix="keyturn-simulation-") as folder:
        try:
            report = asyncio.run(Supervisor(plan, Path(folder), log=log_of_worker, say=say).run())
        except KeyturnError as error:
            stop(error)
    print(json_module.dumps(report.as_json(), indent=2) if json else "\n".join(report.lines()))  # noqa: T201
    return 1 if report.broken else 0


def log_of_worker() -> None:
    """A worker logs as a server does."""
    logs.configure(log_format="text", level="info")
