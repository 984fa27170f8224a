"""A token endpoint as a small program in the test's own loop: rotation, reuse detection, a grace, and scripted faults."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

Fault = Callable[["TokenServer", asyncio.StreamWriter], object]


@dataclass
class Gate:
    """Where requests stop before they are answered."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class TokenServer:
    """`faults` are taken one by each request, before or after the token was spent; `posts` is what came, in order.

    What comes while there is a `gate` is answered once that is opened.
    """

    rotate: bool = True
    reuse_detection: bool = True
    grace_seconds: float = 0.0
    expires_in: float | None = 3600
    same_token: bool = False
    clock: Callable[[], float] = time.monotonic
    extra: dict[str, object] = field(default_factory=dict)
    faults: list[str | tuple[int, dict[str, str], dict[str, object]]] = field(default_factory=list)
    posts: list[str] = field(default_factory=list)
    current: dict[str, str] = field(default_factory=dict)
    used: dict[str, tuple[str, float]] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    secrets: set[str] | None = None
    date: str | None = None
    delay_seconds: float = 0.0
    gate: Gate | None = None
    issued: int = 0
    url: str = ""

    async def __aenter__(self) -> TokenServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/token"
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()

    def issue(self, family: str) -> str:
        """A refresh token of a family, as a sign-in would give."""
        self.issued += 1
        token = f"rt-{family}-{self.issued}"
        self.current[token] = family
        return token

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(
                (int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-length")), 0
            )
            form = dict(parse_qsl((await reader.readexactly(length)).decode()))
            await self._answer(writer, form)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, form: dict[str, str]) -> None:
        self.posts.append(form.get("refresh_token", ""))
        fault = self.faults.pop(0) if self.faults else ""
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        if self.gate:
            self.gate.reached.set()
            await self.gate.opened.wait()
        if isinstance(fault, tuple):
            status, headers, body = fault
            self._say(writer, status, body, headers)
            return
        if fault == "reset":
            return
        if self.secrets is not None and form.get("client_secret") not in self.secrets:
            self._say(writer, 401, {"error": "invalid_client"})
            return
        status, body = self._tokens(form.get("refresh_token", ""))
        if fault == "lost":
            return
        if fault == "hang":
            await asyncio.sleep(60)
            return
        if fault == "truncated":
            raw = json.dumps(body)[:-20].encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(raw) + raw
            )
            return
        self._say(writer, status, body)

    def _tokens(self, token: str) -> tuple[int, dict[str, object]]:
        family = self.current.get(token)
        if family is None and token in self.used:
            family, at = self.used[token]
            if self.clock() - at > self.grace_seconds or self.grace_seconds == 0:
                if self.reuse_detection:
                    self.revoked.add(family)
                return 400, {"error": "invalid_grant"}
        if family is None or family in self.revoked:
            return 400, {"error": "invalid_grant"}
        self.issued += 1
        body: dict[str, object] = {
            "access_token": "at-same" if self.same_token else f"at-{family}-{self.issued}",
            "token_type": "Bearer",
            **self.extra,
        }
        if self.expires_in is not None:
            body["expires_in"] = self.expires_in
        if self.rotate:
            if token in self.current:
                del self.current[token]
                self.used[token] = (family, self.clock())
            body["refresh_token"] = self.issue(family)
        return 200, body

    def _say(
        self, writer: asyncio.StreamWriter, status: int, body: dict[str, object], headers: dict[str, str] | None = None
    ) -> None:
        raw = json.dumps(body).encode()
        lines = {
            "Content-Type": "application/json",
            "Content-Length": str(len(raw)),
            "Connection": "close",
            **(headers or {}),
        }
        if self.date:
            lines["Date"] = self.date
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        writer.write(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + raw)
