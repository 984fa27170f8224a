"""Reconnect links in bulk: who is mailed which link, what the others are told, and where it stops."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import sqlalchemy as sa

from keyturn.errors import Conflict, Forbidden, Invalid, NotFound
from keyturn.model.permissions import grantable_to
from keyturn.services import (
    audit,
    authorizations,
    confirmations,
    connect_links,
    connections,
    oauth_clients,
    reconnect_links,
    sign_ins,
)
from keyturn.storage import accounts as account_rows
from keyturn.storage import connect_links as rows
from keyturn.storage.connections import connections as connection_table
from visitor import Visitor, theirs


async def send(ctx, *chosen, client=None):
    asked = {"oauth_client_id": client.id} if client else {"connection_ids": [one.id for one in chosen]}
    return await reconnect_links.send_reconnect_links(ctx, asked)


def told(results) -> list[tuple[str, str, str | None]]:
    return [(one.connection_name, one.outcome, one.reason) for one in results]


def link_in(message) -> str:
    return re.search(r"https://\S+/connect/\S+", message.get_payload(decode=True).decode())[0]


async def signed_in(place, url) -> sign_ins.Outcome:
    visitor = Visitor(place, url)
    return await visitor.come_back(await visitor.go())


async def test_each_owner_is_mailed_a_link_that_is_their_own_sign_in_and_nobody_else_sees_it(mailed, gossip, box):
    client = await theirs(mailed, gossip)
    his = await mailed.connection(mailed.li, client, name="of_li")
    hers = await mailed.connection(mailed.ana, client, name="of_ana")
    results = await send(mailed.ana, his, hers)
    assert told(results) == [("of_li", "sent", None), ("of_ana", "sent", None)]
    assert [one.sent_to for one in results] == ["li@example.com", "ana@example.com"]
    assert [one.url for one in results] == [None, None]
    assert sorted(message["To"] for message in box.messages) == ["ana@example.com", "li@example.com"]
    to_li = next(message for message in box.messages if message["To"] == "li@example.com")
    assert to_li["Subject"] == "Reconnect of_li (Acme CRM)"
    url = link_in(to_li)
    asked = await confirmations.look(mailed.ana, url.rpartition("/")[2], None)
    assert (asked.asked_by, asked.connection_name, asked.held) == ("Ana", "of_li", True)
    # Ana may not sign in for what is Li's alone; the one she had sent is Li's sign-in, and Li accepts it.
    with pytest.raises(Forbidden):
        await connect_links.create(mailed.ana, {"connection_id": his.id})
    assert (await signed_in(mailed, url)).ok
    await connect_links.accept(mailed.li, results[0].connect_link_id)
    assert (await connections.get(mailed.li, his.id)).status == "healthy"
    entries = [
        one
        for one in (await audit.list_(mailed.ana, audit.Filter(), limit=100))[0]
        if one["verb"] == "connection.link_made"
    ]
    assert sorted(entry["details"]["sent_to"] for entry in entries) == ["ana@example.com", "li@example.com"]
    assert {entry["who"]["name"] for entry in entries} == {"Ana"}
    assert url.rpartition("/")[2] not in str(entries) + repr(results)


async def test_a_clients_connections_are_those_with_older_scopes_and_nobody_is_mailed_twice(mailed, gossip, box):
    client = await theirs(mailed, gossip)
    acme = await mailed.connection(mailed.li, client)
    await mailed.connection(mailed.li, client, name="never_signed_in")
    (first,) = await send(mailed.li, acme)
    assert (await signed_in(mailed, link_in(box.messages[-1]))).ok
    await connect_links.accept(mailed.li, first.connect_link_id)
    assert await send(mailed.ana, client=client) == []
    changed = await oauth_clients.update(mailed.ana, client.id, {"scopes": "read write"})
    assert await reconnect_links.count(mailed.ana, changed) == {"scopes": 1, "broken": 0}
    assert told(await send(mailed.ana, client=client)) == [("acme", "sent", None)]
    again = await send(mailed.ana, client=client)
    assert told(again) == [("acme", "skipped", "made_already")]
    assert "Ana made a link at 08:00 UTC, which works until 08:30 UTC." in again[0].sentence
    assert len(box.messages) == 2
    # Whoever names it wants another one.
    (third,) = await send(mailed.ana, acme)
    assert (await signed_in(mailed, link_in(box.messages[-1]))).ok
    await connect_links.accept(mailed.li, third.connect_link_id)
    assert (await connections.get(mailed.li, acme.id)).scopes_requested == ("read", "write")
    assert await reconnect_links.count(mailed.ana, changed) == {"scopes": 0, "broken": 0}


async def test_without_a_mail_server_links_are_copied_by_whom_could_make_them_anyway(place, gossip):
    client = await theirs(place, gossip)
    mine = await place.connection(place.ana, client, name="mine")
    shared = await place.connection(place.li, client, name="shared", access="shared_account")
    alone = await place.connection(place.li, client, name="alone")
    results = await send(place.ana, mine, shared, alone)
    assert told(results) == [("mine", "copied", None), ("shared", "copied", None), ("alone", "skipped", "not_yours")]
    assert "Ask them to reconnect alone." in results[2].sentence
    assert results[1].url not in repr(results)
    assert results[1].sentence == "Send this link to Li; it is shown once."
    assert (await signed_in(place, results[1].url)).ok
    assert (await connect_links.get(place.ana, results[1].connect_link_id)).status == "undecided"


async def test_what_is_left_out_says_why(mailed, gossip, box):
    client = await theirs(mailed, gossip)
    hers = await mailed.connection(mailed.ana, client, name="hers", access="shared_account")
    each = await mailed.connection(mailed.li, client, name="each", access="own_account")
    plain = await mailed.connection(
        mailed.ana, client, name="plain", auth={"type": "bearer", "token": "a-token-of-ours"}
    )
    alone = await mailed.client(
        name="Machine", authentication_type="rest_api_oauth2_client_credentials", authorization_url=None,
        advanced={"allowed_hosts": ["acme.example"]},
    )  # fmt: skip
    machine = await mailed.connection(mailed.ana, alone, name="machine")
    assert told(await send(mailed.li, hers)) == [("hers", "skipped", "not_yours")]
    left = await mailed.connection(mailed.li, client, name="left")
    away = connection_table.update().where(connection_table.c.id == left.id).values(owner_id="ac_gone")
    mailed.run(lambda tx: (_account(tx, "gone"), tx.execute(away)))
    bare = await mailed.client(name="Bare", advanced={"allowed_hosts": ["acme.example"]})
    secretless = await mailed.connection(mailed.ana, bare, name="secretless")
    await oauth_clients.update(mailed.ana, bare.id, {"token_url": "https://other.example/token"})
    results = await send(mailed.ana, each, plain, machine, left, secretless)
    assert told(results) == [
        ("each", "skipped", "own_account"),
        ("plain", "skipped", "nobody_signs_in"),
        ("machine", "skipped", "nobody_signs_in"),
        ("left", "skipped", "owner_left"),
        ("secretless", "skipped", "client"),
    ]
    assert results[3].sentence == "Gone left. Transfer left to somebody first."
    assert box.messages == []
    with pytest.raises(Conflict, match="Nobody signs in to Machine by a page"):
        await send(mailed.ana, client=alone)


def _account(tx, name: str) -> None:
    account_rows.insert_account(tx, account_rows.Account(f"ac_{name}", name.title(), f"{name}@x.example", 0.0), "hash")


async def test_what_cannot_be_seen_is_not_there_and_nothing_is_made(mailed, gossip, box):
    client = await theirs(mailed, gossip)
    his = await mailed.connection(mailed.li, client, name="of_li")
    hers = await mailed.connection(mailed.ana, client, name="of_ana")
    with pytest.raises(NotFound):
        await send(mailed.li, his, hers)
    viewer = replace(mailed.li.actor, role="viewer", permissions=grantable_to("viewer"))
    with pytest.raises(Forbidden):
        await send(mailed.li.as_actor(viewer), his)
    for wrong in ({}, {"connection_ids": []}, {"connection_ids": [his.id] * 101}):
        with pytest.raises(Invalid):
            await reconnect_links.send_reconnect_links(mailed.ana, wrong)
    with pytest.raises(Invalid, match="one of the two"):
        await reconnect_links.send_reconnect_links(
            mailed.ana, {"connection_ids": [his.id], "oauth_client_id": client.id}
        )
    assert (await connect_links.list_(mailed.ana))[0] == []
    assert box.messages == []


async def test_a_mail_server_that_refuses_leaves_no_link_behind_and_says_what_was_not_made(mailed, gossip, box):
    client = await theirs(mailed, gossip)
    made = [await mailed.connection(mailed.li, client, name=f"c{number}") for number in range(3)]
    box.refuse_recipient = "550 no such mailbox"
    assert told(await send(mailed.ana, *made)) == [(f"c{number}", "not_made", "mail") for number in range(3)]
    states = [link.status for link in (await connect_links.list_(mailed.ana))[0]]
    assert states == ["revoked"] * 3  # one address is wrong: the next ones are tried all the same
    box.refuse_recipient = ""
    box.refuse_sender = "451 try later"
    results = await send(mailed.ana, *made)
    assert told(results) == [(f"c{number}", "not_made", "mail") for number in range(3)]
    assert {one.retry_after_seconds for one in results} == {60.0}
    links = (await connect_links.list_(mailed.ana))[0]
    assert [link.status for link in links] == ["revoked"] * 4  # the server is away: nobody waits for it three times
    box.refuse_sender = ""
    assert {one.outcome for one in await send(mailed.ana, *made)} == {"sent"}


async def test_2_4_1_the_pace_of_links_holds_in_bulk_and_the_rest_is_told(mailed, gossip, box):
    client = await theirs(mailed, gossip)
    his = [await mailed.connection(mailed.li, client, name=f"c{number}") for number in range(3)]
    await send(mailed.ana, his[0])

    def many(tx) -> None:
        row = tx.execute(sa.select(rows.connect_links).limit(1)).one()._asdict()
        more = authorizations.PACE_MOST - 2
        tx.execute(rows.connect_links.insert(), [{**row, "id": f"cl_{number}"} for number in range(more)])

    mailed.run(many)
    results = await send(mailed.ana, *his)
    assert told(results) == [("c0", "sent", None), ("c1", "not_made", "limit"), ("c2", "not_made", "limit")]
    assert {one.retry_after_seconds for one in results[1:]} == {60.0}
    assert len(box.messages) == 2
    mailed.clock[0] += 61
    assert {one.outcome for one in await send(mailed.ana, *his[1:])} == {"sent"}


async def test_whoever_asks_does_not_wait_for_a_slow_mail_server_for_ever(mailed, gossip, box):
    client = await theirs(mailed, gossip)
    his = [await mailed.connection(mailed.li, client, name=f"c{number}") for number in range(3)]
    ticks = iter(range(0, 10_000, 12))
    slow = replace(mailed.ana, clock=lambda: mailed.clock[0] + next(ticks))
    results = await send(slow, *his)
    assert (results[0].outcome, results[-1].outcome, results[-1].reason) == ("sent", "not_made", "limit")
    assert results[-1].sentence == "This took too long. Ask for the rest again."
