from __future__ import annotations

import asyncio
import itertools
import threading

import pytest
from argon2 import extract_parameters

from keyturn.errors import Invalid, LimitReached, NotFound, Unauthenticated
from keyturn.model.accounts import Member
from keyturn.services import accounts, sessions
from keyturn.storage import accounts as rows
from keyturn.storage import members as member_rows
from keyturn.storage.database import Database
from passwords import PRODUCTION

PASSWORD = "correct horse battery"
NOW = 1_800_000_000.0


@pytest.fixture
async def ana(database) -> Member:
    await accounts.bootstrap(database, email="ana@example.com", password=PASSWORD, api_token=None, now=NOW)
    return await accounts.verify_password(database, "ana@example.com", PASSWORD, now=NOW)


async def test_r1_a_session_ends_when_idle_and_at_its_absolute_limit(database, ana):
    cookie, _ = await sessions.start(database, ana, user_agent="x", now=NOW)
    assert await sessions.find(database, cookie, now=NOW + sessions.IDLE_SECONDS - 1)
    assert await sessions.find(database, cookie, now=NOW + 2 * sessions.IDLE_SECONDS - 2), "it was seen meanwhile"
    assert await sessions.find(database, cookie, now=NOW + 4 * sessions.IDLE_SECONDS) is None
    cookie, _ = await sessions.start(database, ana, user_agent="x", now=NOW)
    for week in range(1, 10):
        found = await sessions.find(database, cookie, now=NOW + week * 6 * 86400)
        assert (found is not None) == (week * 6 * 86400 < sessions.ABSOLUTE_SECONDS)


async def test_the_browsers_are_listed_and_ended_one_by_one_or_all(database, ana):
    cookies = [(await sessions.start(database, ana, user_agent=f"b{n}", now=NOW + n))[0] for n in range(3)]
    found = await sessions.list_(database, ana.account_id, now=NOW + 5)
    assert [browser.user_agent for browser in found] == ["b2", "b1", "b0"]
    assert cookies[2] not in repr(found)
    await sessions.end_one(database, ana, found[1].id, now=NOW + 5)
    assert await sessions.find(database, cookies[1], now=NOW + 5) is None
    assert await sessions.find(database, cookies[2], now=NOW + 5)
    with pytest.raises(NotFound):
        await sessions.end_one(database, ana, found[1].id, now=NOW + 5)
    assert await sessions.end_all(database, ana.account_id) == 2
    assert await sessions.list_(database, ana.account_id, now=NOW + 5) == []


async def test_of_too_many_browsers_the_one_not_used_for_longest_goes(database, ana):
    cookies = [
        (await sessions.start(database, ana, user_agent=f"b{n}", now=NOW + n))[0]
        for n in range(sessions.SESSIONS_MOST + 2)
    ]
    assert len(await sessions.list_(database, ana.account_id, now=NOW + 60)) == sessions.SESSIONS_MOST
    assert [await sessions.find(database, cookie, now=NOW + 60) is None for cookie in cookies[:3]] == [
        True,
        True,
        False,
    ]


async def test_a_dangerous_change_wants_the_password_typed_lately(database, ana):
    cookie, _ = await sessions.start(database, ana, user_agent="x", now=NOW)
    later = NOW + sessions.PROVED_SECONDS + 1
    session = await sessions.find(database, cookie, now=later)
    assert sessions.is_proved(session, now=NOW + 60)
    assert not sessions.is_proved(session, now=later)
    with pytest.raises(Invalid):
        await sessions.check_password(database, session, "not it at all", now=later)
    await sessions.check_password(database, session, PASSWORD, now=later)
    await sessions.proved(database, session, now=later)
    assert sessions.is_proved(await sessions.find(database, cookie, now=later), now=later)


async def test_a_session_moves_to_another_workspace_of_the_person_only(database, ana):
    cookie, _ = await sessions.start(database, ana, user_agent="x", now=NOW)
    session = await sessions.find(database, cookie, now=NOW)
    from keyturn.model.accounts import Workspace

    for workspace_id in ("ws_b", "ws_c"):
        await database.run(rows.insert_workspace, Workspace(workspace_id, workspace_id), NOW)
    await database.run(rows.insert_member, "ws_b", ana.account_id, "viewer", NOW)
    assert (await sessions.switch(database, session, "ws_b")).role == "viewer"
    assert (await sessions.find(database, cookie, now=NOW)).member.workspace_id == "ws_b"
    with pytest.raises(NotFound):
        await sessions.switch(database, session, "ws_c")
    await database.run(member_rows.delete, "ws_b", ana.account_id)
    assert await sessions.find(database, cookie, now=NOW) is None, "it ends with the membership"


async def test_r6_tries_are_counted_across_replicas_also_side_by_side(database, database_url, ana):
    other = Database(database_url)
    try:
        tries = [
            accounts.verify_password([database, other][n % 2], "ana@example.com", "wrong", now=NOW) for n in range(20)
        ]
        outcomes = [type(error) for error in await asyncio.gather(*tries, return_exceptions=True)]
        assert outcomes.count(LimitReached) == 20 - accounts.TRIES
        for replica in (database, other):
            with pytest.raises(LimitReached):
                await accounts.verify_password(replica, "ana@example.com", PASSWORD, now=NOW + 30)
        await accounts.verify_password(other, "ana@example.com", PASSWORD, now=NOW + 61)
    finally:
        other.close()


async def test_who_has_no_account_is_refused_in_the_same_words_at_the_cost_of_a_real_hash(database, ana):
    with pytest.raises(Unauthenticated) as nobody:
        await accounts.verify_password(database, "nobody@example.com", PASSWORD, now=NOW)
    with pytest.raises(Unauthenticated) as wrong:
        await accounts.verify_password(database, "ana@example.com", "wrong", now=NOW)
    assert nobody.value.message == wrong.value.message
    assert extract_parameters(accounts._hash_of_nobody()) == extract_parameters(await accounts.hashed(PASSWORD))


async def test_in_production_a_hash_costs_what_rfc_9106_recommends(monkeypatch):
    monkeypatch.setattr(accounts, "_hasher", PRODUCTION)
    found = await accounts.hashed(PASSWORD)
    assert found.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert await accounts._verified(found, PASSWORD)
    assert not await accounts._verified(found, f"{PASSWORD}!")
    assert extract_parameters(accounts._hash_of_nobody()) == extract_parameters(found)


async def refused(task: asyncio.Task) -> bool:
    try:
        await asyncio.shield(task)
    except LimitReached:
        return True
    except Unauthenticated:
        return False
    return False


async def test_r11_a_flood_of_sign_ins_is_refused_instead_of_queued(database, ana):
    busy = threading.Event()
    held = [accounts._threads.submit(busy.wait) for _ in range(2)]
    tries = [
        asyncio.create_task(accounts.verify_password(database, f"nobody{n}@example.com", "x", now=NOW))
        for n in range(accounts.QUEUE_MOST + 10)
    ]
    try:
        first = [await task for task in itertools.islice(asyncio.as_completed(map(refused, tries)), 10)]
        assert first == [True] * 10
    finally:
        busy.set()
    await asyncio.gather(*tries, return_exceptions=True)
    assert all(future.result() for future in held)
    assert await accounts.verify_password(database, ana.email, PASSWORD, now=NOW)


async def test_what_is_over_is_tidied_away(database, ana):
    await sessions.start(database, ana, user_agent="x", now=NOW)
    with pytest.raises(Exception, match="wrong"):
        await accounts.verify_password(database, "nobody@example.com", "x", now=NOW)
    assert await database.run(rows.tidy_anywhere, NOW + 60, idle_seconds=sessions.IDLE_SECONDS) == 0
    assert await database.run(rows.tidy_anywhere, NOW + 31 * 86400, idle_seconds=sessions.IDLE_SECONDS) == 2
