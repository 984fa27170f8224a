"""The timeline: what happened to a thing, in words, for 90 days."""

from __future__ import annotations

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
