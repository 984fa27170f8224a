"""Access tokens that are always fresh, on both databases: free, ahead, over, and who waits."""

from __future__ import annotations

import asyncio

import pytest

from keyturn.errors import ReconnectNeeded
from keyturn.services import access_tokens
from keyturn.storage import grants as grant_rows


async def test_a_token_is_handed_out_freely_until_its_time_and_renewed_ahead_in_the_background(acme):
    connection = await acme.signed_in()
    assert (await access_tokens.fresh(acme.ctx, connection)).value == "at-acme-0"
    acme.later(3000)
    assert (await access_tokens.fresh(acme.ctx, connection)).value == "at-acme-0"
    await acme.landed()
    assert (await access_tokens.fresh(acme.ctx, connection)).generation == 2
    assert len(acme.server.posts) == 1


async def test_fifty_callers_on_three_replicas_make_one_token_request(acme):
    connection = await acme.signed_in()
    acme.later(4000)
    acme.server.delay_seconds = 0.2
    replicas = [acme.replica(f"replica-{number}") for number in range(3)]
    found = await asyncio.gather(*(access_tokens.fresh(replicas[n % 3], connection) for n in range(50)))
    assert {token.generation for token in found} == {2}
    assert len(acme.server.posts) == 1


async def test_disconnecting_drops_the_cached_grant_and_destroys_every_generation(acme):
    connection = await acme.signed_in()
    acme.later(4000)
    await access_tokens.fresh(acme.ctx, connection)
    acme.ctx.database.run_now(grant_rows.delete, acme.ctx.workspace_id, acme.grant(connection).id)
    with pytest.raises(ReconnectNeeded):
        await access_tokens.fresh(acme.ctx, connection)
    assert acme.rows("token_generations") == acme.rows("refresh_attempts") == []


@pytest.fixture
def reads(acme, monkeypatch) -> list:
    """What the database is asked for."""
    seen = []

    async def counted(fn, *arguments, **named):
        seen.append(fn)
        return await whole(fn, *arguments, **named)

    whole = acme.ctx.database.read
    monkeypatch.setattr(acme.ctx.database, "read", counted)
    return seen


async def test_a_fresh_token_costs_one_read_and_then_none_for_a_while(acme, reads):
    connection = await acme.signed_in()
    reads.clear()
    for _ in range(5):
        await access_tokens.fresh(acme.ctx, connection)
    assert reads == [grant_rows.of_connection]


async def test_callers_that_come_at_the_same_moment_share_one_look_and_take_it_from_nobody_when_they_go(acme, reads):
    connection = await acme.signed_in()
    reads.clear()
    callers = [asyncio.create_task(access_tokens.fresh(acme.ctx, connection)) for _ in range(20)]
    await asyncio.sleep(0)
    callers.pop(0).cancel()
    assert {token.generation for token in await asyncio.gather(*callers)} == {1}
    assert reads == [grant_rows.of_connection]


async def test_nobody_joins_a_look_that_began_before_a_change(acme, reads):
    connection = await acme.signed_in()
    reads.clear()
    before = asyncio.create_task(access_tokens.fresh(acme.ctx, connection))
    await asyncio.sleep(0)
    acme.ctx.database.wakeups.wake(connection.id)
    await asyncio.gather(before, access_tokens.fresh(acme.ctx, connection))
    assert reads == [grant_rows.of_connection] * 2
