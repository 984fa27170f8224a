"""Migrations reach what the code says, and of many replicas that start at once one migrates."""

from __future__ import annotations

import concurrent.futures
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from keyturn.storage import kept_files, schema
from keyturn.storage.database import Database, metadata
from keyturn.storage.migrate import config_for, migrate, stored_revision

assert schema


def test_the_migrated_schema_is_the_one_in_the_code(database):
    def differences(tx) -> list:
        return compare_metadata(MigrationContext.configure(tx, opts={"compare_type": True}), metadata)

    found = [item for item in database.run_now(differences) if "alembic_version" not in str(item)]
    assert found == []


def test_there_is_one_line_of_migrations_and_their_files_begin_with_their_revisions(database):
    scripts = database.run_now(lambda tx: ScriptDirectory.from_config(config_for(tx)))
    assert len(scripts.get_heads()) == 1
    names = [(Path(script.path).name.partition("_")[0], script.revision) for script in scripts.walk_revisions()]
    assert (
        [name for name, _ in names]
        == [revision for _, revision in names]
        == sorted((r for _, r in names), reverse=True)
    )


def test_a_start_on_a_schema_that_is_as_it_should_be_does_not_load_the_migrations(database_url, database):
    program = f"""
    import sys
    from keyturn.storage import schema
    from keyturn.storage.database import Database
    from keyturn.storage.migrate import migrate
    made = Database({database_url!r})
    migrate(made)
    made.close()
    print("alembic" in sys.modules)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    told = [subprocess.run(command, check=True, timeout=120, capture_output=True, text=True).stdout for _ in range(2)]
    assert told[-1].strip() == "False"


def test_a_schema_that_a_newer_release_migrated_is_left_alone(database):
    database.run_now(lambda tx: tx.execute(sa.text("update alembic_version set version_num = '9999'")))
    migrate(database)
    assert database.run_now(stored_revision) == "9999"


def test_migrating_again_changes_nothing(database):
    migrate(database)
    migrate(database)
    names = database.run_now(lambda tx: set(sa.inspect(tx).get_table_names()))
    assert set(metadata.tables) <= names


def test_replicas_that_start_at_once_do_not_collide(empty_database_url):
    program = f"""
    from keyturn.storage import schema
    from keyturn.storage.database import Database
    from keyturn.storage.migrate import migrate
    database = Database({empty_database_url!r})
    migrate(database)
    database.close()
    """

    def start(_: int) -> int:
        command = [sys.executable, "-c", textwrap.dedent(program)]
        return subprocess.run(command, check=False, timeout=120, capture_output=True).returncode

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        assert list(pool.map(start, range(3))) == [0, 0, 0]
    made = Database(empty_database_url)
    assert set(metadata.tables) <= made.run_now(lambda tx: set(sa.inspect(tx).get_table_names()))
    made.close()


def old_rows(tx) -> Callable[..., None]:
    """`row(table, **values)` in a schema of an earlier revision; what is not given and must not be null is anything."""
    known = sa.MetaData()
    known.reflect(tx)
    kinds = {sa.JSON: {}, sa.Text: "1", sa.Boolean: False}

    def row(name: str, **values: object) -> None:
        table = known.tables[name]
        needed = {
            column.name: next((value for kind, value in kinds.items() if isinstance(column.type, kind)), 1)
            for column in table.c
            if not column.nullable
        }
        tx.execute(table.insert().values(**{**needed, **values}))

    return row


def test_files_that_imports_had_left_are_known_after_the_migration(empty_database_url):
    made = Database(empty_database_url)
    migrate(made, "0025")
    file = {"name": "x.csv", "bytes": 5, "sha256": "0"}
    gone = {**file, "name": "x.incomplete.csv"}

    def put(tx) -> None:
        row = old_rows(tx)
        row("workspaces", id="ws")
        row("accounts", id="ac")
        row("connections", id="cn", workspace_id="ws", owner_id="ac", oauth_client_id=None)
        row("tables", id="tb", workspace_id="ws", connection_id="cn")
        said = {"workspace_id": "ws", "table_id": "tb", "created_by": "ac", "checkpoint": None}
        for number, (url, status, files, more) in enumerate((
            ("a/x.csv", "complete", [file], {}),
            ("a/x.csv", "complete", [{**file, "bytes": 7}], {}),
            ("a/x.csv", "incomplete", [gone], {}),
            ("/exports/x.csv", "complete", [file], {}),
            ("y.csv", "failed", [], {}),
            ("y.csv", "complete", [file], {"destination_id": "de"}),
        )):  # fmt: skip
            settings = {"table_id": "tb", "destination": {"type": "csv", "url": url, **more}}
            row("imports", id=f"im{number}", status=status, files=files, settings=settings, created_at=number,
                finished_at=number + 0.5, place=f"{number}", **said)  # fmt: skip

    made.run_now(put)
    migrate(made)
    found = made.run_now(kept_files.all_of, "ws")
    made.close()
    assert [(item.path, item.import_id, item.bytes, item.whole) for item in found] == [
        ("a/x.csv", "im1", 7, True), ("a/x.incomplete.csv", "im2", 5, False)
    ]  # fmt: skip
