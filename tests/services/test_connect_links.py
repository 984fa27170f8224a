"""Connect links as time passes and people come and go, at a clock of ours on both databases."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from keyturn.errors import Conflict, Invalid, LimitReached, NotFound
from keyturn.services import authorizations, connect_links, connections, departures
from keyturn.storage import connect_links as rows
from visitor import Visitor, theirs


def end_user(client, name="customer-42", **more):
    return {"oauth_client_id": client.id, "end_user": name, "base_url": "https://acme.example/v1", **more}


async def test_a_link_can_be_opened_for_thirty_minutes_and_never_goes_on_for_longer_than_forty(place, gossip):
    link, url = await connect_links.create(place.ana, end_user(await theirs(place, gossip)))
    assert (link.expires_at - link.created_at, link.status) == (1800, "pending")
    visitor = Visitor(place, url)
    place.clock[0] += 1799
    await visitor.go()
    place.clock[0] += 300
    # Pressing Continue again, in the same browser even, prolongs nothing once the thirty minutes are over.
    with pytest.raises(NotFound, match="This link ended at"):
        await visitor.go()
    assert (await connect_links.get(place.ana, link.id)).status == "pending"
    place.clock[0] += 301
    assert (await connect_links.get(place.ana, link.id)).status == "expired"
    assert await connect_links.end_due(place.ana) == 1
    assert await connect_links.end_due(place.ana) == 0
    assert place.run(rows.get, "ws_1", link.id).status == "expired"


async def test_what_nobody_accepts_within_a_day_is_dropped_and_revoked_at_the_end_system(place, gossip):
    client = await theirs(place, gossip)
    link, url = await connect_links.create(place.ana, end_user(client, hold=True))
    visitor = Visitor(place, url)
    outcome = await visitor.come_back(await visitor.go())
    assert (outcome.ok, "before anything is read with it" in outcome.sentence) == (True, True)
    assert (await connect_links.get(place.ana, link.id)).status == "undecided"
    place.clock[0] += 86401
    with pytest.raises(Conflict, match="it is expired"):
        await connect_links.accept(place.ana, link.id)
    await connect_links.end_due(place.ana)
    assert "/revoke" in gossip.heard
    with pytest.raises(Conflict, match="it is expired"):
        await connect_links.accept(place.ana, link.id)
    assert (await connections.get(place.ana, link.connection_id)).status == "not_connected"


async def test_a_member_who_leaves_takes_their_links_along(place, gossip):
    client = await theirs(place, gossip)
    _, url = await connect_links.create(place.li, end_user(client))
    choices = {"otherwise": {"action": "transfer", "to": "ac_ana"}}
    await departures.remove(place.ana, "ac_li", choices)
    with pytest.raises(NotFound, match="Ask for a new one"):
        await Visitor(place, url).go()
    # The connection stays, and whoever has it now makes the next link for the same end user.
    link, _ = await connect_links.create(place.ana, end_user(client))
    assert link.end_user == "customer-42"
    assert len(await connections.list_(place.ana)) == 1


async def test_an_end_user_has_one_connection_on_each_client_which_does_not_move(place, gossip):
    first = await theirs(place, gossip)
    second = await place.client(name="Other CRM", advanced={"allowed_hosts": ["acme.example"]})
    one, _ = await connect_links.create(place.li, end_user(first))
    again, _ = await connect_links.create(place.li, end_user(first))
    other, _ = await connect_links.create(place.li, end_user(second))
    namesake, _ = await connect_links.create(place.li, end_user(first, name="customer 42"))
    assert one.connection_id == again.connection_id
    assert len({one.connection_id, other.connection_id, namesake.connection_id}) == 3
    assert (one.connection_name, namesake.connection_name) == ("acme_crm_customer_42", "acme_crm_customer_42_2")
    with pytest.raises(Invalid, match="an end user’s on its client"):
        await connections.update(place.li, one.connection_id, {"auth": {"oauth_client_id": second.id}})


async def test_lists_go_on_where_they_ended_and_show_others_nothing(place, gossip):
    client = await theirs(place, gossip)
    for number in range(5):
        place.clock[0] += 1
        await connect_links.create(place.li, end_user(client, name=f"u{number}"))
    seen, cursor = [], None
    while True:
        page, cursor = await connect_links.list_(place.ana, limit=2, cursor=cursor)
        seen += [link.end_user for link in page]
        if cursor is None:
            break
    assert seen == ["u4", "u3", "u2", "u1", "u0"]
    page, _ = await connect_links.list_(place.ana, end_user="u3", status="pending")
    assert [link.end_user for link in page] == ["u3"]
    stranger = replace(place.li.actor, account_id="ac_x")
    assert (await connect_links.list_(place.li.as_actor(stranger)))[0] == []


async def test_2_4_1_links_are_made_at_a_pace_of_each_member_and_of_the_workspace(place, gossip):
    client = await theirs(place, gossip)
    for number in range(authorizations.PACE_MOST):
        await connect_links.create(place.ana, end_user(client, f"customer {number}"))
    before = len(await connections.list_(place.ana))
    with pytest.raises(LimitReached, match="Wait a minute") as refused:
        await connect_links.create(place.ana, end_user(client, "one too many"))
    assert refused.value.retry_after_seconds == 60
    # A refused link leaves no connection behind, and another member goes on.
    assert len(await connections.list_(place.ana)) == before
    await connect_links.create(place.li, end_user(client, "of li"))

    def many(tx) -> None:
        row = tx.execute(sa.select(rows.connect_links).limit(1)).one()._asdict()
        more = connect_links.PACE_MOST - authorizations.PACE_MOST - 1
        tx.execute(rows.connect_links.insert(), [{**row, "id": f"cl_{number}"} for number in range(more)])

    place.run(many)
    with pytest.raises(LimitReached, match="This workspace made 600 connect links in a minute") as refused:
        await connect_links.create(place.li, end_user(client, "of li again"))
    assert refused.value.retry_after_seconds == 60
    place.clock[0] += 61
    await connect_links.create(place.li, end_user(client, "of li again"))
