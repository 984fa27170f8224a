"""A second factor: each code once and for all replicas, tries counted, recovery codes, and who may take it away."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace

import pyotp
import pytest

from keyturn.errors import Conflict, Forbidden, Invalid, LimitReached, NotFound, Unauthenticated
from keyturn.services import second_factors, sessions, workspaces
from keyturn.storage import accounts as account_rows
from keyturn.storage import audit as audit_rows
from keyturn.storage import second_factors as rows

NOW = 1_800_000_000.0


@pytest.fixture
def li(place):
    return place.run(account_rows.member, "ws_1", "ac_li")


def code(setup, place, steps: int = 0) -> str:
    return pyotp.TOTP(setup.secret).at(int(place.clock[0]) + 30 * steps)


async def turned_on(place, li):
    setup = await second_factors.begin(place.li, li)
    codes = await second_factors.confirm(place.li, li, code(setup, place))
    place.clock[0] += 30
    return setup, codes


def verbs(place) -> list[str]:
    return [line["verb"] for line in place.run(audit_rows.newest, "ws_1", limit=100)]


def test_r6_the_rfc_6238_codes():
    totp = pyotp.TOTP(base64.b32encode(b"12345678901234567890").decode(), digits=8)
    assert [totp.at(second) for second in (59, 1111111109, 20000000000)] == ["94287082", "07081804", "65353130"]


async def test_it_protects_nothing_until_its_first_code_and_then_each_code_once(place, li):
    setup = await second_factors.begin(place.li, li)
    assert "otpauth://totp/Keyturn:li%40example.com" in setup.url
    assert setup.secret not in repr(setup)
    assert not (await second_factors.state(place.database, "ac_li")).on
    with pytest.raises(Invalid):
        await second_factors.confirm(place.li, li, "000000")
    assert (await second_factors.pending(place.li, li)).secret == setup.secret
    first = code(setup, place)
    assert len(await second_factors.confirm(place.li, li, first)) == 10
    assert await second_factors.state(place.database, "ac_li") == second_factors.State(True, 10)
    with pytest.raises(Invalid):
        await second_factors.check(place.li, li, first)
    with pytest.raises(Conflict):
        await second_factors.begin(place.li, li)
    place.clock[0] += 30
    await second_factors.check(place.li, li, f" {code(setup, place)[:3]} {code(setup, place)[3:]} ")


async def test_r6_a_code_of_one_step_before_or_after_is_taken_and_none_further(place, li):
    setup, _ = await turned_on(place, li)
    for steps in (2, -2):
        with pytest.raises(Invalid):
            await second_factors.check(place.li, li, code(setup, place, steps))
    await second_factors.check(place.li, li, code(setup, place, 1))
    with pytest.raises(Invalid):
        await second_factors.check(place.li, li, code(setup, place))  # older than the one that was used


async def test_r6_of_two_replicas_with_the_same_code_one_takes_it(place, li):
    setup, _ = await turned_on(place, li)
    given = code(setup, place)
    found = await asyncio.gather(
        *(second_factors.check(replace(place.li), li, given) for _ in range(3)), return_exceptions=True
    )
    assert [type(one) for one in found].count(type(None)) == 1
    assert sum(isinstance(one, Invalid) for one in found) == 2


async def test_r6_tries_are_counted_and_a_right_code_does_not_pass_while_it_is_closed(place, li):
    setup, _ = await turned_on(place, li)
    for _ in range(second_factors.TRIES):
        with pytest.raises(Invalid):
            await second_factors.check(place.li, li, "000000")
    with pytest.raises(LimitReached, match="Wait 60 seconds"):
        await second_factors.check(place.li, li, code(setup, place))
    place.clock[0] += 60
    await second_factors.check(place.li, li, code(setup, place))
    assert verbs(place).count("account.second_factor_failed") == 5


async def test_a_recovery_code_signs_in_once_and_new_ones_end_the_old(place, li):
    _, codes = await turned_on(place, li)
    shown = second_factors.grouped(codes[0])
    assert len(shown.split("-")) == 4
    await second_factors.check(place.li, li, shown.upper())
    with pytest.raises(Invalid):
        await second_factors.check(place.li, li, codes[0])
    assert (await second_factors.state(place.database, "ac_li")).codes_left == 9
    assert "account.recovery_code_used" in verbs(place)
    fresh = await second_factors.new_codes(place.li, li)
    with pytest.raises(Invalid):
        await second_factors.check(place.li, li, codes[1])
    await second_factors.check(place.li, li, fresh[1])
    await second_factors.remove(place.li, li)
    with pytest.raises(NotFound):
        await second_factors.new_codes(place.li, li)


async def test_neither_secret_nor_code_is_stored_in_the_clear(place, li):
    setup, codes = await turned_on(place, li)
    found = place.run(rows.get, "ac_li")
    assert setup.secret.encode() not in found["secret_sealed"]
    kept = place.run(lambda tx: [row.code_hash for row in tx.execute(rows.recovery_codes.select())])
    assert not set(codes) & set(kept)


async def test_the_first_step_is_for_five_minutes(place, li):
    sealed = await second_factors.seal_first_step(place.li, li, "/tables")
    member, onward = await second_factors.first_step(place.li, sealed)
    assert (member.account_id, onward) == ("ac_li", "/tables")
    for cookie in (None, "", "x", "é", sealed[:-4]):
        with pytest.raises(Unauthenticated):
            await second_factors.first_step(place.li, cookie)
    place.clock[0] += second_factors.FIRST_STEP_SECONDS
    with pytest.raises(Unauthenticated):
        await second_factors.first_step(place.li, sealed)


async def test_r6_a_first_step_ends_with_the_password_it_was_made_by(place, li):
    """Whoever knew the old password and has a code may not come in five minutes after it was taken from them."""
    sealed = await second_factors.seal_first_step(place.li, li, "/")
    assert (await second_factors.first_step(place.li, sealed))[0].account_id == "ac_li"
    place.run(account_rows.set_password_hash, "ac_li", "another")
    with pytest.raises(Unauthenticated):
        await second_factors.first_step(place.li, sealed)


async def test_r6_guessing_on_is_closed_for_longer_each_time_and_a_right_code_opens_it(place, li):
    setup, _ = await turned_on(place, li)

    async def wrong() -> None:
        with pytest.raises(Invalid):
            await second_factors.check(place.li, li, "000000")

    for _ in range(second_factors.TRIES - 1):
        await wrong()
    for minutes in (1, 2, 4, 8, 16, 32, 60, 60):
        await wrong()
        place.clock[0] += minutes * 60 - 1
        with pytest.raises(LimitReached, match="Wait 60 seconds"):
            await second_factors.check(place.li, li, code(setup, place))
        place.clock[0] += 1
    await second_factors.check(place.li, li, code(setup, place))
    place.clock[0] += 30
    await wrong()
    await second_factors.check(place.li, li, code(setup, place))


async def test_an_admin_of_every_workspace_of_theirs_takes_it_away_and_ends_their_sessions(place, li):
    with pytest.raises(NotFound):
        await second_factors.reset(place.ana, "ac_li")
    await turned_on(place, li)
    assert await second_factors.who_has(place.ana) == {"ac_li"}
    with pytest.raises(Forbidden):
        await second_factors.reset(place.li, "ac_ana")
    cookie, _ = await sessions.start(place.database, li, user_agent="x", now=NOW)
    await second_factors.reset(place.ana, "ac_li")
    assert await sessions.find(place.database, cookie, now=NOW) is None
    assert not (await second_factors.state(place.database, "ac_li")).on
    assert "account.second_factor_reset" in verbs(place)


async def test_a_workspace_can_want_one_of_everybody_who_signs_in_by_password(place, li):
    await workspaces.update(place.ana, "ws_1", {"requires_second_factor": True})
    cookie, _ = await sessions.start(place.database, li, user_agent="x", now=NOW)
    assert (await sessions.find(place.database, cookie, now=NOW)).must_add_factor
    by_organisation, _ = await sessions.start(place.database, li, user_agent="x", now=NOW, organisation="Acme")
    assert not (await sessions.find(place.database, by_organisation, now=NOW)).must_add_factor
    await turned_on(place, li)
    assert not (await sessions.find(place.database, cookie, now=NOW)).must_add_factor
    assert "workspace.second_factor_required" in verbs(place)
