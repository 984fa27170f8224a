"""OAuth 2.0 clients: settings as one JSON column, identity and status as columns. Secrets have a table."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from keyturn.model.oauth_clients import OAuthClient, OAuthClientSettings
from keyturn.model.validation import stored
from keyturn.storage.database import Tx, metadata

oauth_clients = sa.Table(
    "oauth_clients",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id", ondelete="CASCADE"), nullable=False),
    # What makes two names the same to a person: case folded.
    sa.Column("name_key", sa.Text, nullable=False),
    sa.Column("slug", sa.Text, nullable=False, unique=True),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("token_auth", sa.Text),
    # What manages a registration that the server made by itself.
    sa.Column("registration_sealed", sa.LargeBinary),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    sa.UniqueConstraint("workspace_id", "name_key"),
)


def insert(tx: Tx, workspace_id: str, values: dict[str, Any]) -> None:
    """A new OAuth client; `values` are the other columns. Raises sqlalchemy IntegrityError on a taken name or slug."""
    tx.execute(oauth_clients.insert().values(workspace_id=workspace_id, **values))


def slug_taken_anywhere(tx: Tx, slug: str) -> bool:
    """Whether any OAuth client of the deployment has that slug."""
    return tx.execute(sa.select(oauth_clients.c.id).where(oauth_clients.c.slug == slug)).first() is not None


def by_slug_anywhere(tx: Tx, slug: str) -> tuple[str, str] | None:
    """(workspace id, OAuth client id) behind a redirect URI."""
    found = sa.select(oauth_clients.c.workspace_id, oauth_clients.c.id).where(oauth_clients.c.slug == slug)
    row = tx.execute(found).one_or_none()
    return None if row is None else (row.workspace_id, row.id)


def name_taken(tx: Tx, workspace_id: str, name_key: str, *, except_id: str | None = None) -> bool:
    """Whether another OAuth client of the workspace has that name."""
    found = sa.select(oauth_clients.c.id).where(
        oauth_clients.c.workspace_id == workspace_id, oauth_clients.c.name_key == name_key
    )
    if except_id is not None:
        found = found.where(oauth_clients.c.id != except_id)
    return tx.execute(found).first() is not None


def get(tx: Tx, workspace_id: str, client_id: str) -> OAuthClient | None:
    """One OAuth client, without counts, secrets and redirect URI (verbs add them)."""
    found = sa.select(oauth_clients).where(
        oauth_clients.c.workspace_id == workspace_id, oauth_clients.c.id == client_id
    )
    row = tx.execute(found).one_or_none()
    return None if row is None else _noun(row)


def all_of(tx: Tx, workspace_id: str) -> list[OAuthClient]:
    """The workspace's OAuth clients by name."""
    found = sa.select(oauth_clients).where(oauth_clients.c.workspace_id == workspace_id)
    return [_noun(row) for row in tx.execute(found.order_by(oauth_clients.c.name_key))]


def sealed_registration(tx: Tx, workspace_id: str, client_id: str) -> bytes | None:
    """What manages a registration that the server made by itself, sealed."""
    found = sa.select(oauth_clients.c.registration_sealed).where(
        oauth_clients.c.workspace_id == workspace_id, oauth_clients.c.id == client_id
    )
    return tx.execute(found).scalar_one_or_none()


def update(tx: Tx, workspace_id: str, client_id: str, values: dict[str, Any]) -> bool:
    """Set columns; answers whether it was there."""
    found = oauth_clients.update().where(oauth_clients.c.workspace_id == workspace_id, oauth_clients.c.id == client_id)
    return tx.execute(found.values(**values)).rowcount == 1


def delete(tx: Tx, workspace_id: str, client_id: str) -> bool:
    """Remove it; the database refuses while a connection still points at it."""
    found = oauth_clients.delete().where(oauth_clients.c.workspace_id == workspace_id, oauth_clients.c.id == client_id)
    return tx.execute(found).rowcount == 1


def _noun(row: Any) -> OAuthClient:
    return OAuthClient(
        id=row.id,
        workspace_id=row.workspace_id,
        slug=row.slug,
        settings=stored(OAuthClientSettings, row.settings),
        redirect_uri="",
        version=row.version,
        token_auth=row.token_auth,
        created_at=row.created_at,
        updated_at=row.updated_at,
        created_by=row.created_by,
    )
