"""Who may see, use and change a connection: every access × every share × every member, and taking it back."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from keyturn.errors import Forbidden, Invalid, NotFound
from keyturn.model.accounts import Account
from keyturn.model.permissions import grantable_to
from keyturn.oauth.tokens import TokenSet
from keyturn.services import audit, connections, events, grants, oauth_clients, shares, tables
from keyturn.services.context import Actor, Context
from keyturn.storage import accounts as account_rows
from keyturn.storage import grants as grant_rows

LISTED = {"advanced": {"allowed_hosts": ["acme.example"]}}


@pytest.fixture
async def people(place):
    """`own` makes connections; the others are members of each role, `boss` the admin nobody shared with."""

    def join(name: str, role: str) -> Context:
        def write(tx) -> None:
            account_rows.insert_account(tx, Account(f"ac_{name}", name.title(), f"{name}@example.com", 0.0), "hash")
            account_rows.insert_member(tx, "ws_1", f"ac_{name}", role, 0.0)

        place.run(write)
        return as_(place, name, role)

    return {"boss": place.ana, "own": place.li, "ed": join("ed", "editor"), "vi": join("vi", "viewer")}


def as_(place, name: str, role: str) -> Context:
    actor = Actor(f"ac_{name}", name.title(), f"{name}@example.com", role, grantable_to(role))
    return replace(place.ana, actor=actor)


async def shared(place, people, access="only_me", **changes):
    return await place.connection(people["own"], await place.client(**LISTED), access=access, **changes)


async def sign_in(place, connection, account_id: str | None, account: str) -> None:
    registration = await oauth_clients.registration(place.ana, connection.oauth_client_id, {})
    tokens = TokenSet(access_token=f"token-of-{account}", token_type="Bearer")

    def write(tx) -> None:
        grants.store_new(tx, place.ana, registration, tokens, connection=connection, account_id=account_id,
                         requested_at=place.clock[0], scopes_requested=["read"], account=account)  # fmt: skip

    place.run(write)


# access, share (None, or its credentials), role → as whom they read; nothing depends on the role.
READING = {
    ("only_me", None): "none", ("only_me", False): "own", ("only_me", True): "connection",
    ("shared_account", None): "connection", ("shared_account", False): "own", ("shared_account", True): "connection",
    ("own_account", None): "own", ("own_account", False): "own", ("own_account", True): "connection",
}  # fmt: skip


@pytest.mark.parametrize(("access", "credentials", "who"), list(product(
    ("only_me", "shared_account", "own_account"), (None, False, True), ("boss", "ed", "vi"))))  # fmt: skip
async def test_r5_as_whom_somebody_reads_follows_from_what_was_shared_and_never_from_a_role(
    place, people, access, credentials, who
):
    connection = await shared(place, people, access)
    actor = people[who].actor
    if credentials is not None:
        await shares.put(people["own"], connection.id, actor.account_id, {"with_credentials": credentials})
    await sign_in(place, connection, "ac_li" if access == "own_account" else None, "li@acme.com")
    reading = READING[access, credentials]
    if reading == "none" and not actor.is_admin:
        with pytest.raises(NotFound):
            await connections.get(people[who], connection.id)
        return
    seen = await connections.get(people[who], connection.id)
    assert seen.reading(actor.account_id) == reading
    if reading == "none":
        with pytest.raises(Forbidden, match="for Li alone"):
            connections.require_use(people[who], seen)
        assert seen.reads_as(actor.account_id).startswith("You cannot read through it")
        return
    connections.require_use(people[who], seen)
    assert seen.account == ("li@acme.com" if reading == "connection" else None)
    expected = "li@acme.com" if reading == "connection" else "the account you sign in with"
    assert expected in seen.reads_as(actor.account_id)


async def test_r5_an_admin_cannot_share_what_is_somebody_elses_with_themselves_or_anybody(place, people):
    connection, boss = await shared(place, people), people["boss"]
    await sign_in(place, connection, None, "li@acme.com")
    for account_id in ("ac_ana", "ac_ed"):
        with pytest.raises(Forbidden, match="Only Li can share the credentials"):
            await shares.put(boss, connection.id, account_id, {"with_credentials": True})
    for access in ("shared_account", "own_account"):
        with pytest.raises(Forbidden, match="Only Li can share"):
            await connections.update(boss, connection.id, {"access": access})
    await shares.put(boss, connection.id, "ac_ana", {"rights": "editor"})
    with pytest.raises(Forbidden, match="credentials"):
        await shares.put(boss, connection.id, "ac_ana", {"with_credentials": True})
    seen = await connections.get(boss, connection.id)
    assert (seen.reading("ac_ana"), seen.account) == ("own", None)


async def test_an_admin_takes_back_what_an_owner_shared(place, people):
    connection, boss, own = await shared(place, people, "shared_account"), people["boss"], people["own"]
    await shares.put(own, connection.id, "ac_vi", {"with_credentials": True})
    await shares.put(boss, connection.id, "ac_vi", {"with_credentials": False})
    assert (await connections.update(boss, connection.id, {"access": "only_me"})).settings.access == "only_me"
    await shares.remove(boss, connection.id, "ac_vi")
    assert await shares.list_(own, connection.id) == []


async def test_what_was_shared_is_taken_back_at_once_also_under_a_read_that_runs(place, people):
    connection, own, ed = await shared(place, people), people["own"], people["ed"]
    await shares.put(own, connection.id, "ac_ed", {"with_credentials": True})
    held = await connections.get(ed, connection.id)
    await connections.recheck_use(ed, held)
    await shares.put(own, connection.id, "ac_ed", {"with_credentials": False})
    with pytest.raises(Exception, match="changed meanwhile"):
        await connections.recheck_use(ed, held)
    await shares.remove(own, connection.id, "ac_ed")
    with pytest.raises(Forbidden):
        await connections.recheck_use(ed, held)
    with pytest.raises(NotFound):
        await connections.get(ed, connection.id)


async def test_who_leaves_a_share_or_loses_it_leaves_no_sign_in_behind(place, people):
    connection, own, ed = await shared(place, people), people["own"], people["ed"]
    await shares.put(own, connection.id, "ac_ed", {})
    await sign_in(place, connection, "ac_ed", "ed@acme.com")
    assert (await connections.get(ed, connection.id)).reads_as("ac_ed") == "You read as ed@acme.com, your own sign-in."
    await shares.remove(ed, connection.id, "ac_ed")
    assert place.run(grant_rows.all_of_connection, "ws_1", connection.id) == []
    with pytest.raises(NotFound):
        await shares.remove(own, connection.id, "ac_ed")


async def test_the_owners_sign_in_goes_along_when_access_changes_and_others_end(place, people):
    connection, own = await shared(place, people), people["own"]
    await sign_in(place, connection, None, "li@acme.com")
    await connections.update(own, connection.id, {"access": "own_account"})
    assert (await connections.get(own, connection.id)).account == "li@acme.com"
    assert (await connections.get(people["ed"], connection.id)).account is None
    await sign_in(place, connection, "ac_ed", "ed@acme.com")
    await connections.update(own, connection.id, {"access": "shared_account"})
    held = place.run(grant_rows.all_of_connection, "ws_1", connection.id)
    assert [(grant.account_id, grant.account) for grant in held] == [(None, "li@acme.com")]
    assert (await connections.get(people["ed"], connection.id)).account == "li@acme.com"


async def test_rights_say_who_changes_settings_and_tables(place, people):
    connection, own, ed = await shared(place, people, "shared_account"), people["own"], people["ed"]
    await place.table(connection)
    await shares.put(own, connection.id, "ac_ed", {"with_credentials": True})
    with pytest.raises(Forbidden, match="Editor rights"):
        await connections.update(ed, connection.id, {"paused": True})
    with pytest.raises(Forbidden, match="as a Viewer"):
        await tables.update(ed, "tb_1", {"path": "/other"})
    with pytest.raises(Forbidden, match="as a Viewer"):
        await tables.delete(ed, "tb_1")
    await shares.put(own, connection.id, "ac_ed", {"rights": "editor"})
    assert (await connections.update(ed, connection.id, {"headers": {"X-A": "b"}})).settings.headers == {"X-A": "b"}
    await tables.update(ed, "tb_1", {"path": "/other"})
    for refused in (connections.update(ed, connection.id, {"access": "own_account"}),
                    connections.delete(ed, connection.id), shares.put(ed, connection.id, "ac_vi", {}),
                    shares.remove(ed, connection.id, "ac_vi")):  # fmt: skip
        with pytest.raises(Forbidden):
            await refused


async def test_a_viewer_of_the_workspace_is_given_no_editor_rights_and_nobody_shares_with_strangers(place, people):
    connection, own = await shared(place, people), people["own"]
    with pytest.raises(Invalid, match="Vi is a Viewer"):
        await shares.put(own, connection.id, "ac_vi", {"rights": "editor"})
    with pytest.raises(NotFound):
        await shares.put(own, connection.id, "ac_nobody", {})
    with pytest.raises(Invalid, match="own"):
        await shares.put(own, connection.id, "ac_li", {})
    with pytest.raises(Invalid, match="do not know the field"):
        await shares.put(own, connection.id, "ac_vi", {"account": "x"})


async def test_a_host_that_is_not_listed_is_shared_by_a_workspace_admin_only(place, people):
    connection = await place.connection(people["own"])
    with pytest.raises(Invalid, match=r"acme\.example is not among the allowed hosts"):
        await shares.put(people["own"], connection.id, "ac_ed", {"with_credentials": True})
    assert (await shares.put(people["boss"], connection.id, "ac_ed", {})).rights == "viewer"


async def test_credentials_given_by_hand_are_read_with_only_where_they_were_shared(place, people):
    auth = {"auth": {"type": "bearer", "token": "a-token-given-by-hand"}, "name": "hand"}
    connection = await shared(place, people, **auth)
    await shares.put(people["own"], connection.id, "ac_ed", {})
    seen = await connections.get(people["ed"], connection.id)
    with pytest.raises(Forbidden, match="without its credentials"):
        connections.require_use(people["ed"], seen)
    await shares.put(people["own"], connection.id, "ac_ed", {"with_credentials": True})
    seen = await connections.get(people["ed"], connection.id)
    connections.require_use(people["ed"], seen)
    assert seen.reads_as("ac_ed") == "You read with the credentials Li gave."
    with pytest.raises(Invalid, match="given by hand"):
        await connections.update(people["own"], connection.id, {"access": "own_account"})


async def test_what_was_read_as_one_account_is_had_by_those_who_read_as_it(place, people):
    connection = await shared(place, people)
    for name, role in (("boss", "none"), ("ed", "with"), ("vi", "without")):
        if role != "none":
            await shares.put(people["own"], connection.id, people[name].actor.account_id,
                             {"with_credentials": role == "with"})  # fmt: skip
    now = await connections.get(people["own"], connection.id)
    connections.require_data(people["ed"], now, "ac_li")
    for name in ("boss", "vi"):
        with pytest.raises(Forbidden, match="not yours to read as"):
            connections.require_data(people[name], now, "ac_li")


async def test_r8_each_change_of_sharing_is_in_the_audit_log_and_the_timeline(place, people):
    connection, own = await shared(place, people), people["own"]
    await shares.put(own, connection.id, "ac_ed", {})
    await shares.put(own, connection.id, "ac_ed", {})
    await shares.put(own, connection.id, "ac_ed", {"rights": "editor", "with_credentials": True})
    await shares.remove(own, connection.id, "ac_ed")
    await connections.update(own, connection.id, {"access": "shared_account"})
    entries, _ = await audit.list_(place.ana, audit.Filter(subject_id=connection.id), limit=20)
    told = [(e["verb"].partition(".")[2], e["who"]["name"], e["details"].get("words")) for e in reversed(entries)]
    assert told == [
        ("created", "Li", None), ("shared", "Li", "Viewer, without its credentials"),
        ("share_changed", "Li", "Editor, with its credentials"), ("unshared", "Li", "Editor, with its credentials"),
        ("access_changed", "Li", None), ("settings_changed", "Li", None),
    ]  # fmt: skip
    sentences = [event.sentence for event in await events.of_subject(own, connection.id)]
    assert "With Ed: Viewer, without its credentials." in sentences
    assert "Only me before, now Everyone reads as this account." in sentences


async def test_a_share_ends_with_the_membership_and_with_the_connection(place, people):
    connection = await shared(place, people)
    await shares.put(people["own"], connection.id, "ac_ed", {})
    from keyturn.storage import members as member_rows

    place.run(member_rows.delete, "ws_1", "ac_ed")
    place.run(account_rows.insert_member, "ws_1", "ac_ed", "editor", 0.0)
    with pytest.raises(NotFound):
        await connections.get(people["ed"], connection.id)
    await shares.put(people["own"], connection.id, "ac_ed", {})
    await connections.delete(people["own"], connection.id)
