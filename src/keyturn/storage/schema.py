"""Every SQL table in one place, so that migrations and tests see them all."""

from __future__ import annotations

from keyturn.storage import (
    accounts,
    authorizations,
    connections,
    events,
    grants,
    imports,
    oauth_clients,
    tables,
)
from keyturn.storage.database import metadata

__all__ = [
    "accounts",
    "authorizations",
    "connections",
    "events",
    "grants",
    "imports",
    "metadata",
    "oauth_clients",
    "tables",
]
