"""Who may do what, once: roles × permissions, and the permission each verb of the API needs.

API checks, what pages offer, docs/reference/permissions.md and the tests are all derived from these two tables. An
API token is narrower still: it holds some of what its owner's role has.
"""

from __future__ import annotations

from typing import Literal

Role = Literal["admin", "editor", "viewer"]
ROLE_LABELS: dict[str, str] = {"admin": "Workspace Admin", "editor": "Editor", "viewer": "Viewer"}
ROLE_WORDS: dict[str, str] = {
    "admin": "OAuth 2.0 clients, members, settings",
    "editor": "connections, tables, imports",
    "viewer": "read shared tables",
}

PERMISSIONS: dict[str, str] = {
    "tables:read": "Read tables",
    "imports:run": "Run imports",
    "connections:use": "Call APIs through connections",
    "connections:write": "Create and change connections and tables",
    "calls:write": "Call APIs with methods other than GET and HEAD",
    "clients:write": "Register and change OAuth 2.0 clients",
    "tokens:reveal": "Read access tokens of connections",
    "audit:read": "Read the audit log",
    "workspace:admin": "Administer the workspace",
}
ROLES: dict[str, frozenset[str]] = {
    "admin": frozenset(PERMISSIONS),
    "editor": frozenset({"tables:read", "imports:run", "connections:use", "connections:write", "calls:write"}),
    "viewer": frozenset({"tables:read"}),
}
ADMIN_ONLY = ROLES["admin"] - ROLES["editor"]
# Reading a token is never implied by a role: only an API token that names it has it.
NEVER_IMPLIED = frozenset({"tokens:reveal"})

_ANYBODY: tuple[str, ...] = ()
_READERS = ("tables:read", "connections:use", "connections:write")
_ADMINS = ("workspace:admin",)
# The verb of each route, `<file of web/api>.<function>`, and the permissions of which one is enough; none: whoever
# is signed in, about themselves. The verbs ask again for whatever depends on the thing: whose it is, who shared it.
VERBS: dict[str, tuple[str, ...]] = {
    "audit.export": ("audit:read",),
    "audit.head": ("audit:read",),
    "audit.list": ("audit:read",),
    "connect_links.accept": ("connections:write",),
    "connect_links.create": ("connections:write",),
    "connect_links.get": ("connections:use", "connections:write"),
    "connect_links.list": ("connections:use", "connections:write"),
    "connect_links.reconnect": ("connections:write",),
    "connect_links.revoke": ("connections:write",),
    "connections.authorization": _READERS,
    "connections.begin": _READERS,
    "connections.create": ("connections:write",),
    "connections.decide": _READERS,
    "connections.delete": ("connections:write",),
    "connections.disconnect": ("connections:write",),
    "connections.get": _READERS,
    "connections.history": _READERS,
    "connections.list": _READERS,
    "connections.refresh": ("connections:use",),
    "connections.test": ("connections:use",),
    "connections.token": ("tokens:reveal",),
    "connections.update": ("connections:write",),
    "destinations.create": _ADMINS,
    "destinations.delete": _ADMINS,
    "destinations.get": ("imports:run",),
    "destinations.list": ("imports:run",),
    "destinations.test": _ADMINS,
    "destinations.update": _ADMINS,
    "doctor.examine": _ADMINS,
    "imports.cancel": ("imports:run",),
    "imports.create": ("imports:run",),
    "imports.download": ("tables:read",),
    "imports.files": ("tables:read",),
    "imports.get": ("tables:read",),
    "imports.list": ("tables:read",),
    "imports.rejects": ("tables:read",),
    "imports.resume": ("imports:run",),
    "imports.watch": ("tables:read",),
    "invitations.create": _ADMINS,
    "invitations.list": _ADMINS,
    "invitations.revoke": _ADMINS,
    "members.change_role": _ADMINS,
    "members.create_service_account": _ADMINS,
    "members.dependents": _ADMINS,
    "members.list": _READERS,
    "members.remove": _ADMINS,
    "members.reset_password": _ADMINS,
    "members.reset_second_factor": _ADMINS,
    "notices.list": _READERS,
    "oauth_clients.add_key": ("clients:write",),
    "oauth_clients.change_secret": ("clients:write",),
    "oauth_clients.check": ("clients:write",),
    "oauth_clients.create": ("clients:write",),
    "oauth_clients.delete": ("clients:write",),
    "oauth_clients.delete_key": ("clients:write",),
    "oauth_clients.delete_secret": ("clients:write",),
    "oauth_clients.discover": ("clients:write",),
    "oauth_clients.get": ("connections:use", "connections:write", "clients:write"),
    "oauth_clients.list": ("connections:use", "connections:write", "clients:write"),
    "oauth_clients.register": ("clients:write",),
    "oauth_clients.redirect_uri": ("clients:write",),
    "oauth_clients.replace_secret": ("clients:write",),
    "oauth_clients.update": ("clients:write",),
    "organisations.get": _ADMINS,
    "organisations.put": _ADMINS,
    "organisations.remove": _ADMINS,
    "presets.get": ("connections:use", "connections:write", "clients:write"),
    "presets.list": ("connections:use", "connections:write", "clients:write"),
    "proxy.proxy": ("connections:use",),
    "secrets.delete": _ADMINS,
    "secrets.list": ("connections:write", "workspace:admin"),
    "secrets.put": _ADMINS,
    "shares.list": _READERS,
    "shares.put": ("connections:write",),
    "shares.remove": _READERS,
    "settings.change_files": _ADMINS,
    "settings.files": _ADMINS,
    "settings.get": _ADMINS,
    "settings.test_mail": _ADMINS,
    "schedules.create": ("imports:run",),
    "schedules.delete": ("imports:run",),
    "schedules.get": ("tables:read",),
    "schedules.list": ("tables:read",),
    "schedules.preview": ("tables:read",),
    "schedules.update": ("imports:run",),
    "tables.copy": ("connections:write",),
    "tables.create": ("connections:write",),
    "tables.delete": ("connections:write",),
    "tables.detect": ("connections:use", "connections:write"),
    "tables.drafts": ("connections:use", "connections:write"),
    "tables.estimate": ("tables:read",),
    "tables.get": ("tables:read",),
    "tables.latest": ("tables:read",),
    "tables.list": _READERS,
    "tables.partitions": ("tables:read",),
    "tables.preview": ("tables:read",),
    "tables.read": ("tables:read",),
    "tables.refresh_schema": ("tables:read",),
    "tables.rejects": ("tables:read",),
    "tables.rows": ("tables:read",),
    "tables.schema": ("tables:read",),
    "tables.schema_history": ("tables:read",),
    "tables.update": ("connections:write",),
    "tokens.create": _ADMINS,
    "tokens.list": _ANYBODY,
    "tokens.me": _ANYBODY,
    "tokens.update_me": ("connections:write",),
    "tokens.revoke": _ANYBODY,
    "webhooks.create": _ADMINS,
    "webhooks.delete": _ADMINS,
    "webhooks.get": _ADMINS,
    "webhooks.list": _ADMINS,
    "webhooks.list_deliveries": _ADMINS,
    "webhooks.replace_secret": _ADMINS,
    "webhooks.retry": _ADMINS,
    "webhooks.test": _ADMINS,
    "webhooks.update": _ADMINS,
    "workspaces.create": _ADMINS,
    "workspaces.delete": _ADMINS,
    "workspaces.list": _ANYBODY,
    "workspaces.update": _ADMINS,
}


def permissions_of(role: str) -> frozenset[str]:
    """What a signed-in member of `role` may do."""
    return ROLES.get(role, frozenset[str]()) - NEVER_IMPLIED


def grantable_to(role: str) -> frozenset[str]:
    """What an API token of a member of `role` may hold: never more than its owner's role."""
    return ROLES.get(role, frozenset[str]())


def may(permissions: frozenset[str], verb: str) -> bool:
    """Whether somebody with these permissions may use a verb of `VERBS`. Raises `KeyError` for one not in it."""
    needed = VERBS[verb]
    return not needed or not permissions.isdisjoint(needed)


def as_markdown() -> str:
    """Both tables as the page of the docs."""
    lines = ["| permission | means | " + " | ".join(ROLE_LABELS.values()) + " |", "|---|---|" + "---|" * len(ROLES)]
    for name, words in PERMISSIONS.items():
        marks = [("by API token" if name in NEVER_IMPLIED else "yes") if name in ROLES[role] else "–" for role in ROLES]
        lines.append(f"| `{name}` | {words} | " + " | ".join(marks) + " |")
    lines += [
        "",
        "| verb | needs one of | " + " | ".join(ROLE_LABELS.values()) + " |",
        "|---|---|" + "---|" * len(ROLES),
    ]
    for verb, needed in sorted(VERBS.items()):
        marks = ["yes" if may(ROLES[role], verb) else "–" for role in ROLES]
        told = ", ".join(f"`{name}`" for name in needed) or "an API token"
        lines.append(f"| `{verb}` | {told} | " + " | ".join(marks) + " |")
    return "\n".join(lines) + "\n"
