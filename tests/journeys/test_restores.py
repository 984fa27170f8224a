"""A backup under load, restored twice: beside the old deployment, which loses nothing by it, and in its place."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from conftest import fresh_postgres
from key_storms import KeyStorm, wait_until
from keyturn.storage.oauth_clients import oauth_clients
from world import ok


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_backup_under_load_is_tried_beside_the_old_deployment_and_then_takes_its_place(world, request, kind):
    def fresh() -> str | None:
        return fresh_postgres(request.getfixturevalue("postgres_server")) if kind == "postgresql" else None

    storm = KeyStorm(world, fresh(), 7)
    request.addfinalizer(storm.close)
    storm.begin(50)
    world.end_system.demo.faults.grace_seconds = 0.0  # each refresh token works once, for whoever comes first
    kept = storm.connections.pop()
    file = world.tmp_path / "copy.backup"
    with storm.load():
        wait_until(lambda: all(storm.done.values()))
        known = dict(storm.clients)
        storm.operate("backup", str(file))
        before = storm.done["refresh"]
        wait_until(lambda: storm.done["refresh"] > before + 6)
    assert storm.failures == []
    assert "stopped for good? Then add --old-stopped" in restore(storm, file, fresh(), code=1)
    beside(storm, file, fresh())
    for server in world.servers:
        if server.process.poll() is None:
            server.stop()
    in_its_place(storm, file, fresh(), known, kept)


def restore(storm: KeyStorm, file: Any, url: str | None, *words: str, code: int = 0) -> str:
    """Into a data folder of its own, named after how it is done, with the same key file."""
    there = KeyStorm(storm.world, url, 0, _commands=100 + len(words[0] if words else ""))
    where = {"KEYTURN_DATA_DIR": str(storm.world.tmp_path / "".join(words))}
    return there.operate("restore", str(file), *words, code=code, **where)


def beside(storm: KeyStorm, file: Any, url: str | None) -> None:
    """Both run. The restored one reads nothing and takes no refresh token from the old one."""
    assert "4 connections are paused" in restore(storm, file, url, "--paused")
    served = sum(storm.world.end_system.served.values())
    new = storm.world.serve(database_url=url, data="--paused", public=storm.public, **storm._shared)
    here = ok(new.api.get("/connections"))["data"]
    assert {item["status"] for item in here} == {"paused"}
    refused = new.api.get(f"/connections/{here[0]['id']}/proxy/orders")
    assert (refused.status_code, "Resume it first" in refused.text) == (409, True)
    assert sum(storm.world.end_system.served.values()) == served
    old = storm.servers[0]
    for connection in storm.connections:
        ok(old.api.post(f"/connections/{connection['id']}/refresh"))


def in_its_place(storm: KeyStorm, file: Any, url: str | None, known: dict[str, str], kept: dict) -> None:
    """What was stored before the backup is there once and opens; who has to reconnect is told why."""
    restore(storm, file, url, "--old-stopped")
    new = storm.world.serve(database_url=url, data="--old-stopped", public=storm.public, **storm._shared)
    there = KeyStorm(storm.world, url or f"sqlite:///{storm.world.tmp_path / '--old-stopped' / 'keyturn.db'}", 0)
    there.workspace_id, there.clients = storm.workspace_id, known
    assert there.unreadable() == []
    names = there.read(lambda tx: tx.execute(sa.select(oauth_clients.c.name_key)).scalars().all())
    assert len(names) == len(set(names)) >= len(known)
    there.close()
    assert ok(new.api.post(f"/connections/{kept['id']}/refresh"))["status"] == "healthy"
    ok(new.api.get(f"/connections/{kept['id']}/proxy/orders"))
    for connection in storm.connections:
        refused = new.api.post(f"/connections/{connection['id']}/refresh")
        assert (refused.status_code, refused.json()["code"]) == (409, "reconnect_needed"), refused.text
        told = ok(new.api.get(f"/connections/{connection['id']}/events"))["data"]
        assert {"restored", "refresh_rejected"} <= {event["kind"] for event in told}
        assert ok(new.api.get(f"/connections/{connection['id']}"))["status"] == "reconnect_needed"
    for item in ok(new.api.get("/imports?limit=100"))["data"]:
        assert item["status"] in {"complete", "failed"}
