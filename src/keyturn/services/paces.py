"""One pace for all readers of a connection, on all replicas: a row of the database, on its clock."""

from __future__ import annotations

import time

from keyturn.model.connections import Connection
from keyturn.rest.pace import Gate, Pace
from keyturn.services.context import Context
from keyturn.storage import paces as rows

_GATES_MOST = 10_000
# What another replica was told is known here this much later at most.
_LOOK_SECONDS = 0.5
_gates: dict[str, Gate] = {}
_looked_at: dict[str, float] = {}


class SharedPace(Pace):
    """The pace of one reader. `per_second` is the lower of its table's and its connection's cap."""

    def __init__(self, ctx: Context, connection: Connection, per_second: float | None) -> None:
        super().__init__(per_second=per_second, gate=_gates.setdefault(connection.id, Gate()))
        self._ctx, self._connection_id = ctx, connection.id
        if len(_gates) > _GATES_MOST:
            oldest = next(iter(_gates))
            _gates.pop(oldest)
            _looked_at.pop(oldest, None)

    async def look(self) -> None:
        """Learn whether another replica was asked to wait."""
        now = time.monotonic()
        if now - _looked_at.get(self._connection_id, -1.0) < _LOOK_SECONDS:
            return
        _looked_at[self._connection_id] = now
        ctx = self._ctx
        closed = await ctx.database.read(rows.closed_seconds, ctx.workspace_id, self._connection_id)
        if closed > self.closed_seconds() + _LOOK_SECONDS:
            self.hold(closed)

    async def tell(self, seconds: float) -> None:
        """Let every replica know that the API asked to wait."""
        ctx = self._ctx
        await ctx.database.run(rows.hold, ctx.workspace_id, self._connection_id, seconds)

    async def turn(self) -> float:
        """The next turn of the connection, whichever replica asks."""
        if self.per_second is None:
            return 0.0
        ctx = self._ctx
        return await ctx.database.run(rows.turn_seconds, ctx.workspace_id, self._connection_id, self.per_second)


def pace_of(ctx: Context, connection: Connection, per_second: float | None) -> SharedPace:
    """The pace of a reader of the connection, with its table's own cap."""
    caps = [cap for cap in (per_second, connection.settings.requests_per_second) if cap is not None]
    return SharedPace(ctx, connection, min(caps, default=None))
