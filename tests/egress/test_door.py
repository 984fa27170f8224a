"""The door, against real sockets: deadlines, limits, redirects, certificates, and names that change their mind."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp.abc import AbstractResolver

from certificates import self_signed
from keyturn.egress import AllowList, Egress, EgressSettings
from keyturn.errors import UpstreamError, UpstreamTimeout
from keyturn.wire import Headers, Request

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
SECRET = "canary-bearer-token-77"


@asynccontextmanager
async def listening(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(once, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def opened(allowed: str = "127.0.0.1", **more) -> AsyncIterator[Egress]:
    resolver = more.pop("resolver", None)
    made = Egress(EgressSettings(allowed=AllowList.parse(allowed), **more), resolver=resolver)
    try:
        yield made
    finally:
        await made.close()


def answering(head: str, body: bytes = b"", *, heard: list[bytes] | None = None) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        if heard is not None:
            heard.append(asked)
        writer.write(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        await writer.drain()

    return serve


def get(url: str, **headers: str) -> Request:
    return Request("GET", url, Headers.of({"Authorization": f"Bearer {SECRET}", **headers}))


async def test_an_answer_comes_whole_with_its_headers():
    heard: list[bytes] = []
    async with listening(answering("200 OK\r\nX-One: 1", b"body", heard=heard)) as port, opened() as egress:
        answer = await egress.send(get(f"http://127.0.0.1:{port}/a?b=%2F"))
    assert (answer.status, answer.body, answer.headers.get("x-one")) == (200, b"body", "1")
    assert heard[0].startswith(b"GET /a?b=%2F HTTP/1.1\r\n")
    assert b"User-Agent: Keyturn\r\n" in heard[0]


async def test_d9_the_deadline_is_for_the_whole_answer_however_it_dribbles():
    async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        try:
            for _ in range(1000):
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)
        except ConnectionError:
            pass

    async with listening(dribble) as port, opened() as egress:
        with pytest.raises(UpstreamTimeout) as caught:
            await egress.send(get(f"http://127.0.0.1:{port}/"), timeout_seconds=0.3)
    assert caught.value.sent is None, "it was sent, so nobody knows what came of it"
    assert SECRET not in f"{caught.value!r} {caught.value}"


async def test_what_was_never_accepted_was_not_sent():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    async with opened() as egress:
        with pytest.raises(UpstreamError) as caught:
            await egress.send(get(f"http://127.0.0.1:{port}/"))
    assert caught.value.sent is False


async def test_a_connection_that_breaks_after_the_request_leaves_it_open_what_happened():
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async with listening(hang_up) as port, opened() as egress:
        with pytest.raises(UpstreamError) as caught:
            await egress.send(get(f"http://127.0.0.1:{port}/"))
    assert caught.value.sent is None


@pytest.mark.parametrize("packed", [False, True])
async def test_d9_more_than_the_limit_is_refused_also_out_of_a_small_archive(packed):
    body = gzip.compress(b"0" * 5_000_000) if packed else b"0" * 2_000_000
    head = "200 OK\r\nContent-Encoding: gzip" if packed else "200 OK"
    async with listening(answering(head, body)) as port, opened() as egress:
        with pytest.raises(UpstreamError, match="answered more than 1 MB at once"):
            await egress.send(get(f"http://127.0.0.1:{port}/"), max_bytes=1024 * 1024)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_d8_redirects_are_answers_unless_they_are_asked_for(status):
    async with listening(answering(f"{status} Go\r\nLocation: http://127.0.0.1:1/")) as port, opened() as egress:
        assert (await egress.send(get(f"http://127.0.0.1:{port}/"))).status == status


async def test_l5_a_followed_redirect_carries_no_credential_and_is_checked_again():
    heard: list[bytes] = []
    async with listening(answering("200 OK", heard=heard)) as there, opened() as egress:
        onward = answering(f"302 Go\r\nLocation: http://127.0.0.1:{there}/there")
        async with listening(onward) as port:
            request = get(f"http://127.0.0.1:{port}/", **{"X-Api-Key": SECRET, "Cookie": "a=b"})
            answer = await egress.send(request, follow_redirects=2, credential_headers=frozenset({"x-api-key"}))
        assert answer.status == 200
        assert SECRET.encode() not in heard[0]
        assert b"Cookie" not in heard[0]
        async with listening(answering("302 Go\r\nLocation: http://169.254.169.254/latest")) as port:
            with pytest.raises(UpstreamError) as caught:
                await egress.send(get(f"http://127.0.0.1:{port}/"), follow_redirects=2)
        assert caught.value.message_code == "E-BLOCKED"


async def test_l5_a_circle_of_redirects_ends():
    async with listening(answering("302 Go\r\nLocation: /again")) as port, opened() as egress:
        with pytest.raises(UpstreamError, match="redirects too often"):
            await egress.send(get(f"http://127.0.0.1:{port}/"), follow_redirects=3)


class Fickle(AbstractResolver):
    """A name server whose answers change: public when it is looked at, private when it is connected to."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[dict]:  # type: ignore[override]
        self.asked += 1
        address = self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]
        return [{"hostname": host, "host": address, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        pass


async def test_l2_a_public_name_that_leads_inside_is_blocked_at_the_connect():
    async with opened("", resolver=Fickle("127.0.0.1")) as egress:
        with pytest.raises(UpstreamError) as caught:
            await egress.send(get("https://rebind.example/"))
    assert (caught.value.message_code, caught.value.sent) == ("E-BLOCKED", False)
    assert "rebind.example" in caught.value.message


async def test_l6_words_do_not_tell_an_open_port_of_the_inside_from_a_closed_one():
    said = set()
    async with listening(answering("200 OK", b"inside")) as port, opened("") as egress:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            closed = probe.getsockname()[1]
        for url in (f"https://127.0.0.1:{port}/", f"https://127.0.0.1:{closed}/"):
            with pytest.raises(UpstreamError) as caught:
                await egress.send(get(url))
            said.add((caught.value.message, caught.value.message_code, str(caught.value.details)))
    async with listening(answering("200 OK", b"inside")) as port, opened("", resolver=Fickle("127.0.0.1")) as egress:
        for url in (f"https://inside.example:{port}/", f"https://inside.example:{closed}/"):
            with pytest.raises(UpstreamError) as caught:
                await egress.send(get(url))
            said.add((caught.value.message, caught.value.message_code, str(caught.value.details)))
    assert {code for _, code, _ in said} == {"E-BLOCKED"}
    assert len(said) == 2, "one sentence for each host, whatever its port"


async def test_l4_a_proxy_in_the_environment_is_not_asked(monkeypatch):
    asked: list[bytes] = []
    async with listening(answering("200 OK", b"stolen", heard=asked)) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        async with listening(answering("200 OK", b"true")) as port, opened() as egress:
            answer = await egress.send(get(f"http://127.0.0.1:{port}/"))
    assert answer.body == b"true"
    assert asked == []


async def test_l2_what_was_checked_is_what_is_connected_to():
    resolver = Fickle("127.0.0.1", "8.8.8.8")
    async with opened("", resolver=resolver) as egress:
        with pytest.raises(UpstreamError) as caught:
            await egress.send(get("https://rebind.example/"))
    assert (caught.value.message_code, resolver.asked) == ("E-BLOCKED", 1), "there was no second look-up"


async def test_a_name_that_is_not_there_is_said():
    async with opened() as egress:
        with pytest.raises(UpstreamError) as caught:
            await egress.send(get("https://no-such-host.invalid/"))
    assert (caught.value.message_code, caught.value.sent) == ("E-DNS", False)


async def test_d9_an_unknown_authority_is_refused_until_the_operator_adds_it(tmp_path):
    authority = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority)
    async with listening(answering("200 OK", b"safe"), context) as port:
        url = f"https://127.0.0.1:{port}/"
        async with opened() as egress:
            with pytest.raises(UpstreamError) as caught:
                await egress.send(get(url))
            assert (caught.value.message_code, caught.value.sent) == ("E-TLS", False)
            assert "certificate" in caught.value.message
        async with opened(ca_file=authority) as egress:
            assert (await egress.send(get(url))).body == b"safe"


async def test_a_stream_is_passed_on_as_it_comes_and_packed():
    body = gzip.compress(b"rows")
    async with (
        listening(answering("200 OK\r\nContent-Encoding: gzip", body)) as port,
        opened() as egress,
        egress.stream(get(f"http://127.0.0.1:{port}/")) as answer,
    ):
        assert b"".join([chunk async for chunk in answer.body]) == body
        assert answer.headers.get("content-encoding") == "gzip"


async def test_cookies_of_one_answer_never_reach_another():
    heard: list[bytes] = []
    serve = answering("200 OK\r\nSet-Cookie: session=1; Path=/", heard=heard)
    async with listening(serve) as port, opened() as egress:
        for _ in range(2):
            await egress.send(get(f"http://127.0.0.1:{port}/"))
    assert b"Cookie" not in heard[1]
