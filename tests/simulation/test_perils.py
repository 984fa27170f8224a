"""Where a worker comes to harm: exactly where it was armed for, and nowhere in the product's own code."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from types import SimpleNamespace

import pytest

from keyturn.errors import UpstreamError
from keyturn.simulation import ground, perils
from keyturn.simulation.perils import PerilousDatabase, PerilousEgress, Perils
from keyturn.wire import Headers, Request


class Noting(Perils):
    """Notes deeds instead of doing them."""

    def __init__(self, pipe) -> None:
        super().__init__(pipe, 1)
        self.deeds: list[str] = []

    def do(self) -> None:
        self.deeds.append(self._deed)

    def soon(self, most_seconds: float) -> None:
        self.do()


@pytest.fixture
def noting() -> Noting:
    told: list[tuple] = []
    return Noting(SimpleNamespace(send=told.append, told=told))


@pytest.fixture
async def door(noting):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 -\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/token"
    made = PerilousEgress(ground.door("w0.1"), noting, url)
    yield made, Request("POST", url, Headers(()))
    await made.close()
    listening.close()


def test_a_deed_is_done_once_and_only_at_its_point(noting):
    noting.arm("kill", "after answer")
    noting.at("after lease")
    assert noting.deeds == []
    noting.at("after answer")
    noting.at("after answer")
    assert noting.deeds == ["kill"]


@pytest.mark.parametrize("point", ["after lease", "after send", "after answer"])
async def test_a_token_request_passes_three_points(noting, door, point):
    egress, request = door
    noting.arm("kill", point)
    await egress.send(request)
    await asyncio.sleep(0.02)
    assert noting.deeds == ["kill"]


async def test_other_requests_pass_none(noting, door):
    egress, request = door
    noting.arm("kill", "after lease")
    await egress.send(Request("GET", request.url + "/other", Headers(())))
    assert noting.deeds == []


async def test_an_answer_that_does_not_come_is_told(noting):
    egress = PerilousEgress(ground.door("w0.1"), noting, "http://127.0.0.1:1/token")
    with pytest.raises(UpstreamError):
        await egress.send(Request("POST", "http://127.0.0.1:1/token", Headers(())))
    await egress.close()
    assert [told[0] for told in noting.pipe.told] == ["unheard"]


@pytest.mark.parametrize("point", ["mid commit", "after commit"])
async def test_the_transaction_after_an_answer_passes_two_more(noting, door, tmp_path, point):
    egress, request = door
    database = PerilousDatabase(f"sqlite:///{tmp_path}/test.db", noting)
    try:
        noting.arm("kill", point)
        await database.run(lambda tx: None)
        assert noting.deeds == []
        await egress.send(request)
        await database.run(lambda tx: None)
        assert noting.deeds == ["kill"]
        noting.arm("kill", point)
        await database.run(lambda tx: None)
        assert noting.deeds == ["kill"]
    finally:
        await asyncio.to_thread(database.close)


async def test_transactions_of_a_call_are_counted(noting, tmp_path):
    database = PerilousDatabase(f"sqlite:///{tmp_path}/test.db", noting)
    counted = [0]
    context = copy_context()
    context.run(perils.transactions.set, counted)
    try:
        await database.run(lambda tx: None)
        task = asyncio.get_running_loop().create_task(database.run(lambda tx: None), context=context)
        await task
        assert counted == [1]
    finally:
        await asyncio.to_thread(database.close)
