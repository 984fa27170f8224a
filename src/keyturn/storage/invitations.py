"""Invitations to a workspace and links to a new password: one use, known by the hash of what is in the link."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from keyturn.storage.accounts import accounts
from keyturn.storage.database import Tx, metadata

invitations = sa.Table(
    "invitations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("link_hash", sa.Text, nullable=False, unique=True),
    sa.Column("invited_by", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
)
password_resets = sa.Table(
    "password_resets",
    metadata,
    sa.Column("link_hash", sa.Text, primary_key=True),
    sa.Column("account_id", sa.Text, sa.ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
)


def insert(tx: Tx, workspace_id: str, values: dict[str, Any]) -> None:
    """A new invitation; an older one to the same address ends."""
    c = invitations.c
    tx.execute(invitations.delete().where(c.workspace_id == workspace_id, c.email == values["email"]))
    tx.execute(invitations.insert().values(workspace_id=workspace_id, **values))


def all_of(tx: Tx, workspace_id: str, now: float) -> list[dict[str, Any]]:
    """The workspace's open invitations, newest first, with the name of who invited."""
    found = (
        sa.select(invitations, accounts.c.name.label("invited_by_name"))
        .outerjoin(accounts, accounts.c.id == invitations.c.invited_by)
        .where(invitations.c.workspace_id == workspace_id, invitations.c.expires_at > now)
        .order_by(invitations.c.created_at.desc())
    )
    return [row._asdict() for row in tx.execute(found)]


def delete(tx: Tx, workspace_id: str, invitation_id: str) -> bool:
    """Take one back; answers whether it was there."""
    c = invitations.c
    found = invitations.delete().where(c.workspace_id == workspace_id, c.id == invitation_id)
    return tx.execute(found).rowcount == 1


def by_link_anywhere(tx: Tx, link_hash: str, now: float) -> dict[str, Any] | None:
    """The open invitation behind a link."""
    c = invitations.c
    row = tx.execute(sa.select(invitations).where(c.link_hash == link_hash, c.expires_at > now)).one_or_none()
    return None if row is None else row._asdict()


def take_anywhere(tx: Tx, link_hash: str, now: float) -> dict[str, Any] | None:
    """Use an invitation up: whoever gets it is the only one."""
    c = invitations.c
    row = tx.execute(
        invitations.delete().where(c.link_hash == link_hash, c.expires_at > now).returning(*invitations.c)
    ).one_or_none()
    return None if row is None else row._asdict()


def insert_reset(tx: Tx, values: dict[str, Any]) -> None:
    """A link to a new password; older ones of the same person end."""
    c = password_resets.c
    tx.execute(password_resets.delete().where(c.account_id == values["account_id"]))
    tx.execute(password_resets.insert().values(**values))


def reset_anywhere(tx: Tx, link_hash: str, now: float) -> dict[str, Any] | None:
    """The open reset behind a link."""
    c = password_resets.c
    row = tx.execute(sa.select(password_resets).where(c.link_hash == link_hash, c.expires_at > now)).one_or_none()
    return None if row is None else row._asdict()


def take_reset_anywhere(tx: Tx, link_hash: str, now: float) -> dict[str, Any] | None:
    """Use a reset up: whoever gets it is the only one."""
    c = password_resets.c
    row = tx.execute(
        password_resets.delete().where(c.link_hash == link_hash, c.expires_at > now).returning(*password_resets.c)
    ).one_or_none()
    return None if row is None else row._asdict()


def delete_resets_of(tx: Tx, account_id: str) -> None:
    """The password changed: open links end."""
    tx.execute(password_resets.delete().where(password_resets.c.account_id == account_id))
