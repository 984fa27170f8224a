"""A refresh from the lease to the answer, on both databases, whoever crashes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keyturn.errors import Unavailable
from keyturn.services import access_tokens, refreshes, upkeep


async def test_an_attempt_is_written_down_before_it_is_sent_and_the_replaced_generation_is_kept(acme):
    connection = await acme.signed_in()
    before = acme.grant(connection)
    acme.later(4000)
    await access_tokens.fresh(acme.ctx, connection)
    (attempt,) = acme.rows("refresh_attempts")
    assert (attempt["stage"], attempt["outcome"], attempt["from_generation"], attempt["purpose"]) == (
        "committed",
        "ok",
        1,
        "due",
    )
    assert acme.server.posts[0] not in attempt["token_hash"]
    (kept,) = acme.rows("token_generations")
    assert (kept["state"], kept["generation"], kept["access_sealed"]) == ("replaced", 1, before.access_sealed)


async def test_a_lost_answer_is_asked_for_again_at_once_with_the_same_token(acme):
    acme.server.grace_seconds = 30
    connection = await acme.signed_in()
    acme.later(4000)
    acme.server.faults = ["lost"]
    assert (await access_tokens.fresh(acme.ctx, connection)).generation == 2
    assert acme.server.posts[0] == acme.server.posts[1]
    assert [row["stage"] for row in sorted(acme.rows("refresh_attempts"), key=lambda row: row["epoch"])] == [
        "unknown",
        "committed",
    ]


async def test_an_attempt_of_a_dead_replica_is_sent_again_with_the_same_token_once_its_lease_is_over(acme):
    acme.server.grace_seconds = 30
    connection = await acme.signed_in()
    acme.later(4000)
    lease = await acme.crashed(connection)
    await acme.kept()
    assert len(acme.server.posts) == 1
    acme.later(3)
    await acme.kept()
    assert acme.server.posts[0] == acme.server.posts[1]
    assert acme.grant(connection).generation == 2
    assert await acme.status(connection) == ("healthy", None)
    stages = {row["id"]: row["stage"] for row in acme.rows("refresh_attempts")}
    assert stages.pop(lease.attempt_id) == "unknown"
    assert list(stages.values()) == ["committed"]


async def test_without_grace_a_crash_between_their_commit_and_ours_is_rotation_lost_at_once(acme):
    connection = await acme.signed_in()
    acme.later(4000)
    await acme.crashed(connection)
    acme.later(3)
    await acme.kept()
    assert await acme.status(connection) == ("reconnect_needed", "rotation_lost")


async def test_a_process_that_comes_back_takes_its_own_leases_at_once(acme):
    acme.server.grace_seconds = 30
    connection = await acme.signed_in()
    acme.later(4000)
    await acme.crashed(connection)
    again = acme.replica("dead")
    await upkeep.come_back(again)
    await acme.kept(again)
    assert acme.grant(connection).generation == 2


async def test_a_lease_that_is_too_short_for_an_answer_sends_nothing(acme):
    connection = await acme.signed_in()
    acme.later(4000)
    lease = acme.ctx.database.run_now(refreshes.take, acme.ctx, connection, acme.grant(connection), "due")
    stale = replace(lease, taken_at=lease.taken_at - 1.5)
    await refreshes.under(acme.ctx, connection, acme.grant(connection), stale)
    assert acme.server.posts == []
    assert acme.rows("refresh_attempts")[0]["outcome"] == "not_sent"


async def test_a_refresh_of_which_every_process_dies_is_tried_more_and_more_seldom(acme):
    connection = await acme.signed_in()
    acme.server.grace_seconds = 3600.0
    acme.later(4000)
    for _ in range(8):
        await acme.crashed(connection, answered=False)
        acme.later(60)
    posts = len(acme.server.posts)
    await acme.kept()
    assert len(acme.server.posts) == posts
    assert acme.grant(connection).next_attempt_at > acme.ctx.clock()
    with pytest.raises(Unavailable):
        await access_tokens.fresh(acme.ctx, connection)
    acme.later(300)
    await acme.kept()
    assert len(acme.server.posts) == posts + 1
    assert await acme.status(connection) == ("healthy", None)


async def test_a_grant_whose_token_may_be_spent_does_not_wait_for_its_host_while_the_grace_runs(acme):
    acme.server.grace_seconds = 30
    spent, others = await acme.signed_in("spent"), [await acme.signed_in(f"c{n}") for n in range(6)]
    acme.later(4000)
    # Twice lost: the server has spent the token and nobody knows its successor.
    acme.server.faults = ["lost", "lost"]
    with pytest.raises(Unavailable):
        await access_tokens.fresh(acme.ctx, spent)
    acme.server.faults = [(503, {}, {"error": "temporarily_unavailable"})] * 5
    for connection in others[:5]:
        with pytest.raises(Unavailable):
            await access_tokens.fresh(acme.ctx, connection)
    assert acme.rows("token_hosts")[0]["open_until"] is not None
    acme.server.faults = []
    acme.later(4)
    await acme.kept()
    assert acme.grant(spent).generation == 2


async def test_a_lost_answer_then_a_busy_host_is_still_asked_for_within_the_grace(acme):
    acme.server.grace_seconds = 30
    connection = await acme.signed_in()
    acme.later(4000)
    busy = (503, {}, {"error": "temporarily_unavailable"})
    acme.server.faults = ["lost", busy, busy, busy]
    with pytest.raises(Unavailable):
        await access_tokens.fresh(acme.ctx, connection)
    for _ in range(3):
        acme.later(4)
        await acme.kept()
    assert acme.grant(connection).generation == 2


async def test_after_some_tries_a_lost_answer_waits_as_everything_else_does(acme):
    connection = await acme.signed_in()
    acme.later(4000)
    acme.server.faults = ["reset"] * 100
    with pytest.raises(Unavailable):
        await access_tokens.fresh(acme.ctx, connection)
    for _ in range(60):
        acme.later(4)
        await acme.kept()
    # Each few seconds for a minute, and then as everything else.
    assert len(acme.server.posts) < 50
    assert acme.grant(connection).attempts > 5
    acme.server.faults = []
    acme.later(1300)
    await acme.kept()
    assert await acme.status(connection) == ("healthy", None)
