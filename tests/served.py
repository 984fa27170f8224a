"""A small program that answers HTTP from a thread of the tests' own process, for as long as its `with` lasts."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any, Self

import uvicorn


def free_port() -> int:
    """A port that nobody had a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Served:
    """The program `app` on a port of loopback; `options` are those of uvicorn."""

    def __init__(self, app: Any, port: int, **options: Any) -> None:
        self._server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, lifespan="off", **options))
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *args: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)
