"""Webhooks: settings as one JSON column, their secrets sealed; the secret before it signs too for a while."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from keyturn.model.validation import stored
from keyturn.model.webhooks import Webhook, WebhookSettings
from keyturn.storage.database import Tx, metadata
from keyturn.storage.deliveries import given_up_by_target

webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("secret_sealed", sa.LargeBinary, nullable=False),
    sa.Column("old_secret_sealed", sa.LargeBinary),
    sa.Column("old_until", sa.Double),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
)


def insert(tx: Tx, workspace_id: str, values: dict[str, Any]) -> None:
    """A new webhook; `values` are the other columns."""
    tx.execute(webhooks.insert().values(workspace_id=workspace_id, **values))


def all_of(tx: Tx, workspace_id: str) -> list[Webhook]:
    """The workspace's webhooks, the oldest first."""
    found = sa.select(webhooks).where(webhooks.c.workspace_id == workspace_id).order_by(webhooks.c.created_at)
    counts = given_up_by_target(tx, workspace_id)
    return [_noun(row, counts) for row in tx.execute(found)]


def get(tx: Tx, workspace_id: str, webhook_id: str) -> Webhook | None:
    """One webhook."""
    found = sa.select(webhooks).where(webhooks.c.workspace_id == workspace_id, webhooks.c.id == webhook_id)
    row = tx.execute(found).one_or_none()
    return None if row is None else _noun(row, given_up_by_target(tx, workspace_id))


def sealed(tx: Tx, workspace_id: str, webhook_id: str, now: float) -> dict[str, bytes]:
    """The sealed secrets that sign now, by the name of their column."""
    c = webhooks.c
    found = sa.select(c.secret_sealed, c.old_secret_sealed, c.old_until).where(
        c.workspace_id == workspace_id, c.id == webhook_id
    )
    row = tx.execute(found).one_or_none()
    if row is None:
        return {}
    both = {"secret_sealed": row.secret_sealed}
    if row.old_secret_sealed is not None and (row.old_until or 0.0) > now:
        both["old_secret_sealed"] = row.old_secret_sealed
    return both


def update(tx: Tx, workspace_id: str, webhook_id: str, values: dict[str, Any]) -> bool:
    """Set columns; answers whether it was there."""
    found = webhooks.update().where(webhooks.c.workspace_id == workspace_id, webhooks.c.id == webhook_id)
    return tx.execute(found.values(**values)).rowcount == 1


def delete(tx: Tx, workspace_id: str, webhook_id: str) -> bool:
    """Remove it; answers whether it was there."""
    found = webhooks.delete().where(webhooks.c.workspace_id == workspace_id, webhooks.c.id == webhook_id)
    return tx.execute(found).rowcount == 1


def _noun(row: Any, counts: dict[str, int]) -> Webhook:
    return Webhook(
        row.id,
        row.workspace_id,
        stored(WebhookSettings, row.settings),
        row.created_at,
        row.updated_at,
        counts.get(row.id, 0),
    )
