"""Backups: made under load, sealed, restored into a fresh deployment on either database, where every grant refreshes."""

from __future__ import annotations

import json
import re
import threading
import time
from pathlib import Path

import httpx2
import pytest

from operating import operate


def place(world, name: str, url: str | None) -> dict[str, str]:
    found = {"KEYTURN_DATA_DIR": str(world.tmp_path / name)}
    return found | ({"KEYTURN_DATABASE_URL": url} if url else {})


def everything(server) -> dict[str, list]:
    """What the API shows, but for what moves by itself."""
    moving = {"updated_at", "last_used_at", "status_since", "generation", "access_token_expires_at"}

    def still(value):
        if isinstance(value, dict):
            return {name: still(item) for name, item in value.items() if name not in moving}
        return [still(item) for item in value] if isinstance(value, list) else value

    routes = ("/oauth-clients", "/connections", "/tables", "/tokens")
    return {route: still(server.api.get(route).json()["data"]) for route in routes}


class Load:
    """New connections and tables, calls, imports: writes while the backup is made. Nothing that renews tokens."""

    def __init__(self, steps, server, connection) -> None:
        self.done, self._stop = 0, threading.Event()
        self._steps, self._server, self._connection = steps, server, connection
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _run(self) -> None:
        headers = {"Authorization": self._server.api.headers["Authorization"]}
        with httpx2.Client(base_url=self._server.url + "/api/v1", headers=headers, timeout=60) as api:
            while not self._stop.is_set():
                self.done += 1
                where = {"base_url": self._connection["base_url"], "auth": {"type": "none"}, "access": "only_me"}
                made = self._steps.ok(api.post("/connections", json={"name": f"load_{self.done}", **where}))
                table = {"connection_id": made["id"], "name": "t", "path": "/orders", "rows_path": "$.data"}
                self._steps.ok(api.post("/tables", json=table | {"pagination": {"type": "none"}}))
                self._steps.ok(api.get(f"/connections/{self._connection['id']}/proxy/orders"))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("other", ["same", "other"])
def test_made_under_load_and_restored_elsewhere_every_grant_refreshes(world, steps, database_url, request, other):
    sqlite = database_url.startswith("sqlite")
    here = place(world, "data", None if sqlite else database_url)
    server = world.serve(database_url=here.get("KEYTURN_DATABASE_URL"))
    client = steps.register(world, server)
    connections = [steps.connect(world, server, client, name=f"acme{n}") for n in range(3)]
    secret = {"type": "bearer", "token": "a-token-by-hand-1234567890"}
    body = {"name": "by_hand", "base_url": connections[0]["base_url"], "auth": secret, "access": "only_me"}
    steps.ok(server.api.post("/connections", json=body))
    before = everything(server)
    file = world.tmp_path / "copy.backup"
    with Load(steps, server, connections[0]) as load:
        while load.done < 3:
            time.sleep(0.02)
        operate("backup", str(file), **here)
        during = load.done
    assert load.done >= during > 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert_sealed(file.read_bytes(), client, secret)
    to_sqlite = sqlite == (other == "same")
    there = place(world, "fresh", None if to_sqlite else request.getfixturevalue("postgres_url"))
    if not to_sqlite and not sqlite and other == "same":
        assert there["KEYTURN_DATABASE_URL"] == database_url  # one per test: make it a fresh one
        there["KEYTURN_DATABASE_URL"] = fresh_postgres(request)
    refuse_wrong_ways(world, file, here, there)
    (world.tmp_path / "fresh").mkdir(exist_ok=True)
    key = (world.tmp_path / "data" / "key").read_text()
    (world.tmp_path / "fresh" / "key").write_text(key)
    (world.tmp_path / "fresh" / "key").chmod(0o600)
    server.stop()
    assert "3 grants" in operate("restore", str(file), "--old-stopped", **there)
    restored = world.serve(database_url=there.get("KEYTURN_DATABASE_URL"), data="fresh", public=server.url)
    assert_nothing_lost_or_doubled(before, everything(restored))
    for connection in connections:
        renewed = steps.ok(restored.api.post(f"/connections/{connection['id']}/refresh"))
        assert renewed["generation"] == connection["generation"] + 1
        steps.ok(restored.api.get(f"/connections/{connection['id']}/proxy/orders"))
    assert_audit_goes_on(restored)
    assert "has accounts already" in operate("restore", str(file), "--old-stopped", code=1, **there) or to_sqlite


def assert_nothing_lost_or_doubled(before: dict[str, list], after: dict[str, list]) -> None:
    for route, items in before.items():
        found = {item["id"]: item for item in after[route]}
        assert len(found) == len(after[route])
        for item in items:
            counts = {"connections": None, "tables": None}
            assert {**found[item["id"]], **counts} == {**item, **counts}


def fresh_postgres(request) -> str:
    server = request.getfixturevalue("postgres_server")
    server.psql("create database kt_restored;")
    request.addfinalizer(lambda: server.psql("drop database kt_restored with (force);"))
    return server.get_uri("kt_restored")


def assert_sealed(content: bytes, client: dict, secret: dict) -> None:
    for text in (client["client_id"], secret["token"], "ana@example.com", "acme0", "/orders"):
        assert text.encode() not in content


def refuse_wrong_ways(world, file: Path, here: dict[str, str], there: dict[str, str]) -> None:
    assert "exists already" in operate("backup", str(file), code=1, **here)
    assert "which is not here" in operate("restore", str(file), "--old-stopped", code=1, **there)
    assert "rows are whole" in operate("restore", str(file), "--check", **here)
    broken = world.tmp_path / "broken.backup"
    for content in (file.read_bytes()[:-40], file.read_bytes()[:-400] + b"x" * 400, b"KEYTURN BACKUP 1\n", b"zip"):
        broken.write_bytes(content)
        said = operate("restore", str(broken), "--check", code=1, **here)
        assert "not whole" in said or "not a Keyturn backup" in said


def assert_audit_goes_on(server) -> None:
    lines = [json.loads(line) for line in server.api.get("/audit/export").text.splitlines()]
    from keyturn.model.audit import verify

    assert verify(lines).whole
    verbs = [line["verb"] for line in lines]
    assert verbs.count("deployment.restored") == 1
    assert "connection.connected" in verbs


def test_a_running_server_keeps_its_database_to_itself(world):
    server = world.serve()
    here = place(world, "data", None)
    file = world.tmp_path / "x.backup"
    operate("backup", str(file), **here)
    assert "Another Keyturn process" in operate("restore", str(file), "--old-stopped", code=1, **here)
    server.stop()
    assert "has accounts already" in operate("restore", str(file), "--old-stopped", code=1, **here)


def test_the_recovery_key_alone_brings_everything_back(world, steps):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    key = keep_recovery_key(server)
    file = world.tmp_path / "x.backup"
    operate("backup", str(file), **place(world, "data", None))
    server.stop()
    there = place(world, "fresh", None)
    wrong = "-".join(["AAAA"] * 8) + "\n"
    assert "not the recovery key" in operate(
        "restore", str(file), "--old-stopped", "--recovery-key-stdin", code=1, typed=wrong, **there
    )
    operate("restore", str(file), "--old-stopped", "--recovery-key-stdin", typed=key + "\n", **there)
    restored = world.serve(data="fresh", public=server.url)
    steps.ok(restored.api.post(f"/connections/{connection['id']}/refresh"))


def test_a_start_without_any_account_may_be_filled_and_a_failed_restore_leaves_nothing(world, steps):
    server = world.serve()
    steps.register(world, server)
    file = world.tmp_path / "x.backup"
    operate("backup", str(file), **place(world, "data", None))
    server.stop()
    empty = {"KEYTURN_BOOTSTRAP_EMAIL": "", "KEYTURN_BOOTSTRAP_PASSWORD": "", "KEYTURN_BOOTSTRAP_API_TOKEN": ""}
    started = world.serve(data="fresh", **empty)
    started.stop()
    (world.tmp_path / "fresh" / "key").write_text((world.tmp_path / "data" / "key").read_text())
    there = place(world, "fresh", None)
    broken = world.tmp_path / "broken.backup"
    broken.write_bytes(file.read_bytes()[:-30])
    assert "not whole" in operate("restore", str(broken), "--old-stopped", code=1, **there)
    operate("restore", str(file), "--old-stopped", **there)
    restored = world.serve(data="fresh", public=server.url)
    assert [client["name"] for client in steps.ok(restored.api.get("/oauth-clients"))["data"]] == ["Demo CRM"]


def keep_recovery_key(server) -> str:
    with httpx2.Client(base_url=server.url, headers={"Origin": server.url}, follow_redirects=True) as browser:
        browser.post("/sign-in", data={"email": "ana@example.com", "password": "correct horse battery", "next": "/"})
        page = browser.get("/setup/recovery-key").text
        key = re.search(r"(?:[A-Z2-7]{4}-){7}[A-Z2-7]{4}", page)[0]
        csrf = re.search(r'name="csrf" value="([^"]+)"', page)[1]
        answer = browser.post("/setup/recovery-key", data={"csrf": csrf, "recovery_key": key, "saved": "yes"})
        assert answer.status_code == 200, answer.text
        return key
