"""Pages for people: forms and templates around the same verbs that the API calls."""

from keyturn.web.pages import (
    audit,
    connect_links,
    connections,
    destinations,
    doctor,
    imports,
    members,
    notices,
    oauth_clients,
    organisations,
    schedules,
    second_factors,
    settings,
    shares,
    tables,
    webhooks,
)

__all__ = [
    "audit",
    "connect_links",
    "connections",
    "destinations",
    "doctor",
    "imports",
    "members",
    "notices",
    "oauth_clients",
    "organisations",
    "schedules",
    "second_factors",
    "settings",
    "shares",
    "tables",
    "webhooks",
]
