"""Incidents: one trouble with an OAuth client, one row, however many connections meet it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from keyturn.storage.database import Tx, db_now, metadata

incidents = sa.Table(
    "incidents",
    metadata,
    sa.Column(
        "oauth_client_id",
        sa.Text,
        sa.ForeignKey("oauth_clients.id", ondelete="CASCADE"),
        primary_key=True,
        nullable=False,
    ),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    # client_dead or config
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    # suspected (too few connections met it), open, or repaired (changed since, and not tried yet)
    sa.Column("state", sa.Text, nullable=False),
    # The connections that met it while it was only suspected.
    sa.Column("connections", sa.JSON, nullable=False),
    sa.Column("began_at", sa.Double, nullable=False),
    sa.Column("next_probe_at", sa.Double),
    sa.Index("ix_incidents_next_probe", "next_probe_at"),
)


@dataclass(frozen=True, slots=True)
class Incident:
    """One trouble with one OAuth client. Times are epoch seconds."""

    oauth_client_id: str
    workspace_id: str
    outcome: str
    code: str
    state: str
    connections: tuple[str, ...]
    began_at: float


def get(tx: Tx, workspace_id: str, oauth_client_id: str) -> Incident | None:
    """The client's incident, if there is one."""
    row = tx.execute(sa.select(incidents).where(*_of(workspace_id, oauth_client_id))).one_or_none()
    return None if row is None else _noun(row)


def put(tx: Tx, workspace_id: str, oauth_client_id: str, values: dict[str, Any]) -> None:
    """Write it, over what was known before; when it began stays."""
    found = incidents.update().where(*_of(workspace_id, oauth_client_id)).values(**values)
    if tx.execute(found).rowcount == 1:
        return
    row = {"workspace_id": workspace_id, "oauth_client_id": oauth_client_id, "began_at": db_now(), **values}
    try:
        with tx.begin_nested():
            tx.execute(incidents.insert().values(**row))
    except sa.exc.IntegrityError:
        # Another replica met it at the same moment.
        tx.execute(found)


def update(tx: Tx, workspace_id: str, oauth_client_id: str, values: dict[str, Any]) -> bool:
    """Set columns of the client's incident; answers whether there is one."""
    return tx.execute(incidents.update().where(*_of(workspace_id, oauth_client_id)).values(**values)).rowcount == 1


def delete(tx: Tx, workspace_id: str, oauth_client_id: str) -> bool:
    """It is over; answers whether there was one."""
    return tx.execute(incidents.delete().where(*_of(workspace_id, oauth_client_id))).rowcount == 1


def take_probes_anywhere(tx: Tx, seconds: float) -> list[Incident]:
    """Open incidents whose time to be looked at has come; the next look is `seconds` later."""
    now = db_now()
    found = incidents.update().where(incidents.c.state == "open", incidents.c.next_probe_at <= now)
    taken = tx.execute(found.values(next_probe_at=now + seconds).returning(incidents))
    return [_noun(row) for row in taken]


def _of(workspace_id: str, oauth_client_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return incidents.c.workspace_id == workspace_id, incidents.c.oauth_client_id == oauth_client_id


def _noun(row: Any) -> Incident:
    return Incident(
        oauth_client_id=row.oauth_client_id,
        workspace_id=row.workspace_id,
        outcome=row.outcome,
        code=row.code,
        state=row.state,
        connections=tuple(row.connections),
        began_at=row.began_at,
    )
