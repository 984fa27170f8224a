"""Answers on their way into the database: stored once, kept if late, spilled if it is away."""

from __future__ import annotations

import asyncio

from keyturn.errors import Unavailable
from keyturn.services import access_tokens, answers, grants, upkeep
from token_server import Gate


async def stopped(acme, connection):
    """A process that has asked and stops there: its task, and what lets it go on to the answer."""
    gate = acme.server.gate = Gate()
    late = asyncio.create_task(access_tokens.fresh(acme.replica("stopped"), connection))
    await gate.reached.wait()
    acme.server.gate = None
    return late, gate.opened


async def test_a_stopped_process_that_goes_on_writes_nothing_over_and_its_answer_is_kept(acme):
    acme.server.grace_seconds = 30
    connection = await acme.signed_in()
    acme.later(4000)
    late, go_on = await stopped(acme, connection)
    acme.later(3)
    await acme.kept(acme.replica("other"))
    winner = acme.grant(connection)
    go_on.set()
    await late
    assert acme.grant(connection).access_sealed == winner.access_sealed
    states = sorted(row["state"] for row in acme.rows("token_generations"))
    assert states == ["orphan", "replaced"]


async def test_an_orphan_takes_the_place_of_a_generation_that_is_dead(acme):
    acme.server.grace_seconds = 30
    connection = await acme.signed_in()
    acme.later(4000)
    late, go_on = await stopped(acme, connection)
    acme.later(3)
    await acme.kept(acme.replica("other"))
    go_on.set()
    await late
    del acme.server.current[grants.refresh_token(acme.ctx, acme.grant(connection))]
    acme.later(4000)
    tokens = list(acme.server.current)
    await acme.kept()
    grant = acme.grant(connection)
    assert (grant.state, grant.generation) == ("active", 3)
    assert grants.refresh_token(acme.ctx, grant) in tokens
    await acme.kept()
    assert acme.grant(connection).generation == 4


async def test_the_same_access_token_until_it_expires_is_no_new_generation_and_not_asked_for_in_a_loop(acme):
    acme.server.same_token = True
    connection = await acme.signed_in()
    acme.later(3000)
    await acme.kept()
    await acme.kept()
    assert len(acme.server.posts) == 1
    grant = acme.grant(connection)
    assert grant.generation == 1
    assert grant.refresh_after == grant.access_expires_at
    assert grants.refresh_token(acme.ctx, grant) in acme.server.current


async def test_a_refresh_token_that_ends_is_used_within_80_percent_of_its_life(acme):
    acme.server.extra = {"refresh_token_expires_in": 100_000}
    connection = await acme.signed_in(life=1_000_000.0, refresh_token_expires_in_seconds=100_000)
    acme.later(69_000)
    await acme.kept()
    assert acme.server.posts == []
    acme.later(12_000)
    await acme.kept()
    assert acme.grant(connection).generation == 2


async def test_no_new_refresh_token_keeps_the_old_one(acme):
    acme.server.rotate = False
    connection = await acme.signed_in()
    for generation in (2, 3):
        acme.later(4000)
        assert (await access_tokens.fresh(acme.ctx, connection)).generation == generation
    assert len(set(acme.server.posts)) == 1


async def test_an_answer_is_stored_when_the_database_comes_back_and_spilled_meanwhile(acme, monkeypatch, tmp_path):
    connection = await acme.signed_in()
    acme.later(4000)
    tries = []

    def away(tx, ctx, answer):
        tries.append(answer)
        raise Unavailable("away")

    whole = answers.write
    monkeypatch.setattr(answers, "write", away)
    waiting = asyncio.create_task(access_tokens.fresh(acme.ctx, connection))
    await asyncio.wait({waiting}, timeout=answers._SPILL_SECONDS + 1)
    (file,) = tmp_path.glob("answers/*.json")
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"at-acme" not in file.read_bytes()
    # The process is killed here; the next start reads the file.
    monkeypatch.setattr(answers, "write", whole)
    await upkeep.come_back(acme.replica("next"))
    assert acme.grant(connection).generation == 2
    assert list(tmp_path.glob("answers/*")) == []
    await waiting
    assert [row["state"] for row in acme.rows("token_generations")] == ["replaced"]
