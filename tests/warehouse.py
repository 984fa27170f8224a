"""Somebody's PostgreSQL at an address: a relay to the one of the tests, which can be cut and mended."""

from __future__ import annotations

import contextlib
import re
import secrets
import socket
import threading
from typing import Any

import psycopg

PASSWORD = "correct-horse-battery-staple"


def socket_of(uri: str) -> str:
    """Where the PostgreSQL of the tests listens, out of an address of it."""
    folder = re.search(r"host=([^&]+)", uri)
    assert folder, uri
    return f"{folder[1]}/.s.PGSQL.5432"


class Relay:
    """Listens on 127.0.0.1, and leads to a path or port of this machine. `cut` ends everything, `mend` lets in again."""

    def __init__(self, path: str | tuple[str, int]) -> None:
        self._path = path
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self.port = 0
        self.mend()

    def mend(self) -> None:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen(64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
        self._pairs.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX if isinstance(self._path, str) else socket.AF_INET)
            far.connect(self._path)
            self._pairs.append((near, far))
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _pump(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    for end in (one, other):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


class Warehouse:
    """A database of its own with a user that has a password, behind a relay."""

    def __init__(self, server: Any, uri: str) -> None:
        self.uri = uri
        self.relay = Relay(socket_of(uri))
        self.database = uri.partition("?")[0].rpartition("/")[2]
        self.user = f"writer_{secrets.token_hex(4)}"
        with self.admin() as tx:
            tx.execute(f"create role {self.user} login password '{PASSWORD}'")
            tx.execute(f"grant create, usage on schema public to {self.user}")

    def admin(self) -> psycopg.Connection:
        return psycopg.connect(self.uri, autocommit=True)

    def rows(self, words: str) -> list[tuple]:
        with self.admin() as tx:
            return tx.execute(words).fetchall()

    @property
    def url(self) -> str:
        return f"postgresql://{self.user}@127.0.0.1:{self.relay.port}/{self.database}?sslmode=disable"

    def settings(self, **changes: Any) -> dict[str, Any]:
        """As the API takes it."""
        return {"name": "Warehouse", "url": self.url, "password": PASSWORD, **changes}

    def close(self) -> None:
        self.relay.cut()
