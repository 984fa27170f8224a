"""A state is taken once, however many come for it at the same moment."""

from __future__ import annotations

import asyncio

import pytest

from keyturn.storage import authorizations


@pytest.fixture
def attempt(database, workspaces, row):
    def write(tx) -> None:
        row(tx, "connections", id="cn_1", workspace_id="ws_a", owner_id="ac_a")
        known = {"connection_id": "cn_1", "workspace_id": "ws_a", "state_hash": "s", "verifier_sealed": b"v"}
        row(tx, "authorizations", id="au_1", status="pending", expires_at=9e9, **known)

    database.run_now(write)


async def test_b4_of_twenty_callbacks_one_gets_the_state(database, attempt):
    taken = await asyncio.gather(*(database.run(authorizations.take_anywhere, "s") for _ in range(20)))
    assert sum(row is not None for row in taken) == 1


async def test_c4_a_finished_attempt_keeps_no_secret(database, attempt):
    await database.run(authorizations.finish, "ws_a", "au_1", "failed", {"error": {}})
    row = await database.read(authorizations.get, "ws_a", "au_1")
    assert (row["verifier_sealed"], row["nonce_sealed"], row["state_hash"]) == (None, None, None)
    assert await database.read(authorizations.peek_anywhere, "s") is None


async def test_what_ended_is_pruned_and_nothing_else(database, attempt):
    assert await database.run(authorizations.prune_anywhere, 5.0) == 0
    assert await database.run(authorizations.prune_anywhere, 1e10) == 1
