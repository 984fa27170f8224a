"""Loaded by the fork server alone (`forked.py`): what servers would make of themselves each time, made before they are
forked off.
"""

from __future__ import annotations

import atexit
import gc
import tempfile
from collections.abc import Mapping
from pathlib import Path

import anyio._backends._asyncio
import uvicorn.lifespan.on
import uvicorn.protocols.http.httptools_impl

import authorities
import passwords
from keyturn.storage.database import Database
from keyturn.storage.migrate import migrate
from keyturn.web import rendering, routes

assert anyio._backends._asyncio
assert uvicorn.lifespan.on
assert uvicorn.protocols.http.httptools_impl


def _first_requests() -> None:
    """What the framework makes of our routes, and the pages' templates."""
    for route in routes.included():
        route.effective_candidates()
    for name in rendering._environment.list_templates():
        rendering._environment.get_template(name)


def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keyturn.db"
        database = Database(f"sqlite:///{path}")
        migrate(database)
        database.close()
        return path.read_bytes()


passwords.cost_little()
authorities.load_once()
_first_requests()
_SCHEMA = _migrated()
# What is here stays: no collector goes through it in each of them, which costs more than all else that a start does.
gc.collect()
gc.freeze()
atexit.register(gc.unfreeze)


def put_schema(environment: Mapping[str, str]) -> None:
    """Where a server would make its SQLite database, there is one without a row."""
    folder = environment.get("KEYTURN_DATA_DIR")
    if folder is None or "KEYTURN_DATABASE_URL" in environment:
        return
    path = Path(folder) / "keyturn.db"
    if path.parent.parent.is_dir() and not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(_SCHEMA)
