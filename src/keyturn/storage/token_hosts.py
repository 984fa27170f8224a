"""Token hosts: how each authorization server does as a whole, so that its outage is not counted against each grant.

A breaker: closed while things go well; open for a while after failures in a row; then one request probes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from keyturn.model.refreshes import HOST_FAILURES, host_pause_seconds
from keyturn.storage.database import Tx, db_now, metadata

token_hosts = sa.Table(
    "token_hosts",
    metadata,
    sa.Column(
        "workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True, nullable=False
    ),
    # scheme://host:port of the Token URL
    sa.Column("origin", sa.Text, primary_key=True, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("last_code", sa.Text),
    # Set while the breaker is open; from then on, one may probe.
    sa.Column("open_until", sa.Double),
    sa.Column("probe_until", sa.Double),
    # What the clock of the server is ahead of ours, by its Date header; None until it was seen.
    sa.Column("clock_ahead_seconds", sa.Double),
    sa.Column("changed_at", sa.Double, nullable=False),
)


@dataclass(frozen=True, slots=True)
class TokenHost:
    """One authorization server as seen from one workspace. `closed_for_seconds`: until it may be tried; 0 is now."""

    origin: str
    failures: int
    last_code: str | None
    is_open: bool
    closed_for_seconds: float
    clock_ahead_seconds: float | None


def get(tx: Tx, workspace_id: str, origin: str) -> TokenHost | None:
    """What is known of it; None while nothing went wrong."""
    row = tx.execute(_selection().where(*_of(workspace_id, origin))).one_or_none()
    return None if row is None else _noun(row)


def all_of(tx: Tx, workspace_id: str) -> list[TokenHost]:
    """Every host something is known of."""
    return [_noun(row) for row in tx.execute(_selection().where(token_hosts.c.workspace_id == workspace_id))]


def take_probe(tx: Tx, workspace_id: str, origin: str, seconds: float) -> bool:
    """The right to try a host whose breaker is open and whose time has come: one at a time."""
    now = db_now()
    found = token_hosts.update().where(
        *_of(workspace_id, origin),
        token_hosts.c.open_until <= now,
        sa.or_(token_hosts.c.probe_until.is_(None), token_hosts.c.probe_until < now),
    )
    return tx.execute(found.values(probe_until=now + seconds)).rowcount == 1


def answered(tx: Tx, workspace_id: str, origin: str) -> bool:
    """It works: the breaker closes. Answers whether it was open."""
    here = token_hosts.c
    was_open = here.open_until.is_not(None)
    closed = (
        token_hosts.update()
        .where(*_of(workspace_id, origin), was_open)
        .values(failures=0, open_until=None, probe_until=None, last_code=None, changed_at=db_now())
    )
    if tx.execute(closed).rowcount == 1:
        return True
    tx.execute(
        token_hosts.update().where(*_of(workspace_id, origin), here.failures > 0).values(failures=0, last_code=None)
    )
    return False


def failed(tx: Tx, workspace_id: str, origin: str, code: str | None) -> TokenHost:
    """It did not: from some failures in a row on, the breaker opens, each time for longer."""
    here = token_hosts.c
    _ensure(tx, workspace_id, origin)
    counted = token_hosts.update().where(*_of(workspace_id, origin))
    counted = counted.values(failures=here.failures + 1, last_code=code, changed_at=db_now())
    failures = tx.execute(counted.returning(here.failures)).scalar_one()
    if failures >= HOST_FAILURES:
        until = db_now() + host_pause_seconds(failures)
        tx.execute(token_hosts.update().where(*_of(workspace_id, origin)).values(open_until=until, probe_until=None))
    host = get(tx, workspace_id, origin)
    assert host is not None  # noqa: S101 - it was counted above
    return host


def saw_clock(tx: Tx, workspace_id: str, origin: str, ahead_seconds: float) -> None:
    """How far its clock is ahead of ours; what it said before is forgotten."""
    _ensure(tx, workspace_id, origin)
    tx.execute(token_hosts.update().where(*_of(workspace_id, origin)).values(clock_ahead_seconds=ahead_seconds))


def to_probe_anywhere(tx: Tx) -> list[tuple[str, str]]:
    """Workspace and origin of each host whose breaker is open and that may be tried now."""
    now = db_now()
    found = sa.select(token_hosts.c.workspace_id, token_hosts.c.origin).where(
        token_hosts.c.open_until <= now,
        sa.or_(token_hosts.c.probe_until.is_(None), token_hosts.c.probe_until < now),
    )
    return [(row.workspace_id, row.origin) for row in tx.execute(found)]


def _ensure(tx: Tx, workspace_id: str, origin: str) -> None:
    if tx.execute(sa.select(token_hosts.c.origin).where(*_of(workspace_id, origin))).first() is not None:
        return
    try:
        with tx.begin_nested():
            tx.execute(
                token_hosts.insert().values(workspace_id=workspace_id, origin=origin, failures=0, changed_at=db_now())
            )
    except sa.exc.IntegrityError:
        # Another replica saw it at the same moment.
        return


def _of(workspace_id: str, origin: str) -> tuple[sa.ColumnElement[bool], ...]:
    return token_hosts.c.workspace_id == workspace_id, token_hosts.c.origin == origin


def _selection() -> sa.Select[tuple[object, ...]]:
    return sa.select(token_hosts, (token_hosts.c.open_until - db_now()).label("left"))


def _noun(row: sa.Row[tuple[object, ...]]) -> TokenHost:
    values = row._asdict()
    return TokenHost(
        origin=values["origin"],
        failures=values["failures"],
        last_code=values["last_code"],
        is_open=values["open_until"] is not None,
        closed_for_seconds=max(0.0, values["left"] or 0.0),
        clock_ahead_seconds=values["clock_ahead_seconds"],
    )
