"""A migrated database of each kind in turn, and two workspaces in it that must never see each other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from keyturn.model.accounts import Account, Workspace
from keyturn.storage import accounts, schema
from keyturn.storage.database import Tx, metadata

assert schema


def plain(column: sa.Column) -> object:
    """Any value the column takes."""
    by_kind = {sa.JSON: {}, sa.LargeBinary: b"x", sa.Boolean: False, sa.Integer: 1, sa.Double: 1.0}
    return next((value for kind, value in by_kind.items() if isinstance(column.type, kind)), "x")


def put_row(tx: Tx, table: str, **known: object) -> None:
    """A row of `table` without asking the verbs; what is not `known` and must not be null is anything."""
    columns = metadata.tables[table].columns
    values = {column.name: known.get(column.name, plain(column)) for column in columns
              if column.name in known or not column.nullable}  # fmt: skip
    tx.execute(metadata.tables[table].insert().values(values))


@pytest.fixture
def row() -> Callable[..., None]:
    """`row(tx, table, **known)` puts a row in."""
    return put_row


@pytest.fixture
def workspaces(database) -> tuple[str, str]:
    def write(tx) -> None:
        for name in ("a", "b"):
            accounts.insert_workspace(tx, Workspace(f"ws_{name}", name), 1.0)
            accounts.insert_account(tx, Account(f"ac_{name}", name, f"{name}@example.com", 1.0), "hash")
            accounts.insert_member(tx, f"ws_{name}", f"ac_{name}", "admin", 1.0)

    database.run_now(write)
    return "ws_a", "ws_b"
