"""Rotation under load while everybody is killed: replicas and the rotation itself, on both databases.

`make soak` turns the keys many times over; `make test` once.
"""

from __future__ import annotations

import os
import random

import pytest

from key_storms import KeyStorm, wait_until
from world import ok

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
ROUNDS = int(os.environ.get("SOAK_ROTATIONS", "12")) if SOAK else 1
SECRETS = 4000
SEED = int(os.environ.get("SOAK_SEED", "5"))
REPLICAS = {"sqlite": 1, "postgresql": 3}


@pytest.mark.timeout(3600 if SOAK else 240)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_p3_rotation_under_load_with_every_process_killed_midway(world, request, kind):
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    storm = KeyStorm(world, url, SEED, REPLICAS[kind])
    request.addfinalizer(storm.close)
    storm.begin(SECRETS)
    chance = random.Random(SEED)
    for _ in range(ROUNDS):
        with storm.load():
            old = storm.ring.fingerprint
            killed_midway(storm, old, chance)
            rotated_among_kills(storm, chance)
            assert set(storm.usage()) == {storm.ring.fingerprint}
            storm.operate("keys", "remove", old)
            wait_until(lambda before=sum(storm.done.values()): sum(storm.done.values()) > before + 10)
        assert storm.ring.fingerprints == (storm.ring.fingerprint,) != (old,)
        assert storm.unreadable() == []
    assert storm.failures == []
    assert all(storm.done.values()), storm.done
    print(kind, "rounds", ROUNDS, "kills", storm.kills, storm.done)
    everything_works_after_a_new_start(storm)


def killed_midway(storm: KeyStorm, old: str, chance: random.Random) -> None:
    """The rotation and a replica (on SQLite: the server that rotates) end in the middle; the old key is still needed."""
    before = storm.usage()[old]
    # Far from the end: from one look to the kill many are rotated where a disk is fast.
    margin = chance.randrange(before // 20, before // 4)
    rotating, log = storm.start("keys", "rotate")
    wait_until(lambda: storm.usage().get(old, 0) < before - margin or rotating.poll() is not None)
    assert rotating.poll() is None, log.read_text()
    if storm.replicas == 1:
        storm.kill(0)
    rotating.kill()
    rotating.wait(10)
    storm.kill(chance.randrange(storm.replicas))
    assert storm.usage()[old] > 0
    assert f"Key {old} still opens" in storm.operate("keys", "remove", old, code=1)
    assert len(storm.ring.fingerprints) == 2
    storm.revive()


def rotated_among_kills(storm: KeyStorm, chance: random.Random) -> None:
    """Run it again until it is through, while each replica is killed in its turn."""
    waiting = chance.sample(range(storm.replicas), storm.replicas)
    for _ in range(20):
        rotating, log = storm.start("keys", "rotate")
        while waiting and rotating.poll() is None:
            storm.kill(waiting.pop())
            storm.revive()
        code = rotating.wait(120)
        said = log.read_text()
        if code == 0:
            assert "secrets are wrapped by key" in said
            return
        # Its server was killed, or holds the folder again already.
        assert any(words in said for words in ("ended in the middle", "Another Keyturn process")), said
    raise AssertionError("it never came through")


def everything_works_after_a_new_start(storm: KeyStorm) -> None:
    """A process that knows nothing but the key file serves every grant, and every import came to its end."""
    for at in range(1, storm.replicas):
        storm.servers[at].stop()
    server = storm.servers[0]
    for id_ in storm.imports:
        wait_until(
            lambda id_=id_: ok(server.api.get(f"/imports/{id_}"))["status"] not in {"queued", "running", "waiting"}
        )
        assert ok(server.api.get(f"/imports/{id_}"))["status"] == "complete"
    server.stop()
    fresh = storm.serve(0)
    for connection in storm.connections:
        ok(fresh.api.post(f"/connections/{connection['id']}/refresh"))
        ok(fresh.api.get(f"/connections/{connection['id']}/proxy/orders"))
