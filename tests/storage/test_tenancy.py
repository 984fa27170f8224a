"""Every storage function that takes a workspace answers nothing about another workspace's rows, on both databases.

Tables and functions are found by themselves: a new noun is tried without being named here.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest
import sqlalchemy as sa

from keyturn import storage
from keyturn.storage.database import metadata

# By account or e-mail of one workspace: their own tests have them.
NOT_BY_WORKSPACE = {"members", "sessions", "password_resets", "audit_entries", "audit_heads"}


def tables() -> list[sa.Table]:
    """Every table of a workspace's rows, parents first."""
    return [
        table for table in metadata.sorted_tables if "workspace_id" in table.c and table.name not in NOT_BY_WORKSPACE
    ]


def values_of(table: sa.Table) -> dict[str, str]:
    """What one row of workspace a has in its keys."""
    found = {"workspace_id": "ws_a"} | ({"id": f"{table.name}_1"} if "id" in table.c else {})
    for key in table.foreign_keys:
        parent = key.column.table.name
        if parent not in {"workspaces", "members"}:
            found[key.parent.name] = "ac_a" if parent == "accounts" else f"{parent}_1"
        elif key.parent.name == "account_id":
            found["account_id"] = "ac_a"
    return found


@pytest.fixture
def rows(database, workspaces, row) -> None:
    """One row of each table in workspace a, put in without asking the verbs."""

    def write(tx) -> None:
        for table in tables():
            row(tx, table.name, **values_of(table))

    database.run_now(write)


def functions() -> list:
    """`fn(tx, workspace_id, id)` and `fn(tx, workspace_id)`: what a verb may read or remove by."""
    found = []
    for info in pkgutil.iter_modules(storage.__path__):
        if info.ispkg:
            continue
        module = importlib.import_module(f"keyturn.storage.{info.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ != module.__name__ or name.startswith("_") or name.endswith("_anywhere"):
                continue
            needed = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
            if [p.name for p in needed[:2]] != ["tx", "workspace_id"] or len(needed) > 3:
                continue
            if len(needed) == 3 and not needed[2].name.endswith("_id"):
                continue
            found.append(pytest.param(info.name, function, id=f"{info.name}.{name}"))
    return found


def id_for(module: str, name: str) -> str:
    """The id of workspace a's row that a parameter of that name means."""
    known = {table.name: f"{table.name}_1" for table in tables() if "id" in table.c}
    meant = name.removesuffix("_id")
    plural = next((table for table in known if table in {f"{meant}s", f"oauth_{meant}s"}), module)
    return known.get(plural, "x")


@pytest.mark.parametrize(("module", "function"), functions())
def test_r4_another_workspace_finds_and_changes_nothing(database, rows, module, function):
    names = [name for name, p in inspect.signature(function).parameters.items() if p.default is p.empty]
    before = database.run_now(everything)
    found = database.run_now(function, "ws_b", *(id_for(module, name) for name in names[2:]))
    assert not found or found in ({}, 0) or not holds_rows(found), (function, found)
    assert database.run_now(everything) == before


def everything(tx) -> dict[str, list]:
    """All that workspace a has."""
    return {table.name: [tuple(found) for found in tx.execute(sa.select(table).where(table.c.workspace_id == "ws_a"))]
            for table in tables()}  # fmt: skip


def holds_rows(found: object) -> bool:
    """Whether an answer shows anything of workspace a: an id of its rows, or its own."""
    words = repr(found)
    return "ws_a" in words or any(f"{table.name}_1" in words for table in tables())


def test_there_is_something_to_try_of_every_noun():
    tried = {parameters.values[0] for parameters in functions()}
    assert len(functions()) >= 50, functions()
    assert {
        "connections",
        "oauth_clients",
        "tables",
        "imports",
        "schedules",
        "webhooks",
        "destinations",
        "secrets",
        "marks",
    } <= tried


def test_every_table_of_a_workspace_has_a_row_to_be_found(database, rows):
    assert all(database.run_now(everything).values())
