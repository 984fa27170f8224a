"""The authorization server as a process: HTTP by hand, since its answers must break in ways no framework allows."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from typing import Any
from urllib.parse import parse_qs

from keyturn.simulation import answers
from keyturn.simulation.answers import Draw
from keyturn.simulation.issuer import Issuer
from keyturn.simulation.plan import Plan, Weather

TOKEN_PATH, CALL_PATH = "/token", "/call"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = field(repr=False)


class AuthorizationServer:
    """Serves the token endpoint and one API route, in the weather of the moment."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.issuer = Issuer(
            life=plan.life_seconds,
            grace=plan.grace_seconds,
            rotates=plan.rotates,
            detects_reuse=plan.detects_reuse,
        )
        self.weather: Weather = "fair"
        self._chance = random.Random(plan.seed)  # noqa: S311 - faults are drawn, not secrets

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        try:
            while (asked := await read_request(reader)) is not None:
                if not await self._answer(asked, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            return
        finally:
            writer.transport.abort()

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        if asked.path.startswith(CALL_PATH):
            writer.write(answers.response(200 if self._call(asked) else 401, b"{}"))
            await writer.drain()
            return True
        draw = answers.draw(self.plan, self.weather, self._chance)
        return await self._leave(draw, self._redeem(asked, draw), writer)

    def _call(self, asked: Asked) -> bool:
        access = asked.headers.get("authorization", "").partition(" ")[2]
        _, _, grant, generation = asked.path.split("/")
        return self.issuer.call(access, int(grant), int(generation), time.time())

    def _redeem(self, asked: Asked, draw: Draw) -> bytes:
        """Decide at once, as a server commits before it answers; the answer may take its time or its fate."""
        now, by = time.time(), asked.headers.get("user-agent", "")
        value = parse_qs(asked.body.decode()).get("refresh_token", [""])[0]
        if draw.kind in answers.REFUSES:
            self.issuer.refuse(value, by, now).answer = draw.kind
            return answers.refused(draw.kind, now)
        if draw.kind == "same" and (same := self.issuer.same_again(value, by, now)) is not None:
            post, access, left = same
            post.answer = draw.kind
            return answers.granted(draw, self._chance, access=access, refresh=None, life=left)
        post, granted, refresh = self.issuer.redeem(value, by, now)
        post.answer = draw.kind
        if granted is None:
            return answers.failed("invalid_grant")
        if draw.kind == "500 spent":
            return answers.response(500, b"")
        return answers.granted(draw, self._chance, access=granted, refresh=refresh, life=self.plan.life_seconds)

    async def _leave(self, draw: Draw, answer: bytes, writer: asyncio.StreamWriter) -> bool:
        """Let the answer go out as drawn; answers whether the connection is still good for another request."""
        await asyncio.sleep(draw.wait_seconds)
        if draw.kind == "lost":
            return False
        head, _, body = answer.partition(b"\r\n\r\n")
        half = body[: len(body) // 2]
        if draw.kind == "cut off":
            writer.write(head + b"\r\n\r\n" + half)
        elif draw.kind == "truncated":
            # Whole as HTTP, half as JSON: what a proxy in front of the server makes of it.
            writer.write(answers.response(200, half))
        elif draw.kind == "dribbled":
            for at in range(0, len(answer), 16):
                writer.write(answer[at : at + 16])
                await writer.drain()
                await asyncio.sleep(draw.between_seconds)
        else:
            writer.write(answer)
        await writer.drain()
        return draw.kind not in {"cut off", "late"}


async def read_request(reader: asyncio.StreamReader) -> Asked | None:
    """The next request of a connection; None at its end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, path, headers, body)


def main(plan: Plan, pipe: Pipe) -> None:
    """The process: says its port, then obeys the supervisor until it hangs up."""
    asyncio.run(_run(plan, pipe))


async def _run(plan: Plan, pipe: Pipe) -> None:
    server = AuthorizationServer(plan)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, limit=1 << 16, backlog=1024)
    pipe.send(listening.sockets[0].getsockname()[1])
    ended = asyncio.Event()

    def told() -> None:
        try:
            pipe.send(_obey(server, *pipe.recv()))
        except (EOFError, OSError):
            ended.set()

    asyncio.get_running_loop().add_reader(pipe.fileno(), told)
    await ended.wait()
    listening.close()


def _obey(server: AuthorizationServer, order: str, value: Any) -> Any:
    issuer = server.issuer
    if order == "weather":
        server.weather = value
        return time.time()
    if order == "sign in":
        return [issuer.sign_in(family, time.time()) for family in value]
    if order == "counts":
        return len(issuer.ledger.posts), sum(at >= value for at in issuer.redeemed_at.values())
    if order == "numbers":
        return [issuer.number_of(token) for token in value]
    if order == "not since":
        return [family for family in range(server.plan.grants) if issuer.redeemed_at.get(family, 0.0) < value]
    return issuer.ledger
