"""A relay between a worker and PostgreSQL that may be cut: then every connection breaks, and none is made."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit


@dataclass(frozen=True, slots=True)
class Target:
    """Where a database listens: a host and port, or a folder with its socket."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Target:
        """From a PostgreSQL address; `?host=` wins, as libpq has it."""
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        return cls(
            query.get("host") or unquote(parts.hostname or "127.0.0.1"), int(query.get("port", parts.port or 5432))
        )

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to it."""
        if self.host.startswith("/"):
            return await asyncio.open_unix_connection(f"{self.host}/.s.PGSQL.{self.port}")
        return await asyncio.open_connection(self.host, self.port)


class Relay:
    """Passes bytes on, both ways, while it is not cut."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._target = Target.of(url)
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.is_cut = False

    async def start(self) -> str:
        """Listen; answers the address of the same database by way of the relay."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        parts = urlsplit(self._url)
        user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        query = urlencode([(k, v) for k, v in parse_qsl(parts.query) if k not in {"host", "port"}])
        return urlunsplit((parts.scheme, f"{user}127.0.0.1:{port}", parts.path, query, ""))

    def cut(self) -> None:
        """Break what is there; refuse what comes."""
        self.is_cut = True
        for writer in list(self._open):
            writer.transport.abort()

    def mend(self) -> None:
        """Let through again."""
        self.is_cut = False

    async def stop(self) -> None:
        """Listen no more."""
        self.cut()
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        try:
            there, back = await self._target.connect()
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, back}
        ways = (asyncio.create_task(_pass(reader, back)), asyncio.create_task(_pass(there, writer)))
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, back):
            end.transport.abort()
        self._open -= {writer, back}
        for way in ways:
            way.cancel()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
