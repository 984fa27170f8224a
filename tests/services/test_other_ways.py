"""Ways to authenticate a connection without OAuth 2.0: each sealed, sent in one place, tested, and never repeated."""

from __future__ import annotations

import json

import pytest

from keyturn.errors import Invalid
from keyturn.services import calls, connection_tests, connections
from keyturn.storage import connections as rows
from keyturn.wire import Request

KEYS = {"X-Api-Key": "a-first-long-key", "X-App-Id": "a-second-long-key"}
WAYS = [
    ({"type": "none"}, {}),
    ({"type": "basic", "username": "ana", "password": "a-long-password"},
     {"authorization": "Basic YW5hOmEtbG9uZy1wYXNzd29yZA=="}),
    ({"type": "bearer", "token": "a-long-token"}, {"authorization": "Bearer a-long-token"}),
    ({"type": "header", "name": "X-Key", "value": "a-long-key"}, {"x-key": "a-long-key"}),
    ({"type": "headers", "headers": KEYS}, {"x-api-key": "a-first-long-key", "x-app-id": "a-second-long-key"}),
    ({"type": "query", "name": "key", "value": "a-long-key"}, {}),
]  # fmt: skip


async def made(place, gossip, auth):
    body = {"name": "acme", "base_url": gossip.url + "/api", "access": "only_me", "auth": auth}
    return await connections.create(place.ana, body)


@pytest.mark.parametrize(("auth", "sent"), WAYS, ids=[auth["type"] for auth, _ in WAYS])
async def test_each_way_is_sealed_sent_and_tested(place, gossip, auth, sent):
    connection = await made(place, gossip, auth)
    stored = connection.settings.model_dump_json() + str(place.run(rows.sealed_secret, "ws_1", connection.id))
    assert "a-long" not in stored
    assert "long-key" not in stored
    steps = await connection_tests.run(place.ana, connection.id, path="/things")
    assert steps[-1].state == "ok"
    answer = await calls.send(place.ana, connection, Request("GET", calls.url_under(connection, "/things")))
    assert answer.status == 200
    assert sent.items() <= gossip.headers.items()
    assert ("key=a-long-key" in gossip.query) == (auth["type"] == "query")


async def test_no_key_of_several_headers_comes_back(place, gossip):
    connection = await made(place, gossip, {"type": "headers", "headers": KEYS})
    request = Request("GET", calls.url_under(connection, "/echo", "status=500"))
    answer = await calls.send(place.ana, connection, request)
    assert answer.status == 500
    assert b"long-key" not in answer.body
    async with calls.proxy(
        place.ana, connection.id, method="GET", path="/echo", query="status=500", headers=(), body=None
    ) as streamed:
        assert b"long-key" not in b"".join([chunk async for chunk in streamed.body])


async def test_several_headers_are_replaced_together_and_kept_otherwise(place, gossip):
    connection = await made(place, gossip, {"type": "headers", "headers": KEYS})
    renamed = await connections.update(place.ana, connection.id, {"name": "other"})
    assert renamed.settings.auth.names == ("X-Api-Key", "X-App-Id")
    assert json.loads(await connections.credential(place.ana, renamed)) == KEYS
    changed = await connections.update(place.ana, connection.id, {"auth": {"headers": {"X-New": "another-long-key"}}})
    assert changed.settings.auth.names == ("X-New",)
    assert json.loads(await connections.credential(place.ana, changed)) == {"X-New": "another-long-key"}


@pytest.mark.parametrize("headers", [{}, {"Host": "x"}, {"X Key": "x"}, {"X-Key": "a\nb"}, "not json", None], ids=str)
async def test_headers_that_cannot_hold_a_key_are_refused(place, gossip, headers):
    with pytest.raises(Invalid) as refused:
        await made(place, gossip, {"type": "headers", "headers": headers})
    assert all(problem.at.startswith("auth.headers") for problem in refused.value.problems)


async def test_a_key_cannot_be_named_like_a_header_of_ours(place, gossip):
    with pytest.raises(Invalid, match="set by Keyturn itself"):
        await made(place, gossip, {"type": "header", "name": "Host", "value": "x"})
