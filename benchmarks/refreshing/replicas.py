"""Replicas as processes of their own, each with two callers, that all want one token at one instant."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe

from keyturn.egress import Egress
from keyturn.model.connections import Connection
from keyturn.server import logs
from keyturn.simulation import ground
from keyturn.wire import Request, Response

CALLERS = 2
# Until every process has opened its sessions.
_READY_SECONDS = 6.0

Ask = Callable[[], Awaitable[object]]
Shape = Callable[["Order", Egress], AbstractAsyncContextManager[list[Ask]]]


@dataclass(frozen=True)
class Order:
    """What a replica is told: how to ask (`shape`), for what, and at which moment of the machine's clock."""

    shape: Shape
    number: int
    url: str
    server_url: str
    connections: list[Connection]
    at: float


@dataclass(frozen=True)
class Told:
    """What a replica saw, in seconds: how long each caller waited, and its longest token request, if it made one."""

    waits: list[float]
    request_seconds: float


class Timed(Egress):
    """The door out with a watch on token requests."""

    longest = 0.0

    async def send(self, request: Request, **limits: object) -> Response:
        began_at = time.monotonic()
        response = await super().send(request, **limits)
        self.longest = max(self.longest, time.monotonic() - began_at)
        return response


@contextmanager
def started(count: int) -> Iterator[list[Pipe]]:
    """So many processes that wait for orders."""
    spawn = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for _ in range(count):
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=_serve, args=(theirs,), daemon=True)
        process.start()
        pipes.append(ours)
        processes.append(process)
    try:
        for pipe in pipes:
            pipe.recv()
        yield pipes
    finally:
        for pipe in pipes:
            pipe.send(None)
        for process in processes:
            process.join(10)


async def asked(pipes: list[Pipe], shape: Shape, url: str, server_url: str, connections: list[Connection]) -> Told:
    """All of them at one instant; what they saw together."""
    at = time.monotonic() + _READY_SECONDS
    for number, pipe in enumerate(pipes):
        pipe.send(Order(shape, number, url, server_url, connections, at))
    told = [await asyncio.to_thread(pipe.recv) for pipe in pipes]
    return Told([wait for one in told for wait in one.waits], max(one.request_seconds for one in told))


def _serve(pipe: Pipe) -> None:
    logs.configure(log_format="text", level="warning")
    pipe.send("ready")
    while (order := pipe.recv()) is not None:
        pipe.send(asyncio.run(_obey(order)))


async def _obey(order: Order) -> Told:
    egress = Timed(ground.door("bench"))
    async with order.shape(order, egress) as callers:
        await asyncio.sleep(order.at - time.monotonic())
        egress.longest = 0.0
        waits = await asyncio.gather(*(_timed(ask, order.at) for ask in callers))
    await egress.close()
    return Told(waits, egress.longest)


async def _timed(ask: Ask, at: float) -> float:
    await ask()
    return time.monotonic() - at
