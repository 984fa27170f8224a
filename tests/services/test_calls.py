"""A token the API rejects: renewed once for its generation, never in a loop."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from keyturn.services import access_tokens, calls, connections
from keyturn.wire import Headers, Request, Response


@pytest.fixture
async def api(acme, monkeypatch):
    """The API's answers in turn; the last one goes on. What was sent with it is kept."""
    calls._cool_downs.clear()
    answers, sent = [], []

    async def send(ctx, connection, prepared, advanced, timeout_seconds, max_bytes):
        sent.append(prepared.token.value)
        status = answers.pop(0) if len(answers) > 1 else answers[0]
        return Response(status, Headers.of({}), b"", prepared.request.url)

    monkeypatch.setattr(calls, "_send", send)
    connection = await acme.signed_in()
    return acme, await connections.get(acme.ctx, connection.id), answers, sent


def get(path: str = "/orders") -> Request:
    return Request("GET", f"https://acme.example/v1{path}", Headers.of({}))


async def test_a_rejected_token_is_renewed_once_and_the_call_repeated(api):
    acme, connection, answers, sent = api
    answers += [401, 200]
    assert (await calls.send(acme.ctx, connection, get())).status == 200
    assert len(set(sent)) == 2
    assert len(acme.server.posts) == 1


async def test_a_second_rejection_of_a_young_token_is_a_matter_of_permission_and_cools_down(api):
    acme, connection, answers, _ = api
    answers += [401]
    for _ in range(5):
        assert (await calls.send(acme.ctx, connection, get())).status == 401
    assert len(acme.server.posts) == 1


async def test_a_young_token_that_was_rejected_is_renewed_once_more_after_a_short_while(api, monkeypatch):
    acme, connection, answers, _ = api
    answers += [401]
    await calls.send(acme.ctx, connection, get())
    moment = time.monotonic()
    for seconds, renewals in ((6.0, 2), (12.0, 2), (290.0, 2), (310.0, 3)):
        monkeypatch.setattr(time, "monotonic", lambda: moment + seconds)  # noqa: B023 - called before the next
        assert (await calls.send(acme.ctx, connection, get())).status == 401
        assert len(acme.server.posts) == renewals


async def test_a_newer_token_of_another_replica_is_tried_before_one_is_asked_for(api):
    acme, connection, answers, _ = api
    old = await access_tokens.fresh(acme.ctx, connection)
    await access_tokens.refresh(acme.ctx, connection.id)
    answers += [200]
    newer = await access_tokens.after_rejection(acme.ctx, connection, old)
    assert newer.generation == 2
    assert len(acme.server.posts) == 1


async def test_an_old_token_of_another_replica_that_is_rejected_too_is_renewed_in_its_turn(api, monkeypatch):
    acme, connection, answers, _ = api
    old = await access_tokens.fresh(acme.ctx, connection)
    await access_tokens.refresh(acme.ctx, connection.id)
    acme.later(300)
    stale = replace(old, obtained_at=old.obtained_at - 4000)
    fresh = access_tokens.fresh

    async def seen_before(ctx, connection):
        monkeypatch.setattr(access_tokens, "fresh", fresh)
        return stale

    monkeypatch.setattr(access_tokens, "fresh", seen_before)
    answers += [401, 401, 200]
    assert (await calls.send(acme.ctx, connection, get())).status == 200
    assert len(acme.server.posts) == 2


async def test_a_server_that_gives_the_same_token_again_is_asked_once(api):
    acme, connection, answers, _ = api
    token = await access_tokens.fresh(acme.ctx, connection)
    acme.server.same_token = True
    # The first forced refresh brings the lasting token, the next ones the same again.
    await access_tokens.refresh(acme.ctx, connection.id)
    assert token.value != (await access_tokens.fresh(acme.ctx, connection)).value
    posts = len(acme.server.posts)
    answers += [401]
    assert (await calls.send(acme.ctx, connection, get())).status == 401
    assert (await calls.send(acme.ctx, connection, get())).status == 401
    assert len(acme.server.posts) == posts + 1
