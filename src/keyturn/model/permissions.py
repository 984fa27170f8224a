"""Roles and permissions in one table: what a member of each role may do, and what an API token may be given."""

from __future__ import annotations

from typing import Literal

Role = Literal["admin", "editor"]
ROLE_LABELS: dict[str, str] = {"admin": "Workspace Admin", "editor": "Editor"}

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
ADMIN_ONLY = frozenset({"clients:write", "tokens:reveal", "audit:read", "workspace:admin"})
# Reading a token is never implied by a role: only an API token that names it has it.
NEVER_IMPLIED = frozenset({"tokens:reveal"})


def permissions_of(role: str) -> frozenset[str]:
    """What a signed-in member of `role` may do."""
    allowed = frozenset(PERMISSIONS) - NEVER_IMPLIED
    return allowed if role == "admin" else allowed - ADMIN_ONLY


def grantable_to(role: str) -> frozenset[str]:
    """What an API token of a member of `role` may hold: never more than its owner's role."""
    return frozenset(PERMISSIONS) if role == "admin" else frozenset(PERMISSIONS) - ADMIN_ONLY
