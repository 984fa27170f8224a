"""What grants live through in years, on both databases: each story ends in the status and the sentence people read."""

from __future__ import annotations

import asyncio
import os

import pytest

from keyturn.errors import ClientRefused, ReconnectNeeded, Unavailable
from keyturn.model.ids import new_id
from keyturn.oauth.tokens import TokenSet
from keyturn.services import access_tokens, client_secrets, connections, grants, oauth_clients
from keyturn.storage import connections as connection_rows

MANY = 10_000 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 150


async def many_signed_in(acme, count: int) -> None:
    registration = await oauth_clients.registration(acme.ctx, acme.client.id)
    first = await acme.signed_in("c0")
    settings = first.settings.model_dump(mode="json")

    def write(tx) -> None:
        for number in range(1, count):
            values = {"id": new_id("cn"), "name": f"c{number}", "oauth_client_id": acme.client.id, "owner_id": "ac_ana",
                      "settings": {**settings, "name": f"c{number}"}, "secret_sealed": None, "created_at": 0.0, "updated_at": 0.0}  # fmt: skip
            connection_rows.insert(tx, "ws_1", values)
            connection = connection_rows.get(tx, "ws_1", values["id"])
            tokens = TokenSet(f"at-{number}", "Bearer", 3600.0, acme.server.issue(f"c{number}"))
            grants.store_new(tx, acme.ctx, registration, tokens, connection=connection, account_id=None,
                             requested_at=acme.ctx.clock(), scopes_requested=["read"], account="jane@acme.example")  # fmt: skip

    await acme.ctx.database.run(write)


async def statuses(acme) -> set[tuple[str, str | None]]:
    return {(found.status, found.status_detail) for found in await connections.list_(acme.ctx)}


@pytest.mark.timeout(3600 if MANY > 1000 else 120)
async def test_an_hour_without_the_authorization_server_is_one_trouble_and_everybody_goes_on(acme):
    await many_signed_in(acme, MANY)
    acme.server.faults = [(503, {}, {"error": "temporarily_unavailable"})] * 100_000
    acme.later(2550)
    # Their time comes within some minutes.
    for _ in range(12):
        acme.later(30)
        await acme.kept()
    for _ in range(8):
        await acme.kept()
        acme.later(450)
    await acme.kept()
    assert await statuses(acme) == {("retrying", "transient")}
    # One batch before the outage was known, then one probe at a time.
    during = len(acme.server.posts)
    assert during < 120
    with pytest.raises(Unavailable) as told:
        await access_tokens.fresh(acme.ctx, await connections.get_by_name(acme.ctx, "c0"))
    assert told.value.message_code == "E-UPSTREAM"
    acme.server.faults = []
    acme.later(700)
    for _ in range(20 + MANY // 50):
        await acme.kept()
        if await statuses(acme) == {("healthy", None)}:
            break
        # A machine that is busy may send one too late, which is then tried again.
        acme.later(5)
    assert await statuses(acme) == {("healthy", None)}
    # Whoever reads has a token at once; the others take turns, so that the server that is back is not run over.
    assert (await access_tokens.fresh(acme.ctx, await connections.get_by_name(acme.ctx, "c0"))).generation == 2
    assert len(acme.server.posts) - during < 100
    slots = [await _posts_of_slot(acme) for _ in range(10)]
    assert sum(slots) > MANY - 100
    assert max(slots) < 4 * sum(slots) / len(slots)
    assert min(acme.grant(found).generation for found in await connections.list_(acme.ctx)) == 2


async def _posts_of_slot(acme) -> int:
    """Five minutes of a keeper."""
    before = len(acme.server.posts)
    for _ in range(5):
        acme.later(60)
        for _ in range(1 + MANY // 5000):
            await acme.kept()
    return len(acme.server.posts) - before


async def test_a_secret_that_expires_is_told_once_and_twelve_connections_recover_by_themselves(acme):
    made = [await acme.signed_in(f"c{number}") for number in range(12)]
    acme.server.secrets = set()
    acme.later(4000)
    await acme.kept()
    assert await statuses(acme) == {("needs_attention", "client_refused")}
    with pytest.raises(ClientRefused) as told:
        await access_tokens.fresh(acme.ctx, made[0])
    assert told.value.message_code == "E-CLIENT"
    assert [row["kind"] for row in acme.rows("notices") if row["open_key"]] == ["client_refused"]
    acme.server.secrets = {"the next one"}
    await client_secrets.replace(acme.ctx, acme.client.id, {"client_secret": "the next one"})
    await acme.kept()
    assert await statuses(acme) == {("healthy", None)}
    assert [row["kind"] for row in acme.rows("notices") if row["open_key"]] == []


async def test_an_owner_who_revokes_is_asked_to_reconnect_and_the_others_go_on(acme):
    made = [await acme.signed_in(name) for name in ("a", "b")]
    acme.server.revoked.add("a")
    acme.later(4000)
    await acme.kept()
    assert await acme.status(made[0]) == ("reconnect_needed", "revoked")
    assert await acme.status(made[1]) == ("healthy", None)
    with pytest.raises(ReconnectNeeded) as told:
        await access_tokens.fresh(acme.ctx, made[0])
    assert told.value.message_code == "E-GRANT"
    assert "Reconnect as jane@acme.example" in told.value.message
    assert (await acme.kinds(made[0]))[0] == "refresh_rejected"


async def test_a_provider_that_gives_no_new_refresh_token_works_for_years(acme):
    acme.server.rotate = False
    connection = await acme.signed_in()
    for _ in range(5):
        acme.later(4000)
        await acme.kept()
    assert acme.grant(connection).generation == 6
    assert await acme.status(connection) == ("healthy", None)
    assert len(set(acme.server.posts)) == 1


async def test_f11_a_refresh_token_that_ends_unless_it_is_used_is_used_in_time_though_nobody_reads(acme):
    day = 86400.0
    connection = await acme.signed_in(life=90 * day, refresh_token_expires_in_seconds=10 * day)
    acme.later(6.9 * day)
    await acme.kept()
    assert acme.grant(connection).generation == 1
    acme.later(1.2 * day)
    await acme.kept()
    assert acme.grant(connection).generation == 2
    assert await acme.status(connection) == ("healthy", None)


async def test_a_replica_whose_own_clock_is_two_hours_off_agrees_with_the_other(acme):
    wrong = acme.replica("wrong")
    made = await acme.signed_in()
    wall = acme.ctx.database.clock._wall
    acme.ctx.database.clock._wall = lambda: wall() - 7200
    try:
        await acme.ctx.database.look_at_clock()
        acme.later(4000)
        found = await asyncio.gather(*(access_tokens.fresh(ctx, made) for ctx in (acme.ctx, wrong)))
    finally:
        acme.ctx.database.clock._wall = wall
    assert {token.generation for token in found} == {2}
    assert len(acme.server.posts) == 1
    assert await acme.status(made) == ("healthy", None)
