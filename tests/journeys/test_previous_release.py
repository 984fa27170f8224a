"""A rolling restart with a migration in its middle: the previous release's code goes on beside this one's.

The previous release is the last tag, or while there is none the commit in `previous_release.txt`; its code comes out of
this clone's history and runs in this environment. A clone without that history skips, loudly.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from world import Server, World, connect, ok, register, wait_for_import

HERE = Path(__file__).parent


def git(*words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=HERE, capture_output=True, check=True, timeout=60).stdout


@pytest.fixture(scope="session")
def previous_source(tmp_path_factory) -> Path:
    """The folder with the previous release's package."""
    folder = tmp_path_factory.mktemp("previous")
    try:
        tag = subprocess.run(["git", "describe", "--tags", "--abbrev=0"], cwd=HERE, capture_output=True, timeout=60)
        commit = tag.stdout.decode().strip() or (HERE / "previous_release.txt").read_text("utf-8").strip()
        archive = git("-C", git("rev-parse", "--show-toplevel").decode().strip(), "archive", commit, "src")
    except (OSError, subprocess.SubprocessError):
        sentence = "THE PREVIOUS RELEASE IS NOT IN THIS CLONE: rolling restarts are not tested (git fetch --unshallow)"
        pytest.skip(sentence)
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        packed.extractall(folder, filter="data")
    return folder / "src"


def uses_everything(world: World, server: Server, connection: dict, table: str, number: int) -> None:
    """Renew the grant, read, import, and write to what is there."""
    before = ok(server.api.get(f"/connections/{connection['id']}"))["generation"]
    assert ok(server.api.post(f"/connections/{connection['id']}/refresh"))["generation"] > before
    assert ok(server.api.get(f"/tables/{table}/preview?limit=5"))["columns"]
    body = {"table_id": table, "destination": {"type": "parquet", "url": f"{number}.parquet"}}
    ended = wait_for_import(server, ok(server.api.post("/imports", json=body))["id"])
    assert ended["status"] == "complete", ended
    ok(server.api.patch(f"/connections/{connection['id']}", json={"name": f"acme_{number}"}))
    assert ok(server.api.get(f"/connections/{connection['id']}"))["status"] == "healthy"


def test_a_rolling_restart_with_a_migration_in_its_middle_loses_nothing(world, empty_postgres_url, previous_source):
    old_code = {"PYTHONPATH": str(previous_source)}
    old = world.serve(database_url=empty_postgres_url, **old_code)
    connection = connect(world, old, register(world, old))
    body = {
        "connection_id": connection["id"], "name": "orders", "path": "/orders", "rows_path": "$.data",
        "pagination": {"type": "next_url", "next_url_path": "$.paging.next"}, "primary_key": ["id"],
    }  # fmt: skip
    table = ok(old.api.post("/tables", json=body))["id"]
    uses_everything(world, old, connection, table, 1)

    new = world.serve(database_url=empty_postgres_url)
    uses_everything(world, old, connection, table, 2)
    uses_everything(world, new, connection, table, 3)
    uses_everything(world, old, connection, table, 4)

    old.stop()
    uses_everything(world, new, connection, table, 5)
    assert connect(world, new, register(world, new, name="Second"), name="second")["status"] == "healthy"
