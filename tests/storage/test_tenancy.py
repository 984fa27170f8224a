"""Every storage function that takes a workspace answers nothing about another workspace's rows, on both databases."""

from __future__ import annotations

import inspect

import pytest
import sqlalchemy as sa

from keyturn.storage import authorizations, connections, grants, imports, notices, oauth_clients, tables
from keyturn.storage.database import metadata

IDS = {"oauth_clients": "oc_1", "connections": "cn_1", "tables": "tb_1", "imports": "im_1", "grants": "gr_1",
       "notices": "nt_1"}  # fmt: skip
NOUNS = (oauth_clients, connections, tables, imports, grants, authorizations, notices)


@pytest.fixture
def rows(database, workspaces, row) -> dict[str, str]:
    """One row of each noun in workspace a, put in without asking the verbs."""
    known = {"workspace_id": "ws_a", "account_id": "ac_a", "owner_id": "ac_a", "created_by": "ac_a",
             "oauth_client_id": "oc_1", "connection_id": "cn_1", "table_id": "tb_1"}  # fmt: skip

    def write(tx) -> None:
        for name, row_id in IDS.items():
            here = {key: value for key, value in known.items() if key in metadata.tables[name].columns}
            row(tx, name, **here, id=row_id)

    database.run_now(write)
    return IDS


def functions() -> list:
    """`fn(tx, workspace_id, id)` and `fn(tx, workspace_id)`: what a verb may read or remove by."""
    found = []
    for module in NOUNS:
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ != module.__name__ or name.startswith("_") or name.endswith("_anywhere"):
                continue
            needed = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
            if [p.name for p in needed[:2]] != ["tx", "workspace_id"] or len(needed) > 3:
                continue
            if len(needed) == 3 and not needed[2].name.endswith("_id"):
                continue
            found.append(pytest.param(module, function, len(needed), id=f"{module.__name__.rsplit('.')[-1]}.{name}"))
    return found


@pytest.mark.parametrize(("module", "function", "arity"), functions())
def test_r4_another_workspace_finds_and_changes_nothing(database, rows, module, function, arity):
    noun = module.__name__.rsplit(".", 1)[1]
    wanted = {"connection_id": "cn_1", "client_id": "oc_1", "oauth_client_id": "oc_1", "table_id": "tb_1",
              "import_id": "im_1", "grant_id": "gr_1"}  # fmt: skip
    names = list(inspect.signature(function).parameters)
    arguments = ["ws_b"] if arity == 2 else ["ws_b", wanted.get(names[2], rows.get(noun, "x"))]
    found = database.run_now(function, *arguments)
    assert not found or found in ({}, 0), (function, found)

    def count(tx) -> list[int]:
        return [tx.execute(sa.select(sa.func.count()).select_from(metadata.tables[name])).scalar_one() for name in IDS]

    assert database.run_now(count) == [1] * len(IDS)


def test_there_is_something_to_try():
    assert len(functions()) >= 12, functions()
