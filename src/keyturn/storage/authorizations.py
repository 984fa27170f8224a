"""Authorizations: attempts to sign in. Links, states and browsers are known by hash; the verifier is sealed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from keyturn.storage.database import Tx, metadata

authorizations = sa.Table(
    "authorizations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    sa.Column("connection_id", sa.Text, sa.ForeignKey("connections.id", ondelete="CASCADE"), nullable=False),
    sa.Column("oauth_client_id", sa.Text, nullable=False),
    # Of one that begins with a connect link; an attempt whose link is gone is over.
    sa.Column("connect_link_id", sa.Text, unique=True, index=True),
    sa.Column("client_version", sa.Integer, nullable=False),
    sa.Column("account_id", sa.Text, nullable=False),
    sa.Column("link_hash", sa.Text, nullable=False, unique=True),
    sa.Column("state_hash", sa.Text, unique=True),
    sa.Column("browser_hash", sa.Text),
    sa.Column("done_hash", sa.Text, unique=True),
    sa.Column("redirect_uri", sa.Text),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("verifier_sealed", sa.LargeBinary),
    sa.Column("nonce_sealed", sa.LargeBinary),
    sa.Column("dpop_key_sealed", sa.LargeBinary),
    # The token set of another account than before, until somebody says which one it shall be.
    sa.Column("held_sealed", sa.LargeBinary),
    # The code for another device, and when its server is asked next whether somebody entered it.
    sa.Column("device_sealed", sa.LargeBinary),
    sa.Column("poll_seconds", sa.Double),
    sa.Column("next_poll_at", sa.Double),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("outcome", sa.JSON),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False, index=True),
)


_SECRETS_GONE: dict[str, Any] = dict.fromkeys(
    ("state_hash", "verifier_sealed", "nonce_sealed", "dpop_key_sealed", "device_sealed", "next_poll_at")
)


def insert(tx: Tx, workspace_id: str, values: dict[str, Any]) -> None:
    """A new attempt; `values` are the other columns."""
    tx.execute(authorizations.insert().values(workspace_id=workspace_id, **values))


def count_begun_anywhere(tx: Tx, account_id: str, since: float) -> int:
    """How many attempts somebody has begun since then, in whichever workspace."""
    c = authorizations.c
    # What has ended is swept by its end, which is indexed; an attempt that began lately ends later than `since`.
    found = sa.select(sa.func.count()).where(c.expires_at > since, c.account_id == account_id, c.created_at > since)
    return tx.execute(found).scalar_one()


def get(tx: Tx, workspace_id: str, authorization_id: str) -> dict[str, Any] | None:
    """One attempt with its columns."""
    found = sa.select(authorizations).where(
        authorizations.c.workspace_id == workspace_id, authorizations.c.id == authorization_id
    )
    row = tx.execute(found).one_or_none()
    return None if row is None else row._asdict()


def by_link_anywhere(tx: Tx, link_hash: str) -> dict[str, Any] | None:
    """The attempt behind an unguessable link."""
    row = tx.execute(sa.select(authorizations).where(authorizations.c.link_hash == link_hash)).one_or_none()
    return None if row is None else row._asdict()


def by_done_anywhere(tx: Tx, done_hash: str) -> dict[str, Any] | None:
    """The attempt behind an unguessable result page."""
    row = tx.execute(sa.select(authorizations).where(authorizations.c.done_hash == done_hash)).one_or_none()
    return None if row is None else row._asdict()


def of_link(tx: Tx, workspace_id: str, connect_link_id: str) -> dict[str, Any] | None:
    """The attempt that a connect link begins."""
    found = sa.select(authorizations).where(
        authorizations.c.workspace_id == workspace_id, authorizations.c.connect_link_id == connect_link_id
    )
    row = tx.execute(found).one_or_none()
    return None if row is None else row._asdict()


def bind(tx: Tx, workspace_id: str, authorization_id: str, values: dict[str, Any]) -> bool:
    """Give a pending attempt its state and browser; a second press of Continue replaces the first's.

    A connect link stays with the browser that was first.
    """
    c = authorizations.c
    found = authorizations.update().where(
        c.workspace_id == workspace_id,
        c.id == authorization_id,
        c.status == "pending",
        sa.or_(c.connect_link_id.is_(None), c.browser_hash.is_(None), c.browser_hash == values["browser_hash"]),
    )
    return tx.execute(found.values(**values)).rowcount == 1


def take_anywhere(tx: Tx, state_hash: str) -> dict[str, Any] | None:
    """Consume a state: only the first caller gets its row (RFC 6749 §10.12; single use, before the token request)."""
    found = (
        authorizations.update()
        .where(authorizations.c.state_hash == state_hash, authorizations.c.status == "pending")
        .values(status="exchanging", state_hash=None)
        .returning(authorizations)
    )
    row = tx.execute(found).one_or_none()
    return None if row is None else row._asdict()


def peek_anywhere(tx: Tx, state_hash: str) -> dict[str, Any] | None:
    """The pending attempt of a state, without consuming it: a foreign browser must not be able to spoil it."""
    found = sa.select(authorizations).where(
        authorizations.c.state_hash == state_hash, authorizations.c.status == "pending"
    )
    row = tx.execute(found).one_or_none()
    return None if row is None else row._asdict()


def hold(
    tx: Tx, workspace_id: str, authorization_id: str, held_sealed: bytes, *, expires_at: float | None = None
) -> None:
    """Keep a token set until somebody decides, or until the attempt's end."""
    found = authorizations.update().where(
        authorizations.c.workspace_id == workspace_id, authorizations.c.id == authorization_id
    )
    later = {} if expires_at is None else {"expires_at": expires_at}
    tx.execute(found.values(held_sealed=held_sealed, **later))


def take_held(tx: Tx, workspace_id: str, authorization_id: str) -> dict[str, Any] | None:
    """The attempt with the token set it held; only the first who decides gets it."""
    mine = sa.and_(
        authorizations.c.workspace_id == workspace_id,
        authorizations.c.id == authorization_id,
        authorizations.c.held_sealed.is_not(None),
    )
    row = tx.execute(sa.select(authorizations).where(mine).with_for_update()).one_or_none()
    if row is None or tx.execute(authorizations.update().where(mine).values(held_sealed=None)).rowcount != 1:
        return None
    return row._asdict()


def finish(tx: Tx, workspace_id: str, authorization_id: str, status: str, outcome: dict[str, Any]) -> None:
    """Write how it ended and destroy what is secret about it."""
    found = authorizations.update().where(
        authorizations.c.workspace_id == workspace_id, authorizations.c.id == authorization_id
    )
    tx.execute(found.values(status=status, outcome=outcome, **_SECRETS_GONE))


def due_polls_anywhere(tx: Tx, now: float, limit: int) -> list[dict[str, Any]]:
    """Attempts on another device whose server may be asked now, those that wait longest first."""
    found = sa.select(authorizations).where(
        authorizations.c.next_poll_at <= now,
        authorizations.c.device_sealed.is_not(None),
        authorizations.c.status == "pending",
        authorizations.c.expires_at > now,
    )
    return [row._asdict() for row in tx.execute(found.order_by(authorizations.c.next_poll_at).limit(limit))]


def set_poll(tx: Tx, workspace_id: str, authorization_id: str, seen: float, values: dict[str, Any]) -> bool:
    """Say when it is asked next, if nobody else did since `seen`; answers whether it was so."""
    found = authorizations.update().where(
        authorizations.c.workspace_id == workspace_id,
        authorizations.c.id == authorization_id,
        authorizations.c.next_poll_at == seen,
        authorizations.c.status == "pending",
    )
    return tx.execute(found.values(**values)).rowcount == 1


def set_done_hash(tx: Tx, workspace_id: str, authorization_id: str, done_hash: str) -> None:
    """The result page's address, by hash."""
    found = authorizations.update().where(
        authorizations.c.workspace_id == workspace_id, authorizations.c.id == authorization_id
    )
    tx.execute(found.values(done_hash=done_hash))


def prune_anywhere(tx: Tx, before: float) -> int:
    """Remove attempts that ended before that time; answers how many."""
    return tx.execute(authorizations.delete().where(authorizations.c.expires_at < before)).rowcount
