"""Grants: one row holds both sealed tokens, the windows of their life, and the lease to renew them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from keyturn.model.grants import Grant
from keyturn.storage.database import Tx, metadata

grants = sa.Table(
    "grants",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    sa.Column("connection_id", sa.Text, sa.ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
    # '' is the connection's one shared grant; else the member whose own account it is. NULL would not be unique.
    sa.Column("account_id", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("access_sealed", sa.LargeBinary, nullable=False),
    sa.Column("refresh_sealed", sa.LargeBinary),
    # The private key that both tokens are bound to (RFC 9449); NULL for bearer tokens.
    sa.Column("dpop_key_sealed", sa.LargeBinary),
    sa.Column("token_type", sa.Text, nullable=False),
    sa.Column("access_expires_at", sa.Double),
    sa.Column("hard_at", sa.Double),
    sa.Column("refresh_after", sa.Double),
    sa.Column("refresh_expires_at", sa.Double),
    sa.Column("refresh_prolonged", sa.Boolean),
    sa.Column("scopes_requested", sa.JSON, nullable=False),
    sa.Column("scopes_granted", sa.JSON),
    sa.Column("account", sa.Text),
    sa.Column("client_version", sa.Integer, nullable=False),
    sa.Column("token_origin", sa.Text, nullable=False),
    sa.Column("lease_owner", sa.Text),
    sa.Column("lease_until", sa.Double),
    sa.Column("lease_epoch", sa.Integer, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_attempt_at", sa.Double),
    sa.Column("last_error_class", sa.Text),
    sa.Column("last_error_code", sa.Text),
    sa.Column("last_ok_at", sa.Double),
    sa.Column("changed_at", sa.Double, nullable=False),
    sa.Column("grant_type", sa.Text, nullable=False, server_default="authorization_code"),
    sa.Column("base_url", sa.Text),
    sa.Column("kept", sa.JSON),
    sa.UniqueConstraint("connection_id", "account_id"),
)


def insert(tx: Tx, workspace_id: str, values: dict[str, Any]) -> None:
    """A new grant; any old one of the same connection and member is gone with its tokens first."""
    tx.execute(
        grants.delete().where(
            grants.c.workspace_id == workspace_id,
            grants.c.connection_id == values["connection_id"],
            grants.c.account_id == (values["account_id"] or ""),
        )
    )
    row = {**values, "account_id": values["account_id"] or "", "lease_epoch": 0, "attempts": 0}
    tx.execute(grants.insert().values(workspace_id=workspace_id, **row))


def of_connection(tx: Tx, workspace_id: str, connection_id: str, account_id: str | None) -> Grant | None:
    """The connection's grant: shared (None) or a member's own."""
    found = sa.select(grants).where(
        grants.c.workspace_id == workspace_id,
        grants.c.connection_id == connection_id,
        grants.c.account_id == (account_id or ""),
    )
    row = tx.execute(found).one_or_none()
    return None if row is None else _noun(row)


def get(tx: Tx, workspace_id: str, grant_id: str) -> Grant | None:
    """The grant of that id."""
    row = tx.execute(
        sa.select(grants).where(grants.c.workspace_id == workspace_id, grants.c.id == grant_id)
    ).one_or_none()
    return None if row is None else _noun(row)


def lock(tx: Tx, workspace_id: str, grant_id: str) -> Grant | None:
    """The grant of that id; nobody else changes it until this transaction ends."""
    found = sa.select(grants).where(grants.c.workspace_id == workspace_id, grants.c.id == grant_id)
    row = tx.execute(found.with_for_update()).one_or_none()
    return None if row is None else _noun(row)


def all_of(tx: Tx, workspace_id: str) -> list[Grant]:
    """Every grant of the workspace."""
    return [_noun(row) for row in tx.execute(sa.select(grants).where(grants.c.workspace_id == workspace_id))]


def all_of_connection(tx: Tx, workspace_id: str, connection_id: str) -> list[Grant]:
    """Every grant of one connection: one, or one per member."""
    found = sa.select(grants).where(grants.c.workspace_id == workspace_id, grants.c.connection_id == connection_id)
    return [_noun(row) for row in tx.execute(found)]


def update(tx: Tx, workspace_id: str, grant_id: str, generation: int, values: dict[str, Any]) -> bool:
    """Set columns if the generation is still the one seen; answers whether it was."""
    found = grants.update().where(
        grants.c.workspace_id == workspace_id, grants.c.id == grant_id, grants.c.generation == generation
    )
    return tx.execute(found.values(**values)).rowcount == 1


def delete(tx: Tx, workspace_id: str, grant_id: str) -> bool:
    """Destroy one grant; answers whether it was there."""
    return (
        tx.execute(grants.delete().where(grants.c.workspace_id == workspace_id, grants.c.id == grant_id)).rowcount == 1
    )


def delete_of_connection(tx: Tx, workspace_id: str, connection_id: str) -> int:
    """Destroy a connection's grants, sealed tokens and all; answers how many."""
    found = grants.delete().where(grants.c.workspace_id == workspace_id, grants.c.connection_id == connection_id)
    return tx.execute(found).rowcount


def in_trouble_anywhere(tx: Tx, now: float, soon_seconds: float) -> list[Grant]:
    """Grants that need a person, or will soon by time alone: what nobody has to use to find it out."""
    c = grants.c
    ended = sa.and_(c.access_expires_at < now, sa.or_(c.refresh_sealed.is_(None), c.refresh_expires_at < now),
                   c.grant_type != "client_credentials")  # fmt: skip
    ends_soon = sa.and_(c.refresh_expires_at < now + soon_seconds, c.refresh_prolonged.is_not(True))
    found = sa.select(grants).where(sa.or_(c.state.in_(("reconnect_needed", "revoked")), ended, ends_soon))
    return [_noun(row) for row in tx.execute(found)]


def resume_of_client(tx: Tx, workspace_id: str, connection_ids: list[str]) -> None:
    """The OAuth client was repaired: its suspended grants are tried again at once."""
    found = grants.update().where(
        grants.c.workspace_id == workspace_id,
        grants.c.connection_id.in_(connection_ids),
        grants.c.state == "suspended",
    )
    tx.execute(found.values(state="active", reason=None, next_attempt_at=None, attempts=0))


def bind_of_client(tx: Tx, workspace_id: str, connection_ids: list[str], reason: str, changed_at: float) -> list[Grant]:
    """Bearer tokens are no longer good enough: the grants that have them need a person. Answers which they were."""
    found = grants.update().where(
        grants.c.workspace_id == workspace_id,
        grants.c.connection_id.in_(connection_ids),
        grants.c.state.in_(("active", "suspended")),
        grants.c.dpop_key_sealed.is_(None),
    )
    values = {"state": "reconnect_needed", "reason": reason, "changed_at": changed_at}
    return [_noun(row) for row in tx.execute(found.values(**values).returning(grants))]


def unbind_of_client(tx: Tx, workspace_id: str, connection_ids: list[str], reason: str) -> list[Grant]:
    """They are good enough again. Answers whose."""
    found = grants.update().where(
        grants.c.workspace_id == workspace_id, grants.c.connection_id.in_(connection_ids), grants.c.reason == reason
    )
    return [_noun(row) for row in tx.execute(found.values(state="active", reason=None).returning(grants))]


def _noun(row: Any) -> Grant:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented mapping view
    values["account_id"] = values["account_id"] or None
    values["scopes_requested"] = tuple(values["scopes_requested"])
    values["scopes_granted"] = None if values["scopes_granted"] is None else tuple(values["scopes_granted"])
    return Grant(**values)
