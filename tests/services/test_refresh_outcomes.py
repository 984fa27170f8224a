"""What becomes of a grant on each class of outcome, on both databases."""

from __future__ import annotations

import pytest

from keyturn.errors import ReconnectNeeded, Unavailable
from keyturn.services import access_tokens, answers, oauth_clients, refreshes, renewals


async def test_invalid_grant_after_a_lost_answer_is_confirmed_once_a_minute_later_and_then_called_rotation_lost(acme):
    connection = await acme.signed_in()
    acme.later(4000)
    acme.server.faults = ["lost"]
    with pytest.raises(Unavailable) as told:
        await access_tokens.fresh(acme.ctx, connection)
    assert 55 < told.value.retry_after_seconds < 95
    assert await acme.status(connection) == ("retrying", "grant_dead")
    acme.later(95)
    await acme.kept()
    assert await acme.status(connection) == ("reconnect_needed", "rotation_lost")
    assert len(acme.server.posts) == 3
    (entry,) = [row["line"] for row in acme.rows("audit_entries") if row["verb"] == "connection.refresh_rejected"]
    assert "rotation_lost" in entry
    assert max(acme.rows("refresh_attempts"), key=lambda row: row["epoch"])["id"] in entry


async def test_a_late_answer_whose_family_was_taken_back_meanwhile_is_called_rotation_lost_too(acme):
    connection = await acme.signed_in()
    acme.later(4000)
    stopped, grant = acme.replica("stopped"), acme.grant(connection)
    lease = stopped.database.run_now(refreshes.take, stopped, connection, grant, "due")
    registration = await oauth_clients.registration(stopped, acme.client.id)
    answered = await renewals.ask(stopped, registration, grant, timeout_seconds=5)
    answer = refreshes._answer(stopped, registration, connection, grant, lease, answered, stopped.clock())
    acme.later(3)
    await acme.kept(acme.replica("other"))
    assert await acme.status(connection) == ("reconnect_needed", "rotation_lost")
    await answers.store(stopped, answer)
    assert acme.grant(connection).state == "active"
    await acme.kept()
    assert await acme.status(connection) == ("reconnect_needed", "rotation_lost")
    assert len(acme.server.posts) == 3


async def test_a_plain_invalid_grant_needs_a_person_at_once(acme):
    connection = await acme.signed_in()
    acme.later(4000)
    acme.server.revoked.add("acme")
    with pytest.raises(ReconnectNeeded):
        await access_tokens.fresh(acme.ctx, connection)
    assert await acme.status(connection) == ("reconnect_needed", "revoked")
    await acme.kept()
    assert len(acme.server.posts) == 1


async def test_an_outage_is_the_hosts_and_not_each_grants_and_one_request_probes_it(acme):
    made = [await acme.signed_in(f"c{number}") for number in range(12)]
    acme.later(4000)
    acme.server.faults = [(503, {}, {})] * 100
    for _ in range(4):
        await acme.kept()
        acme.later(31)
    assert 5 <= len(acme.server.posts) < 40
    (host,) = acme.rows("token_hosts")
    assert host["failures"] >= 5
    assert {await acme.status(connection) for connection in made} == {("retrying", "transient")}
    posts = len(acme.server.posts)
    with pytest.raises(Unavailable) as told:
        await access_tokens.fresh(acme.ctx, made[0])
    assert told.value.retry_after_seconds > 0
    acme.server.faults = []
    acme.later(700)
    await acme.kept()
    for _ in range(3):
        await acme.kept()
    assert {await acme.status(connection) for connection in made} == {("healthy", None)}
    assert len(acme.server.posts) == posts + 12


async def test_retry_after_is_honoured_in_seconds(acme):
    connection = await acme.signed_in()
    acme.later(4000)
    acme.server.faults = [(429, {"Retry-After": "43"}, {"error": "slow_down"})]
    with pytest.raises(Unavailable) as told:
        await access_tokens.fresh(acme.ctx, connection)
    assert 40 < told.value.retry_after_seconds <= 43
    await acme.kept()
    assert len(acme.server.posts) == 1
