"""Whose account somebody of the organisation gets: their own, an invited one, or none, with a sentence that helps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keyturn.errors import Conflict, Forbidden, Invalid, Unauthenticated
from keyturn.oauth.id_tokens import Identity
from keyturn.services import accounts, identities, invitations, members, organisations, workspaces
from keyturn.storage import accounts as account_rows
from keyturn.storage import audit as audit_rows
from keyturn.storage import members as member_rows
from keyturn.storage import organisations as rows

NOW = 1_800_000_000.0
ISSUER = "https://login.acme.example"


def who(subject: str = "s1", email: str | None = "li@example.com", **more) -> Identity:
    return Identity(ISSUER, subject, email, **more)


def enter(place, identity: Identity):
    return identities.member_of(place.database, identity, organisation="Acme", now=NOW)


def verbs(place) -> list[str]:
    return [line["verb"] for line in place.run(audit_rows.newest, "ws_1", limit=100)]


async def test_r6_a_member_is_joined_by_the_verified_address_and_then_known_by_the_subject(place):
    assert (await enter(place, who())).account_id == "ac_li"
    assert (await enter(place, who(email=None))).account_id == "ac_li"
    assert (await enter(place, who(email="ana@example.com"))).account_id == "ac_li", "the address changed there"
    assert verbs(place).count("account.organisation_joined") == 1


async def test_another_subject_with_the_same_address_is_refused_until_a_new_password_forgets_the_old_one(place):
    await enter(place, who())
    with pytest.raises(Conflict, match="link to a new password, which forgets that one"):
        await enter(place, who("s2"))
    url, _ = await members.reset_password(place.ana, "ac_li")
    link = url.rpartition("/")[2]
    await members.use_reset(place.database, link, {"password": "a fresh long password"}, now=NOW)
    assert (await enter(place, who("s2"))).account_id == "ac_li"


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        (who(email="eve@example.com"), "Nobody invited eve@example.com yet"),
        (who(email=None), "did not tell your email address"),
        (who(email=None, unverified_email=True), "does not say that your email address is verified"),
        (who(email="no address"), "did not tell your email address"),
        (who(email="a\x00b@example.com"), "did not tell your email address"),
        # Another mailbox, which would become Li's or Kim's by being tidied as we tidy what people type.
        (who(email="\u00a0li@example.com"), "did not tell your email address"),
        (who(email="\u212aim@example.com"), "did not tell your email address"),
    ],
)
async def test_r6_nobody_comes_in_without_a_verified_address_that_is_expected(place, identity, words):
    with pytest.raises(Unauthenticated, match=words):
        await enter(place, identity)
    assert len(await members.list_(place.ana)) == 2
    assert place.run(rows.account_of_anywhere, ISSUER, "s1") is None


async def test_a_service_account_is_nobody_there(place):
    made = await members.create_service_account(place.ana, {"name": "robot", "role": "admin"})
    with pytest.raises(Unauthenticated):
        await enter(place, who(email=made.email))


async def test_an_invited_person_gets_an_account_without_a_password(place):
    await invitations.create(place.ana, {"email": "joe@example.com", "role": "editor"})
    member = await enter(place, who("s3", "joe@example.com", name="Joe " + "x" * 100))
    assert (member.role, member.email, len(member.name)) == ("editor", "joe@example.com", 80)
    assert await invitations.list_(place.ana) == []
    for guess in ("!", "", "a password that is long"):
        with pytest.raises(Unauthenticated, match="Email or password is wrong"):
            await accounts.verify_password(place.database, "joe@example.com", guess, now=NOW)


async def test_whoever_left_is_let_in_again_only_when_invited_again(place):
    await enter(place, who())
    place.run(member_rows.delete, "ws_1", "ac_li")
    with pytest.raises(Unauthenticated, match="in no workspace"):
        await enter(place, who())
    await invitations.create(place.ana, {"email": "li@example.com", "role": "viewer"})
    assert (await enter(place, who())).role == "viewer"


async def test_somebody_signed_in_joins_with_their_own_account_there_and_no_other(place):
    me = place.run(account_rows.member, "ws_1", "ac_ana")
    join = {"organisation": "Acme", "now": NOW}
    await identities.join(place.database, me, who("s9", None), **join)
    await identities.join(place.database, me, who("s9", None), **join)
    assert (await enter(place, who("s9", None))).account_id == "ac_ana"
    with pytest.raises(Conflict, match="joined with another account"):
        await identities.join(place.database, me, who("s8", None), **join)
    await enter(place, who())
    with pytest.raises(Conflict, match="belongs to another person here"):
        await identities.join(place.database, me, who(), **join)
    await identities.check_same(place.database, me, who("s9"), organisation="Acme")
    with pytest.raises(Forbidden):
        await identities.check_same(place.database, me, who(), organisation="Acme")


async def test_r4_only_an_admin_of_every_workspace_says_who_lets_people_in(place):
    body = {
        "name": "Acme",
        "issuer": "https://login.acme.example",
        "client_id": "x",
        "client_secret": "sixteen letters",
    }
    with pytest.raises(Forbidden):
        await organisations.put(place.li, body)
    with pytest.raises(Forbidden):
        await organisations.get(place.li)
    theirs = await workspaces.create(place.ana, {"name": "Theirs"})
    place.run(member_rows.set_role, "ws_1", "ac_li", "admin")
    li = replace(place.li, actor=replace(place.ana.actor, account_id="ac_li", name="Li"))
    with pytest.raises(Forbidden, match="of all of them"):
        await organisations.put(li, body)
    place.run(account_rows.insert_member, theirs.id, "ac_li", "admin", NOW)
    with pytest.raises(Invalid):  # nobody is at that address, so it was asked
        await organisations.put(li, body)


async def test_an_issuer_that_is_not_there_is_said_so(place):
    body = {"name": "Acme", "issuer": "http://127.0.0.1:9", "client_id": "x", "client_secret": "sixteen letters"}
    with pytest.raises(Invalid, match=r"publishes no metadata for this issuer: .+ Check the issuer") as refused:
        await organisations.put(place.ana, body)
    assert [problem.at for problem in refused.value.problems] == ["issuer"]
