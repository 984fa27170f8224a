"""Every SQL table in one place, so that migrations and tests see them all."""

from __future__ import annotations

from keyturn.storage import (
    accounts,
    audit,
    authorizations,
    client_secrets,
    connections,
    deliveries,
    events,
    grants,
    imports,
    invitations,
    marks,
    members,
    notices,
    oauth_clients,
    paces,
    rejects,
    replicas,
    schedules,
    schema_changes,
    tables,
    webhooks,
)
from keyturn.storage.database import metadata

__all__ = [
    "accounts",
    "audit",
    "authorizations",
    "client_secrets",
    "connections",
    "deliveries",
    "events",
    "grants",
    "imports",
    "invitations",
    "marks",
    "members",
    "metadata",
    "notices",
    "oauth_clients",
    "paces",
    "rejects",
    "replicas",
    "schedules",
    "schema_changes",
    "tables",
    "webhooks",
]
