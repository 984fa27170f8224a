"""Keys: rotation and removal in the running server, the operator's own keys, recovery, and who may start."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx2
import pytest

from keyturn.encryption import CannotOpen, FileKeys, Keyring, encode_key, new_key
from keyturn.storage import sealed
from keyturn.storage.database import Database
from operating import operate, remove_key


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
    remove_key(old_ring.fingerprint, **here)
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
