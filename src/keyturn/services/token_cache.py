"""Grants as they were read a moment ago, still sealed, so that a fresh token costs no look at the database.

An entry lives five seconds at most and goes when its grant changes, here or (where replicas hear each other) there.
Callers that miss it at the same moment share one look.
"""

from __future__ import annotations

import asyncio
import time
from weakref import WeakKeyDictionary

from keyturn.model.grants import Grant
from keyturn.services.context import Context
from keyturn.storage import grants as rows
from keyturn.storage.database import Database

_SECONDS = 5.0
_MOST = 10_000


class _Cache:
    """The grants of one database, by connection and holder."""

    def __init__(self, database: Database) -> None:
        self._entries: dict[tuple[str, str | None], tuple[float, Grant]] = {}
        self._holders: dict[str, set[str | None]] = {}
        # Changes seen so far: what was read before one must not be put in after it.
        self._drops = 0
        # By workspace, connection, holder, and the changes seen when it began: nobody joins a look that is too old.
        self._looks: dict[tuple[str, str, str | None, int], asyncio.Task[Grant | None]] = {}
        database.wakeups.on_wake(self.drop)
        database.wakeups.listen()

    def get(self, connection_id: str, holder: str | None) -> Grant | None:
        """What was read of it lately."""
        found = self._entries.get((connection_id, holder))
        return found[1] if found is not None and found[0] > time.monotonic() else None

    def put(self, connection_id: str, holder: str | None, grant: Grant, drops: int) -> None:
        """Keep it for some seconds, unless something changed while it was read."""
        if drops != self._drops:
            return
        if len(self._entries) >= _MOST:
            self._entries.clear()
        self._entries[connection_id, holder] = (time.monotonic() + _SECONDS, grant)
        self._holders.setdefault(connection_id, set()).add(holder)

    async def look(self, ctx: Context, connection_id: str, holder: str | None) -> Grant | None:
        """One indexed read, for everybody who wants it now."""
        key = (ctx.workspace_id, connection_id, holder, self._drops)
        task = self._looks.get(key)
        if task is None:
            read = ctx.database.read(rows.of_connection, ctx.workspace_id, connection_id, holder)
            task = self._looks[key] = asyncio.create_task(read)
            task.add_done_callback(lambda done: self._seen(key, done))
        # A caller who goes away takes it from nobody.
        return await asyncio.shield(task)

    def _seen(self, key: tuple[str, str, str | None, int], task: asyncio.Task[Grant | None]) -> None:
        del self._looks[key]
        _, connection_id, holder, drops = key
        if not task.cancelled() and task.exception() is None and (grant := task.result()) is not None:
            self.put(connection_id, holder, grant, drops)

    def drop(self, connection_id: str) -> None:
        """It changed."""
        self._drops += 1
        for holder in self._holders.pop(connection_id, ()):
            self._entries.pop((connection_id, holder), None)


_caches: WeakKeyDictionary[Database, _Cache] = WeakKeyDictionary()


async def grant_of(ctx: Context, connection_id: str, holder: str | None) -> Grant | None:
    """The connection's grant, as it was at most five seconds ago; else by one indexed read."""
    cache = _caches.get(ctx.database)
    if cache is None:
        cache = _caches[ctx.database] = _Cache(ctx.database)
    found = cache.get(connection_id, holder)
    if found is not None and found.workspace_id == ctx.workspace_id:
        return found
    return await cache.look(ctx, connection_id, holder)
