"""The outbox: who is told, by what, how often it is tried, and that it is sent once however many processes send."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from keyturn.errors import Conflict, Invalid, NotFound
from keyturn.model.deliveries import MOST_ATTEMPTS, PAUSES_SECONDS, pause_seconds
from keyturn.model.webhooks import signature
from keyturn.services import audit, deliveries, notices, preferences, settings, webhooks
from keyturn.storage.database import Database
from keyturn.storage.deliveries import deliveries as table
from postbox import Receiver


@pytest.fixture
def receiver():
    with Receiver() as made:
        yield made


async def send_all(ctx) -> None:
    while await deliveries.send_due(ctx):
        pass


def make_due(place) -> None:
    place.run(lambda tx: tx.execute(table.update().values(next_attempt_at=0.0).where(table.c.state == "waiting")))


def to(box) -> list[str]:
    return sorted(message["To"] for message in box.messages)


async def hook(place, receiver, **changes):
    return await webhooks.create(place.ana, {"name": "Pager", "url": receiver.url, **changes})


def opened(place, subject_id, kind="reconnect_needed", **data):
    return place.run(notices.open, place.ana, kind, subject_id, **data)


async def test_the_owner_and_the_admins_get_one_mail_and_one_when_it_is_over(mailed, box):
    connection = await mailed.connection(mailed.li)
    for _ in range(3):
        opened(mailed, connection.id, why="access was revoked", as_account=" as jane@acme.com")
    await send_all(mailed.ana)
    assert to(box) == ["ana@example.com", "li@example.com"]
    text = box.messages[0].get_payload(decode=True).decode()
    assert "acme cannot read Acme CRM any more: access was revoked. Reconnect as jane@acme.com" in text
    assert f"https://data.example.com/connections/{connection.id}" in text
    assert "https://data.example.com/preferences" in text
    mailed.clock[0] += 3600
    place_closed = mailed.run(notices.close, mailed.ana, "reconnect_needed", connection.id)
    await send_all(mailed.ana)
    assert place_closed
    assert box.subjects().count("acme works again") == 2
    assert len(box.messages) == 4
    assert "after 1 hour" in box.messages[-1].get_payload(decode=True).decode()


async def test_each_person_hears_of_what_they_chose(mailed, box):
    client = await mailed.client()
    mine = await mailed.connection(mailed.ana, client=client)
    shared = await mailed.connection(mailed.ana, client=client, name="team", access="shared_account")
    assert (await preferences.get(mailed.ana)).notify, (await preferences.get(mailed.li)).notify == ("all", "mine")
    await preferences.update(mailed.li, {"notify": "all"})
    opened(mailed, mine.id)
    opened(mailed, shared.id)
    await send_all(mailed.ana)
    assert to(box) == ["ana@example.com", "ana@example.com", "li@example.com"], "Li may not see what is Ana's alone"
    box.messages.clear()
    await preferences.update(mailed.ana, {"notify": "nothing"})
    await preferences.update(mailed.li, {"notify": "mine"})
    mailed.run(notices.close, mailed.ana, "reconnect_needed", shared.id)
    await send_all(mailed.ana)
    assert box.messages == []
    with pytest.raises(Invalid):
        await preferences.update(mailed.ana, {"notify": "loudly"})


async def test_a_refused_client_is_a_matter_of_admins(mailed, box):
    client = await mailed.client()
    await mailed.connection(mailed.li, client=client)
    await preferences.update(mailed.ana, {"notify": "mine"})
    opened(mailed, client.id, "client_refused", error="invalid_client")
    await send_all(mailed.ana)
    assert to(box) == ["ana@example.com"]


async def test_somebodys_own_sign_in_is_told_to_them(mailed, box):
    connection = await mailed.connection(mailed.ana, access="own_account")
    await preferences.update(mailed.ana, {"notify": "mine"})
    opened(mailed, connection.id, account_id="ac_li")
    await send_all(mailed.ana)
    assert to(box) == ["li@example.com"]


async def test_a_webhook_is_signed_and_carries_no_secret(place, receiver):
    webhook, secret = await hook(place, receiver)
    connection = await place.connection()
    opened(place, connection.id, why="access was revoked")
    await send_all(place.ana)
    (got,) = receiver.got
    at, message_id = int(got.headers["webhook-timestamp"]), got.headers["webhook-id"]
    assert got.headers["webhook-signature"] == signature(secret, message_id=message_id, at=at, body=got.body)
    assert got.json["type"] == "connection.reconnect_needed"
    assert got.json["data"]["connection"] == {"id": connection.id, "name": "acme"}
    assert got.json["data"]["url"] == f"https://data.example.com/connections/{connection.id}"
    assert secret.encode() not in got.body
    assert b"a client secret" not in got.body
    (delivery,) = await webhooks.deliveries(place.ana, webhook.id)
    assert (delivery.state, delivery.attempts, delivery.id) == ("delivered", 1, message_id)


async def test_a_webhook_hears_of_its_events_alone_and_of_nothing_while_it_is_off(place, receiver):
    webhook, _ = await hook(place, receiver, events=["connection.recovered"])
    connection = await place.connection()
    opened(place, connection.id)
    place.run(notices.close, place.ana, "reconnect_needed", connection.id)
    await send_all(place.ana)
    assert receiver.types == ["connection.recovered"]
    await webhooks.update(place.ana, webhook.id, {"enabled": False, "events": ["connection.reconnect_needed"]})
    opened(place, connection.id)
    await send_all(place.ana)
    assert len(receiver.got) == 1
    with pytest.raises(Conflict, match="off"):
        await webhooks.test(place.ana, webhook.id)


async def test_processes_that_send_at_once_send_each_message_once(mailed, box, receiver, database_url):
    await hook(mailed, receiver)
    client = await mailed.client()
    for number in range(6):
        connection = await mailed.connection(mailed.li, client=client, name=f"c{number}")
        opened(mailed, connection.id)
    others = [Database(database_url) for _ in range(3)]
    scenes = [replace(mailed.ana, database=db, deployment=replace(mailed.ana.deployment, owner=f"r{n}"))
              for n, db in enumerate(others)]  # fmt: skip
    await asyncio.gather(*(send_all(scene) for scene in scenes for _ in range(2)))
    for other in others:
        other.close()
    assert (len(box.messages), len(receiver.got)) == (12, 6)
    assert len({message["Message-ID"] for message in box.messages}) == 12


async def test_what_does_not_arrive_is_tried_again_with_the_same_id_and_then_given_up(place, receiver):
    receiver.statuses = [500, 503, 200]
    webhook, _ = await hook(place, receiver)
    await webhooks.test(place.ana, webhook.id)
    for _ in range(3):
        make_due(place)
        await deliveries.send_due(place.ana)
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1
    assert len({got.body for got in receiver.got}) == 1
    assert (await webhooks.deliveries(place.ana, webhook.id))[0].state == "delivered"
    receiver.statuses = [500]
    await webhooks.test(place.ana, webhook.id)
    for _ in range(MOST_ATTEMPTS + 2):
        make_due(place)
        await deliveries.send_due(place.ana)
    (lost,) = [item for item in await webhooks.deliveries(place.ana, webhook.id) if item.state != "delivered"]
    assert (lost.state, lost.attempts, lost.last_error) == ("given_up", MOST_ATTEMPTS, "It answered 500.")
    assert (await webhooks.get(place.ana, webhook.id)).given_up == 1
    receiver.statuses = [200]
    await deliveries.again(place.ana, webhook.id, lost.id)
    ((entry,), _) = await audit.list_(place.ana, audit.Filter(verb="delivery.sent_again"), limit=2)
    assert (entry["subject_id"], entry["who"]["name"], entry["result"]) == (lost.id, "Ana", "ok")
    await send_all(place.ana)
    assert (await webhooks.get(place.ana, webhook.id)).given_up == 0
    with pytest.raises(NotFound):
        await deliveries.again(place.ana, webhook.id, lost.id)


async def test_between_tries_nothing_is_sent(place, receiver):
    receiver.statuses = [500]
    webhook, _ = await hook(place, receiver)
    await webhooks.test(place.ana, webhook.id)
    for _ in range(5):
        await deliveries.send_due(place.ana)
    assert len(receiver.got) == 1
    (waiting,) = await webhooks.deliveries(place.ana, webhook.id)
    assert (waiting.state, waiting.attempts) == ("waiting", 1)


def test_the_pauses_grow_to_a_day_and_more():
    assert [pause_seconds(n + 1) for n in range(MOST_ATTEMPTS)][-1] is None
    for number, pause in enumerate(PAUSES_SECONDS):
        assert pause <= (pause_seconds(number + 1) or 0) <= pause * 1.1
    assert sum(PAUSES_SECONDS) > 86400


async def test_a_receiver_that_is_gone_for_good_is_switched_off(place, receiver):
    receiver.statuses = [410]
    webhook, _ = await hook(place, receiver)
    await webhooks.test(place.ana, webhook.id)
    await send_all(place.ana)
    assert not (await webhooks.get(place.ana, webhook.id)).settings.enabled
    (lost,) = await webhooks.deliveries(place.ana, webhook.id)
    assert (lost.state, "410 Gone" in lost.last_error) == ("given_up", True)


async def test_a_message_whose_process_died_is_sent_by_another_when_its_lease_is_over(place, receiver):
    webhook, _ = await hook(place, receiver)
    await webhooks.test(place.ana, webhook.id)
    from keyturn.storage import deliveries as rows

    ((taken, epoch),) = place.run(rows.claim_anywhere, owner="dead", seconds=90.0, limit=5)
    assert await deliveries.send_due(place.ana) == 0
    place.run(lambda tx: tx.execute(table.update().values(lease_until=1.0)))
    assert await deliveries.send_due(place.ana) == 1
    late = {"state": "given_up", "finished_at": 1.0}
    assert not place.run(rows.finish, "ws_1", taken.id, epoch, values=late), "the fence"
    assert (await webhooks.deliveries(place.ana, webhook.id))[0].state == "delivered"


async def test_an_address_that_can_never_work_is_not_tried_again(mailed, box):
    box.refuse_recipient = "550 5.1.1 nobody here"
    connection = await mailed.connection(mailed.li)
    opened(mailed, connection.id)
    await send_all(mailed.ana)
    log = await settings.mail_log(mailed.ana)
    assert {(d.state, d.attempts) for d in log} == {("given_up", 1)}
    assert "nobody here" in log[0].last_error


async def test_a_mail_server_that_is_away_takes_nothing_with_it(mailed, box):
    box.refuse_sender = "451 4.3.0 try later"
    connection = await mailed.connection(mailed.li)
    opened(mailed, connection.id)
    await send_all(mailed.ana)
    assert {d.state for d in await settings.mail_log(mailed.ana)} == {"waiting"}
    box.refuse_sender = ""
    make_due(mailed)
    await send_all(mailed.ana)
    assert {d.state for d in await settings.mail_log(mailed.ana)} == {"delivered"}


async def test_a_new_secret_signs_beside_the_old_one_for_a_day(place, receiver):
    webhook, old = await hook(place, receiver)
    _, new = await webhooks.replace_secret(place.ana, webhook.id)
    assert old != new

    async def signatures() -> list[str]:
        await webhooks.test(place.ana, webhook.id)
        await send_all(place.ana)
        got = receiver.got[-1]
        named = {"message_id": got.headers["webhook-id"], "at": int(got.headers["webhook-timestamp"]), "body": got.body}
        told = got.headers["webhook-signature"].split()
        return [name for name, secret in (("new", new), ("old", old)) if signature(secret, **named) in told]

    assert await signatures() == ["new", "old"]
    place.clock[0] += webhooks.OLD_SECRET_SECONDS + 1
    assert await signatures() == ["new"]


async def test_a_private_address_is_refused_at_once_and_again_when_it_is_sent(place):
    with pytest.raises(Invalid) as caught:
        await webhooks.create(place.ana, {"name": "x", "url": "https://10.0.0.7/hook"})
    assert (caught.value.message_code, caught.value.problems[0].at) == ("E-BLOCKED", "url")
    webhook, _ = await webhooks.create(place.ana, {"name": "x", "url": "https://localtest.invalid/hook"})
    await webhooks.test(place.ana, webhook.id)
    await send_all(place.ana)
    (waiting,) = await webhooks.deliveries(place.ana, webhook.id)
    assert "could not find localtest.invalid" in waiting.last_error


async def test_a_deleted_webhook_takes_its_messages_with_it(place, receiver):
    webhook, _ = await hook(place, receiver)
    await webhooks.test(place.ana, webhook.id)
    await webhooks.delete(place.ana, webhook.id)
    await send_all(place.ana)
    assert receiver.got == []
    with pytest.raises(NotFound):
        await webhooks.get(place.ana, webhook.id)


async def test_the_test_mail_goes_to_whoever_asks_and_says_what_went_wrong(mailed, box):
    assert await settings.test_mail(mailed.ana) == "ana@example.com"
    assert to(box) == ["ana@example.com"]


async def test_old_messages_are_forgotten(place, receiver):
    webhook, _ = await hook(place, receiver)
    await webhooks.test(place.ana, webhook.id)
    await send_all(place.ana)
    place.clock[0] += deliveries.KEPT_SECONDS + 1
    assert await deliveries.prune(place.ana) == 1
    assert await webhooks.deliveries(place.ana, webhook.id) == []
