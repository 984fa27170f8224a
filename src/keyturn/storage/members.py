"""Members: roles, who leaves, service accounts, and the workspaces somebody is in."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from keyturn.model.accounts import Workspace
from keyturn.storage.accounts import accounts, api_tokens, members, sessions, workspace_of, workspaces
from keyturn.storage.connections import connections
from keyturn.storage.database import Tx
from keyturn.storage.imports import imports
from keyturn.storage.oauth_clients import oauth_clients
from keyturn.storage.tables import tables


def lock_admins(tx: Tx, workspace_id: str) -> set[str]:
    """The people who administer the workspace; nobody else changes who they are until this transaction ends."""
    # The workspace's row is the lock: two admins who demote each other would both find one left otherwise.
    tx.execute(sa.select(workspaces.c.id).where(workspaces.c.id == workspace_id).with_for_update())
    c = members.c
    found = (
        sa.select(c.account_id)
        .join(accounts, accounts.c.id == c.account_id)
        .where(c.workspace_id == workspace_id, c.role == "admin", accounts.c.kind == "person")
    )
    return set(tx.execute(found).scalars())


def set_role(tx: Tx, workspace_id: str, account_id: str, role: str) -> bool:
    """Another role; answers whether they are a member."""
    c = members.c
    found = members.update().where(c.workspace_id == workspace_id, c.account_id == account_id)
    return tx.execute(found.values(role=role)).rowcount == 1


def delete(tx: Tx, workspace_id: str, account_id: str) -> bool:
    """End a membership with its sessions and API tokens here; answers whether there was one."""
    for table in (sessions, api_tokens):
        tx.execute(table.delete().where(table.c.workspace_id == workspace_id, table.c.account_id == account_id))
    c = members.c
    found = members.delete().where(c.workspace_id == workspace_id, c.account_id == account_id)
    return tx.execute(found).rowcount == 1


def insert_service_account(tx: Tx, account_id: str, name: str, now: float) -> None:
    """An account nobody signs in to: its address receives nothing (RFC 2606), its password matches nothing."""
    values = {"id": account_id, "name": name, "email": f"{account_id}@service.invalid", "password_hash": "!"}
    tx.execute(accounts.insert().values(**values, kind="service", preferences={}, created_at=now))


def memberships_anywhere(tx: Tx, account_id: str) -> list[tuple[Workspace, str]]:
    """Every workspace somebody is in, with their role there, the first they joined first."""
    found = (
        sa.select(workspaces, members.c.role)
        .join(members, members.c.workspace_id == workspaces.c.id)
        .where(members.c.account_id == account_id)
        .order_by(members.c.joined_at)
    )
    return [(workspace_of(row), row.role) for row in tx.execute(found)]


def count_api_tokens(tx: Tx, workspace_id: str, account_id: str) -> int:
    """How many API tokens a member has here."""
    c = api_tokens.c
    found = sa.select(sa.func.count()).where(c.workspace_id == workspace_id, c.account_id == account_id)
    return tx.execute(found).scalar_one()


def imports_by_connection(tx: Tx, workspace_id: str) -> dict[str, int]:
    """How many imports each connection's tables have had."""
    found = (
        sa.select(tables.c.connection_id, sa.func.count())
        .join(imports, imports.c.table_id == tables.c.id)
        .where(tables.c.workspace_id == workspace_id)
        .group_by(tables.c.connection_id)
    )
    return {row[0]: row[1] for row in tx.execute(found)}


def preferences_of(tx: Tx, workspace_id: str) -> dict[str, dict[str, Any]]:
    """What each member prefers."""
    found = sa.select(accounts.c.id, accounts.c.preferences).join(members, members.c.account_id == accounts.c.id)
    return {row.id: row.preferences for row in tx.execute(found.where(members.c.workspace_id == workspace_id))}


def set_preferences(tx: Tx, account_id: str, preferences: dict[str, Any]) -> None:
    """Store what somebody prefers."""
    tx.execute(accounts.update().where(accounts.c.id == account_id).values(preferences=preferences))


def update_workspace(tx: Tx, workspace_id: str, values: dict[str, Any]) -> bool:
    """Set columns; answers whether it is there."""
    return tx.execute(workspaces.update().where(workspaces.c.id == workspace_id).values(**values)).rowcount == 1


def delete_workspace(tx: Tx, workspace_id: str) -> bool:
    """Remove a workspace with everything in it, its service accounts too; the audit log stays."""
    # Connections first, since they forbid that their OAuth clients go.
    for table in (connections, oauth_clients):
        tx.execute(table.delete().where(table.c.workspace_id == workspace_id))
    programs = (
        sa.select(accounts.c.id)
        .join(members, members.c.account_id == accounts.c.id)
        .where(members.c.workspace_id == workspace_id, accounts.c.kind == "service")
    )
    ids = list(tx.execute(programs).scalars())
    gone = tx.execute(workspaces.delete().where(workspaces.c.id == workspace_id)).rowcount == 1
    tx.execute(accounts.delete().where(accounts.c.id.in_(ids)))
    return gone


def count_workspaces_anywhere(tx: Tx) -> int:
    """How many workspaces the deployment has."""
    return tx.execute(sa.select(sa.func.count()).select_from(workspaces)).scalar_one()
