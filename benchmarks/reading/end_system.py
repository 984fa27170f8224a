"""A local REST API over the data sets, faster than any reader: `python end_system.py FOLDER PORT`, loopback only.

    GET /STYLE/SET?limit=1000&…     STYLE page (?page=1…), offset (?offset=0…) or cursor (?cursor=…)
        rows=N                      the set ends after N rows
        latency=MS                  each answer waits so long
        fields=a,b                  is ignored, as by most APIs

Every request needs `Authorization: Bearer bench`. HTTP is written by hand here because nothing may be slower than what
is measured: it knows GET with Content-Length answers and nothing else.
"""

from __future__ import annotations

import array
import asyncio
import base64
import mmap
import sys
from pathlib import Path
from urllib.parse import parse_qsl

import uvloop

TOKEN = "bench"
MOST = 10_000


class DataSet:
    """The rows of one set, in memory."""

    def __init__(self, folder: Path, name: str) -> None:
        with (folder / f"{name}.rows").open("rb") as file:
            self._rows = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        sum(self._rows[::4096])  # from the disk now, not under the clock
        self._offsets = array.array("Q")
        path = folder / f"{name}.offsets"
        with path.open("rb") as file:
            self._offsets.fromfile(file, path.stat().st_size // 8)
        self.count = len(self._offsets) - 1

    def slice(self, start: int, end: int) -> memoryview:
        """The rows from `start` up to `end` as JSON, joined by commas."""
        return self._rows[self._offsets[start] : self._offsets[end] - 1] if end > start else self._rows[:0]


class Connection(asyncio.Protocol):
    """One client. Requests come one after another."""

    def __init__(self, sets: dict[str, DataSet]) -> None:
        self._sets, self._waiting = sets, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(64 << 20)

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while (end := self._waiting.find(b"\r\n\r\n")) >= 0:
            head, self._waiting = self._waiting[:end], self._waiting[end + 4 :]
            target = head.split(b" ", 2)[1].decode()
            if f"\r\nauthorization: bearer {TOKEN}".encode() not in head.lower():
                self._transport.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
                continue
            path, _, query = target.partition("?")
            asked = dict(parse_qsl(query))
            _, style, name = path.split("/")
            parts = answer(self._sets[name], style, asked)
            if "latency" in asked:
                loop = asyncio.get_running_loop()
                loop.call_later(float(asked["latency"]) / 1000, self._transport.writelines, parts)
            else:
                self._transport.writelines(parts)


def answer(rows: DataSet, style: str, asked: dict[str, str]) -> list[bytes | memoryview]:
    """One page as HTTP."""
    total = min(int(asked.get("rows", rows.count)), rows.count)
    limit = min(int(asked.get("limit", 100)), MOST)
    match style:
        case "page":
            start = (int(asked.get("page", 1)) - 1) * limit
        case "offset":
            start = int(asked.get("offset", 0))
        case _:
            start = int(base64.urlsafe_b64decode(asked["cursor"])) if "cursor" in asked else 0
    end = max(start, min(start + limit, total))
    page = rows.slice(start, end)
    if style == "cursor":
        mark = f'"{base64.urlsafe_b64encode(b"%012d" % end).decode()}"' if end < total else "null"
        tail = f'],"next_cursor":{mark}}}'.encode()
    else:
        tail = f'],"total":{total},"total_pages":{-(-total // limit)}}}'.encode()
    length = len(b'{"data":[') + len(page) + len(tail)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    return [head.encode() + b'{"data":[', page, tail]


async def serve(folder: Path, port: int) -> None:
    """Until it is killed."""
    sets = {path.stem: DataSet(folder, path.stem) for path in folder.glob("*.offsets")}
    server = await asyncio.get_running_loop().create_server(lambda: Connection(sets), "127.0.0.1", port, backlog=512)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
