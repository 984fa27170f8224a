"""Client secrets and private keys: several for one OAuth client, in the order they are tried, sealed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from keyturn.model.client_secrets import ClientSecret
from keyturn.storage.database import Tx, metadata

oauth_client_secrets = sa.Table(
    "oauth_client_secrets",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    sa.Column("oauth_client_id", sa.Text, sa.ForeignKey("oauth_clients.id", ondelete="CASCADE"), nullable=False),
    # The lowest is tried first.
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("secret_sealed", sa.LargeBinary, nullable=False),
    sa.Column("saved_at", sa.Double, nullable=False),
    sa.Column("saved_by", sa.Text),
    # A calendar day, as the end system's console shows it.
    sa.Column("expires_on", sa.Text),
    sa.Column("last_ok_at", sa.Double),
    sa.Column("last_refused_at", sa.Double),
    # Only of a private key of ours: its public half (RFC 7517). NULL for a secret that the end system gave.
    sa.Column("public_key", sa.JSON(none_as_null=True)),
    sa.Index("ix_oauth_client_secrets_client", "workspace_id", "oauth_client_id", "position"),
)


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """A stored secret with its sealed value."""

    secret: ClientSecret
    sealed: bytes = field(repr=False)


def insert_first(tx: Tx, workspace_id: str, oauth_client_id: str, values: dict[str, Any]) -> None:
    """A new secret or key, tried before all others of its client."""
    least = sa.select(sa.func.min(oauth_client_secrets.c.position)).where(*_of(workspace_id, oauth_client_id))
    position = (tx.execute(least).scalar_one_or_none() or 0) - 1
    row = {"workspace_id": workspace_id, "oauth_client_id": oauth_client_id, "position": position, **values}
    tx.execute(oauth_client_secrets.insert().values(**row))


def all_of_client(tx: Tx, workspace_id: str, oauth_client_id: str, *, keys: bool | None = None) -> list[SealedSecret]:
    """The secrets and keys of an OAuth client in their order, or one of both kinds."""
    found = sa.select(oauth_client_secrets).where(*_of(workspace_id, oauth_client_id, keys=keys))
    rows = tx.execute(found.order_by(oauth_client_secrets.c.position, oauth_client_secrets.c.id))
    return [SealedSecret(_noun(row), row.secret_sealed) for row in rows]


def clients_with_last_day_anywhere(tx: Tx) -> list[tuple[str, str]]:
    """(workspace, OAuth client) of each secret whose last day is known."""
    c = oauth_client_secrets.c
    found = sa.select(c.workspace_id, c.oauth_client_id).where(c.expires_on.is_not(None)).distinct()
    return [(row.workspace_id, row.oauth_client_id) for row in tx.execute(found)]


def all_of(tx: Tx, workspace_id: str) -> list[ClientSecret]:
    """The secrets of every OAuth client of the workspace, each client's in their order."""
    found = sa.select(oauth_client_secrets).where(oauth_client_secrets.c.workspace_id == workspace_id)
    return [_noun(row) for row in tx.execute(found.order_by(oauth_client_secrets.c.position, "id"))]


def exists(tx: Tx, workspace_id: str, oauth_client_id: str, secret_id: str) -> bool:
    """Whether the client has that secret; keys are none."""
    found = sa.select(oauth_client_secrets.c.id).where(*_of(workspace_id, oauth_client_id, keys=False))
    return tx.execute(found.where(oauth_client_secrets.c.id == secret_id)).first() is not None


def make_first(tx: Tx, workspace_id: str, oauth_client_id: str, secret_id: str) -> None:
    """Let it be tried before all others of its client."""
    least = sa.select(sa.func.min(oauth_client_secrets.c.position)).where(*_of(workspace_id, oauth_client_id))
    position = (tx.execute(least).scalar_one_or_none() or 0) - 1
    update(tx, workspace_id, oauth_client_id, secret_id, {"position": position})


def update(tx: Tx, workspace_id: str, oauth_client_id: str, secret_id: str, values: dict[str, Any]) -> bool:
    """Set columns of one secret; answers whether it was there."""
    found = oauth_client_secrets.update().where(*_of(workspace_id, oauth_client_id))
    return tx.execute(found.where(oauth_client_secrets.c.id == secret_id).values(**values)).rowcount == 1


def delete(tx: Tx, workspace_id: str, oauth_client_id: str, secret_id: str, *, key: bool = False) -> bool:
    """Remove one secret, or one key; answers whether it was there."""
    found = oauth_client_secrets.delete().where(*_of(workspace_id, oauth_client_id, keys=key))
    return tx.execute(found.where(oauth_client_secrets.c.id == secret_id)).rowcount == 1


def delete_of_client(tx: Tx, workspace_id: str, oauth_client_id: str, *, keys: bool = False) -> int:
    """Remove all secrets of an OAuth client, or all its keys; answers how many."""
    found = oauth_client_secrets.delete().where(*_of(workspace_id, oauth_client_id, keys=keys))
    return tx.execute(found).rowcount


def _of(workspace_id: str, oauth_client_id: str, *, keys: bool | None = None) -> tuple[sa.ColumnElement[bool], ...]:
    columns = oauth_client_secrets.c
    mine = (columns.workspace_id == workspace_id, columns.oauth_client_id == oauth_client_id)
    if keys is None:
        return mine
    return (*mine, columns.public_key.is_not(None) if keys else columns.public_key.is_(None))


def _noun(row: Any) -> ClientSecret:
    return ClientSecret(
        id=row.id,
        oauth_client_id=row.oauth_client_id,
        saved_at=row.saved_at,
        saved_by=row.saved_by,
        expires_on=row.expires_on,
        last_ok_at=row.last_ok_at,
        last_refused_at=row.last_refused_at,
        public_key=row.public_key,
    )
