"""Pages for people: forms and templates around the same verbs that the API calls."""

from keyturn.web.pages import audit, connections, doctor, imports, members, oauth_clients, settings, tables, webhooks

__all__ = ["audit", "connections", "doctor", "imports", "members", "oauth_clients", "settings", "tables", "webhooks"]
from keyturn.web.pages import schedules

__all__ = ["audit", "connections", "doctor", "imports", "members", "oauth_clients", "schedules", "tables"]
