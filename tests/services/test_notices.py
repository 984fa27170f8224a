"""Episodes of trouble: opened once, told once, closed once, whoever and however many see them."""

from __future__ import annotations

import asyncio

import pytest

from keyturn.errors import Invalid
from keyturn.services import connections, notices
from keyturn.storage.database import Database


def opened(place, kind, subject_id, **data) -> bool:
    return place.run(notices.open, place.ana, kind, subject_id, **data)


def closed(place, kind, subject_id, **named) -> bool:
    return place.run(notices.close, place.ana, kind, subject_id, **named)


async def listed(ctx, **named):
    return (await notices.list_(ctx, **named))[0]


async def test_an_episode_begins_once_and_ends_once(place):
    connection = await place.connection()
    assert opened(place, "reconnect_needed", connection.id, why="access was revoked", as_account=" as jane@acme.com")
    assert not opened(place, "reconnect_needed", connection.id, why="access was revoked")
    (found,) = await listed(place.ana, open_only=True)
    assert (found.title, found.closed_at) == ("acme needs reconnecting", None)
    assert found.sentence.startswith("acme cannot read Acme CRM any more: access was revoked. Reconnect as jane@acme")
    assert closed(place, "reconnect_needed", connection.id)
    assert not closed(place, "reconnect_needed", connection.id)
    assert await listed(place.ana, open_only=True) == []
    assert opened(place, "reconnect_needed", connection.id), "the next episode is another one"
    assert len(await listed(place.ana)) == 2


async def test_of_replicas_that_see_it_at_once_one_begins_it(place, database_url):
    connection = await place.connection()
    others = [Database(database_url) for _ in range(3)]
    runs = [db.run(notices.open, place.ana, "reconnect_needed", connection.id) for db in others for _ in range(4)]
    answers = await asyncio.gather(*runs)
    ends = await asyncio.gather(
        *(db.run(notices.close, place.ana, "reconnect_needed", connection.id) for db in others for _ in range(4))
    )
    for other in others:
        other.close()
    assert (sum(answers), sum(ends)) == (1, 1)


async def test_trouble_that_grows_is_told_at_each_stage_once(place):
    client = await place.client()
    stages = ["30", "30", "7", "7", "1"]
    told = [opened(place, "secret_expires", client.id, stage=stage, sentence=f"{stage} days") for stage in stages]
    assert told == [True, False, True, False, True]
    (found,) = await listed(place.ana)
    assert found.sentence == "1 days"


async def test_what_a_transaction_takes_back_was_never_told(place):
    connection = await place.connection()

    def fails(tx) -> None:
        notices.open(tx, place.ana, "reconnect_needed", connection.id)
        raise Invalid("no")

    with pytest.raises(Invalid):
        place.run(fails)
    assert await listed(place.ana) == []


async def test_a_thing_that_is_gone_has_no_notice(place):
    assert not opened(place, "reconnect_needed", "cn_gone")
    assert not opened(place, "client_refused", "oc_gone")
    assert not opened(place, "import_failed", "tb_gone")


async def test_secrets_in_words_are_masked(place):
    connection = await place.connection()
    assert opened(place, "reconnect_needed", connection.id, why="refresh_token=s3cret-value-of-a-token was refused")
    (found,) = await listed(place.ana)
    assert "s3cret" not in found.sentence


async def test_nobody_reads_of_a_connection_that_is_not_theirs_to_see(place):
    client = await place.client()
    own = await place.connection(client=client)
    shared = await place.connection(client=client, name="team", access="shared_account")
    for connection in (own, shared):
        assert opened(place, "reconnect_needed", connection.id)
    assert opened(place, "client_refused", client.id, error="invalid_client")
    assert opened(place, "reconnect_needed", shared.id, account_id="ac_ana")
    assert {n.data["name"] for n in await listed(place.li)} == {"team"}
    assert len(await listed(place.li)) == 1, "somebody else's own sign-in is theirs"
    assert len(await listed(place.ana)) == 4


async def test_imports_that_fail_in_a_row_are_one_episode_until_one_is_whole(place):
    table = await place.table(await place.connection())
    failed = {"status": "failed", "error": {"message": "acme.example refused the connection. Is it running?"}}
    cut = {"status": "incomplete", "completeness": {"rows": 1200, "stop_reason": "repeated_page"}}
    for ended in (failed, cut, {"status": "cancelled"}, failed):
        place.run(notices.import_ended, place.ana, "im_1", table.id, ended)
    (found,) = await listed(place.ana, open_only=True)
    assert (found.title, found.sentence) == ("The import of acme.orders failed", failed["error"]["message"])
    place.run(notices.import_ended, place.ana, "im_1", table.id, {"status": "complete"})
    assert await listed(place.ana, open_only=True) == []
    place.run(notices.import_ended, place.ana, "im_1", table.id, cut)
    (found,) = await listed(place.ana, open_only=True)
    assert "1,200 rows (repeated page)" in found.sentence


async def test_the_list_goes_on_where_it_ended(place):
    connection = await place.connection()
    for n in range(5):
        place.clock[0] += n
        assert opened(place, "reconnect_needed", connection.id)
        assert closed(place, "reconnect_needed", connection.id)
    seen, cursor = [], None
    while True:
        page, cursor = await notices.list_(place.ana, limit=2, cursor=cursor)
        seen += [notice.opened_at for notice in page]
        if cursor is None:
            break
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 5
    with pytest.raises(Invalid):
        await notices.list_(place.ana, cursor="nonsense")


async def test_what_ended_90_days_ago_is_forgotten_and_what_lasts_stays(place):
    connection = await place.connection()
    assert opened(place, "reconnect_needed", connection.id)
    place.run(notices.tell, place.ana, "needs_attention", connection.id)
    place.clock[0] += notices.KEPT_SECONDS + 1
    assert await notices.prune(place.ana) == 1
    assert [n.closed_at for n in await listed(place.ana)] == [None]
    await connections.delete(place.ana, connection.id)
