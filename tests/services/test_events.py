"""The timeline: what happened to a thing, in words, for 90 days."""

from __future__ import annotations

import pytest

from keyturn.errors import Invalid
from keyturn.services import events


async def test_what_is_older_than_90_days_is_forgotten(place):
    connection = await place.connection()
    place.clock[0] += events.KEPT_SECONDS
    place.run(events.record, place.ana, connection.id, "connected", account="jane@acme.com")
    place.clock[0] += 1
    assert await events.prune(place.ana) >= 1
    assert [event.sentence for event in await events.of_subject(place.ana, connection.id)] == [
        "Connected as jane@acme.com."
    ]


def happened(place, subject_id, kind, **data) -> None:
    place.clock[0] += 1
    place.run(events.record, place.ana, subject_id, kind, **data)


async def test_a_timeline_goes_on_page_by_page_without_a_gap_or_a_repeat(place):
    connection = await place.connection()
    for number in range(25):
        happened(place, connection.id, "refreshed", rotated=str(number))
    seen, cursor = [], None
    while True:
        page, cursor = await events.of_connection(place.ana, connection, limit=10, cursor=cursor)
        seen += [event.data.get("rotated") for event in page]
        if cursor is None:
            break
    assert seen == [str(number) for number in reversed(range(25))] + [None]


async def test_what_befell_the_client_is_in_its_connections_timelines(place):
    client = await place.client()
    happened(place, client.id, "secret_replaced")
    place.clock[0] += 1
    connection = await place.connection(client=client)
    happened(place, client.id, "secret_replaced")
    happened(place, client.id, "settings_changed", fields="scopes")
    found, _ = await events.of_connection(place.ana, connection)
    assert [event.kind for event in found] == ["secret_replaced", "created"]


async def test_a_part_of_it_is_shown(place):
    connection = await place.connection()
    for kind in ("connected", "refreshed", "refresh_failed", "refresh_rejected", "reconnected"):
        happened(place, connection.id, kind, sentence="x", account="jane", error="invalid_grant")
    problems, _ = await events.of_connection(place.ana, connection, show="problems")
    assert [event.kind for event in problems] == ["refresh_rejected", "refresh_failed"]
    sign_ins, _ = await events.of_connection(place.ana, connection, show="sign_ins")
    assert [event.kind for event in sign_ins] == ["reconnected", "connected"]
    for wrong in ({"show": "weather"}, {"cursor": "nonsense"}):
        with pytest.raises(Invalid):
            await events.of_connection(place.ana, connection, **wrong)


async def test_turns_leave_out_what_changes_nothing(place):
    connection = await place.connection()
    for kind in ("connected", "refreshed", "refreshed", "tested", "refreshed", "refresh_failed", "refresh_failed"):
        happened(place, connection.id, kind, sentence="x")
    found = await events.turns(place.ana, connection, since=0.0)
    assert [event.kind for event in found] == ["created", "connected", "refreshed", "refresh_failed"]


async def test_details_are_what_the_sentence_does_not_say(place):
    connection = await place.connection()
    happened(place, connection.id, "refresh_rejected", error="invalid_grant", attempt="ra_1")
    (found, *_), _ = await events.of_connection(place.ana, connection)
    assert found.details == {"attempt": "ra_1"}
