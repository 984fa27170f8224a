"""Keys: rotation under load with replicas that are killed, the old key's removal, recovery, and who may start."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2
import pytest

from keyturn.encryption import AssociatedData, CannotOpen, FileKeys, Keyring, encode_key, new_key
from keyturn.storage import client_secrets, oauth_clients, sealed
from keyturn.storage.database import Database


def operate(*words: str, code: int = 0, typed: str = "", **environment: str) -> str:
    command = [sys.executable, "-m", "keyturn.main", *words]
    env = {"PATH": os.environ["PATH"], "KEYTURN_LOG_LEVEL": "warning", **environment}
    ran = subprocess.run(command, env=env, input=typed, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == code, (ran.returncode, ran.stdout, ran.stderr)
    return ran.stdout if code == 0 else ran.stderr


def keys_of(**environment: str) -> dict[str, dict]:
    return {key["fingerprint"]: key for key in json.loads(operate("keys", "list", "--json", **environment))["keys"]}


class Load:
    """Refreshes and new secrets, over and over, on every server that lives; what failed is kept."""

    def __init__(self, servers, connections, client) -> None:
        self.refreshed, self.failures = 0, []
        self._servers, self._connections, self._client = servers, connections, client
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(3)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, number: int) -> None:
        turn = number
        while not self._stop.is_set():
            turn += 1
            server = self._servers[turn % len(self._servers)]
            connection = self._connections[turn % len(self._connections)]
            try:
                answer = httpx2.post(
                    f"{server.url}/api/v1/connections/{connection['id']}/refresh",
                    headers={"Authorization": server.api.headers["Authorization"]},
                    timeout=60,
                )
            except httpx2.TransportError:
                continue  # this one was killed
            if answer.status_code == 200:
                self.refreshed += 1
            elif answer.status_code not in {409, 503}:
                self.failures.append(answer.text)


@pytest.mark.postgres
@pytest.mark.timeout(300)
def test_p3_rotation_under_load_with_three_replicas_one_of_them_killed(world, steps, postgres_url, tmp_path):
    file = tmp_path / "shared-key"
    file.write_text(encode_key(new_key()) + "\n")
    file.chmod(0o600)
    old = Keyring.of(FileKeys(file)).fingerprint
    shared = {"KEYTURN_ENCRYPTION_KEY_FILE": str(file), "KEYTURN_LOG_LEVEL": "warning"}
    servers = [world.serve(database_url=postgres_url, data="one", **shared)]
    public = servers[0].url
    servers += [world.serve(database_url=postgres_url, data=name, public=public, **shared) for name in ("two", "three")]
    client, connections = signed_in(world, steps, servers[0])
    database = Database(postgres_url)
    settings = {"KEYTURN_DATABASE_URL": postgres_url, "KEYTURN_DATA_DIR": str(tmp_path / "op"), **shared}
    many_secrets(database, steps, servers[0], Keyring.of(FileKeys(file)), 4000)
    with Load(servers, connections, client) as load:
        time.sleep(1)
        env = {"PATH": os.environ["PATH"], **settings}
        command = [sys.executable, "-m", "keyturn.main", "keys", "rotate"]
        first = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
        wait_until(lambda: 0 < database.run_now(sealed.usage_anywhere).get(old, 0) < 3500, first)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        servers[2].kill()
        left = keys_of(**settings)
        assert left[old]["values"] > 0
        assert "still opens" in operate("keys", "remove", old, code=1, **settings)
        assert len(left) == 2
        time.sleep(21)  # the killed replica is no longer waited for
        said = operate("keys", "rotate", **settings)
        assert re.search(r"secrets are wrapped by key [0-9a-f]{8}", said)
        before = load.refreshed
        wait_until(lambda: load.refreshed > before + 5)
    assert load.failures == []
    database.close()
    old_key_goes(old, settings)
    for server in servers[:2]:
        server.stop()
    fresh = world.serve(database_url=postgres_url, data="four", **shared)
    for connection in connections:
        steps.ok(fresh.api.post(f"/connections/{connection['id']}/refresh"))
        steps.ok(fresh.api.get(f"/connections/{connection['id']}/proxy/orders"))


def signed_in(world, steps, server) -> tuple[dict, list[dict]]:
    # One is killed in the middle of a refresh, which no server without a grace forgives.
    world.end_system.demo.faults.grace_seconds = 120.0
    client = steps.register(world, server)
    return client, [steps.connect(world, server, client, name=f"acme{n}") for n in range(4)]


def old_key_goes(old: str, settings: dict[str, str]) -> None:
    after = keys_of(**settings)
    assert len(after) == 2, "going on with a rotation makes no third key"
    assert after[old]["values"] == 0
    operate("keys", "remove", old, **settings)
    assert set(keys_of(**settings)) == set(after) - {old}


def many_secrets(database, steps, server, keyring: Keyring, number: int) -> None:
    """So many OAuth clients with secrets that a rotation takes a moment."""
    workspace_id = steps.ok(server.api.get("/me"))["workspace"]["id"]

    def insert(tx) -> None:
        for n in range(number):
            ad = AssociatedData(workspace_id, "oauth_clients", f"oc_{n}", "secret")
            oauth_clients.insert(
                tx,
                workspace_id,
                {
                    "id": f"oc_{n}",
                    "name_key": f"many {n}",
                    "slug": f"many-{n}",
                    "settings": {"name": f"many {n}"},
                    "version": 1,
                    "created_by": "ac_0",
                    "created_at": 0.0,
                    "updated_at": 0.0,
                },
            )
            row = {"id": f"oc_{n}", "secret_sealed": keyring.seal(f"secret {n}", ad=ad), "saved_at": 0.0}
            client_secrets.insert_first(tx, workspace_id, f"oc_{n}", row)

    database.run_now(insert)


def wait_until(what, process: subprocess.Popen | None = None, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert process is None or process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_on_sqlite_the_running_server_rotates_and_the_old_copies_are_worth_nothing(world, steps):
    server = world.serve()
    client = steps.register(world, server)
    connection = steps.connect(world, server, client)
    data = world.tmp_path / "data"
    here = {"KEYTURN_DATA_DIR": str(data)}
    old_ring = Keyring.of(FileKeys(data / "key"))
    database = Database(f"sqlite:///{data / 'keyturn.db'}")
    rows = database.run_now(
        sealed.others_anywhere, sealed.Place("grants", "refresh_sealed"), "0" * 8, after=None, limit=5
    )
    database.close()
    operate("keys", "rotate", **here)
    assert "still the one" not in operate("keys", "list", **here)
    operate("keys", "remove", old_ring.fingerprint, **here)
    new_ring = Keyring.of(FileKeys(data / "key"))
    assert new_ring.fingerprints != old_ring.fingerprints
    assert (data / "key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(CannotOpen):
        new_ring.rewrap(rows[0].value)  # a copy from before the rotation, as in a stolen dump
    steps.ok(server.api.post(f"/connections/{connection['id']}/refresh"))
    assert "is the one that seals" in operate("keys", "remove", new_ring.fingerprint, code=1, **here)
    verbs = [json.loads(line)["verb"] for line in server.api.get("/audit/export").text.splitlines()]
    assert {"deployment.keys_rotated", "deployment.key_removed"} <= set(verbs)
    server.stop()
    again = world.serve()
    steps.ok(again.api.post(f"/connections/{connection['id']}/refresh"))
    again.stop()
    assert "secrets are wrapped" in operate("keys", "rotate", **here)  # without a server, under the lock


def test_a_key_of_the_environment_is_rotated_by_its_operator(world, steps):
    old, new = encode_key(new_key()), encode_key(new_key())
    server = world.serve(KEYTURN_ENCRYPTION_KEY=old)
    connection = steps.connect(world, server, steps.register(world, server))
    here = {"KEYTURN_DATA_DIR": str(world.tmp_path / "data")}
    assert "There is no new key" in operate("keys", "rotate", code=1, **here)
    server.stop()
    server = world.serve(KEYTURN_ENCRYPTION_KEY=f"{new},{old}")
    operate("keys", "rotate", **here)
    assert "Take it out of KEYTURN_ENCRYPTION_KEY" in operate(
        "keys", "remove", Keyring.parse(old).fingerprint, code=1, **here
    )
    server.stop()
    server = world.serve(KEYTURN_ENCRYPTION_KEY_COMMAND=f"printf %s {new}")
    steps.ok(server.api.post(f"/connections/{connection['id']}/refresh"))


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"KEYTURN_ENCRYPTION_KEY": encode_key(b"w" * 32)}, "E-KEY"),
        ({"KEYTURN_ENCRYPTION_KEY": "c2hvcnQ="}, "32 bytes"),
        ({"KEYTURN_ENCRYPTION_KEY_COMMAND": "false"}, "ended with 1"),
        ({"KEYTURN_ENCRYPTION_KEY": encode_key(b"w" * 32), "KEYTURN_ENCRYPTION_KEY_COMMAND": "x"}, "Keep one"),
        ({}, "E-KEY"),
    ],
)
def test_p4_it_does_not_start_without_a_key_that_stored_secrets_need(world, steps, environment, words):
    server = world.serve()
    steps.register(world, server)
    server.stop()
    data = world.tmp_path / "data"
    (data / "key").unlink()
    said = operate("serve", code=1, KEYTURN_DATA_DIR=str(data), **environment)
    assert words in said
    assert not (data / "key").exists()


def test_a_lost_key_file_comes_back_by_the_recovery_key_even_after_a_rotation(world, steps):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    recovery_key = keep_recovery_key(server)
    data = world.tmp_path / "data"
    here = {"KEYTURN_DATA_DIR": str(data)}
    operate("keys", "rotate", **here)
    server.stop()
    (data / "key").unlink()
    assert "E-KEY" in operate("serve", code=1, **here)
    wrong = "-".join(["AAAA"] * 8)
    assert "not the recovery key" in operate("keys", "recover", "--recovery-key-stdin", code=1, typed=wrong, **here)
    operate("keys", "recover", "--recovery-key-stdin", typed=recovery_key + "\n", **here)
    again = world.serve()
    steps.ok(again.api.post(f"/connections/{connection['id']}/refresh"))


def keep_recovery_key(server) -> str:
    with httpx2.Client(base_url=server.url, headers={"Origin": server.url}, follow_redirects=True) as browser:
        browser.post("/sign-in", data={"email": "ana@example.com", "password": "correct horse battery", "next": "/"})
        page = browser.get("/setup/recovery-key").text
        key = re.search(r"(?:[A-Z2-7]{4}-){7}[A-Z2-7]{4}", page)[0]
        csrf = re.search(r'name="csrf" value="([^"]+)"', page)[1]
        answer = browser.post("/setup/recovery-key", data={"csrf": csrf, "recovery_key": key, "saved": "yes"})
        assert answer.status_code == 200, answer.text
        return key


def test_the_control_socket_is_for_its_owner_alone(world):
    world.serve()
    socket = Path(world.tmp_path / "data" / "control")
    assert socket.stat().st_mode & 0o777 == 0o600
