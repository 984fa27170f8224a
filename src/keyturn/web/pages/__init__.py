"""Pages for people: forms and templates around the same verbs that the API calls."""

from keyturn.web.pages import connections, imports, oauth_clients, tables

__all__ = ["connections", "imports", "oauth_clients", "tables"]
