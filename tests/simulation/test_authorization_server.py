"""The authorization server over real sockets, asked by the product's own door."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from keyturn.egress import Egress
from keyturn.errors import UpstreamError, UpstreamTimeout
from keyturn.simulation import answers, ground
from keyturn.simulation.answers import Draw
from keyturn.simulation.authorization_server import AuthorizationServer
from keyturn.simulation.plan import Plan
from keyturn.wire import Headers, Request


@asynccontextmanager
async def serving(plan: Plan | None = None):
    server = AuthorizationServer(plan or Plan())
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    egress = Egress(ground.door("w0.1"))
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server, egress, url
    finally:
        await egress.close()
        listening.close()


def token_request(url: str, refresh: str) -> Request:
    headers = Headers((("Content-Type", "application/x-www-form-urlencoded"),))
    return Request("POST", f"{url}/token", headers, f"grant_type=refresh_token&refresh_token={refresh}".encode())


def always(monkeypatch, kind: str, **seconds: float) -> None:
    monkeypatch.setattr(answers, "draw", lambda *_: Draw(kind, **seconds))


async def test_it_answers_and_writes_down_who_asked():
    async with serving() as (server, egress, url):
        _, refresh = server.issuer.sign_in(0, 0.0)
        answer = await egress.send(token_request(url, refresh))
        assert answer.status == 200
        [post] = server.issuer.ledger.posts
        assert (post.by, post.did, post.answer) == ("w0.1", "rotated", "ok")


async def test_a_token_it_does_not_know_is_an_invalid_grant():
    async with serving() as (_, egress, url):
        answer = await egress.send(token_request(url, "nonsense"))
        assert (answer.status, b"invalid_grant" in answer.body) == (400, True)


@pytest.mark.parametrize("kind", ["lost", "cut off"])
async def test_answers_that_are_lost_have_rotated_the_token(monkeypatch, kind):
    always(monkeypatch, kind)
    async with serving() as (server, egress, url):
        _, refresh = server.issuer.sign_in(0, 0.0)
        with pytest.raises(UpstreamError):
            await egress.send(token_request(url, refresh))
        assert [post.did for post in server.issuer.ledger.posts] == ["rotated"]


async def test_truncated_answers_are_whole_as_http(monkeypatch):
    always(monkeypatch, "truncated")
    async with serving() as (server, egress, url):
        answer = await egress.send(token_request(url, server.issuer.sign_in(0, 0.0)[1]))
        assert answer.status == 200
        assert not answer.body.endswith(b"}")


async def test_a_dribbling_answer_ends_by_the_total_deadline(monkeypatch):
    always(monkeypatch, "dribbled", between_seconds=0.05)
    async with serving() as (server, egress, url):
        with pytest.raises(UpstreamTimeout):
            await egress.send(token_request(url, server.issuer.sign_in(0, 0.0)[1]), timeout_seconds=0.3)


async def test_a_refusal_spends_nothing(monkeypatch):
    always(monkeypatch, "503")
    async with serving() as (server, egress, url):
        answer = await egress.send(token_request(url, server.issuer.sign_in(0, 0.0)[1]))
        assert answer.status == 503
        assert [post.did for post in server.issuer.ledger.posts] == ["refused"]


async def test_a_500_may_have_spent_the_token(monkeypatch):
    always(monkeypatch, "500 spent")
    async with serving() as (server, egress, url):
        answer = await egress.send(token_request(url, server.issuer.sign_in(0, 0.0)[1]))
        assert answer.status == 500
        assert [post.did for post in server.issuer.ledger.posts] == ["rotated"]


async def test_the_same_token_comes_with_the_life_it_has_left(monkeypatch):
    always(monkeypatch, "same")
    async with serving() as (server, egress, url):
        import time

        access, refresh = server.issuer.sign_in(0, time.time())
        answer = await egress.send(token_request(url, refresh))
        assert access.encode() in answer.body
        assert [post.did for post in server.issuer.ledger.posts] == ["kept"]


async def test_the_api_takes_good_tokens_alone():
    async with serving() as (server, egress, url):
        import time

        access, _ = server.issuer.sign_in(0, time.time())
        headers = Headers((("Authorization", f"Bearer {access}"),))
        assert (await egress.send(Request("GET", f"{url}/call/0/1", headers))).status == 200
        assert (await egress.send(Request("GET", f"{url}/call/1/1", headers))).status == 401
