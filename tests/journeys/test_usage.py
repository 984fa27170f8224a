"""The lines of a table's Use it tab run as they are, each in a process of its own."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from keyturn.model.tables import Table, TableSettings
from keyturn.web.pages.table_usage import usages

ROWS = 1234


@pytest.fixture
def ways(world, steps, tmp_path):
    """The ways by name, and how a shell runs them with the login of a profile."""
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    body = {"connection_id": connection["id"], "name": "orders", "path": "/orders"}
    found = steps.ok(server.api.post("/tables", json=body))
    item = steps.ok(server.api.post("/imports", json={"table_id": found["id"], "destination": {"url": "o.parquet"}}))
    steps.wait_for_import(server, item["id"])
    table = Table(
        id=found["id"], workspace_id="", connection_name=connection["name"], settings=TableSettings(**body),
        columns=None, evidence=(), created_at=0.0, updated_at=0.0,
    )  # fmt: skip
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(tmp_path), "KEYTURN_URL": server.url,
                   "KEYTURN_TOKEN": steps.token}  # fmt: skip

    def run(*command: str) -> str:
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return {way.id: way.lines for way in usages(table, (), server.url)}, run


def test_what_a_table_asks_for_each_time_is_in_the_lines():
    asked = [{"name": "region", "type": "text"}, {"name": "top", "type": "integer"}, {"name": "d", "default": "x"}]
    settings = {"connection_id": "cn_1", "name": "orders", "path": "/{{region}}/{{top}}/{{d}}", "parameters": asked}
    table = Table("tb_1", "ws_1", "acme", TableSettings.model_validate(settings), None, (), 0.0, 0.0)
    lines = {way.id: way.lines for way in usages(table, table.settings.parameters[:2], "https://k.example")}
    assert "read(region='text', top=1)" in lines["python"]
    assert lines["cli"] == "keyturn import acme.orders --to orders.parquet --param region=text --param top=1"
    assert lines["curl"].endswith('/rows?format=csv&param.region=text&param.top=1"')


def test_every_way_reads_the_whole_table(ways, tmp_path):
    lines, run = ways
    assert f"[{ROWS} rows x" in run(sys.executable, "-c", lines["python"])
    assert len(json.loads(run("sh", "-c", lines["sql"] + " --json"))["rows"]) == 10
    run("sh", "-c", lines["cli"])
    import pyarrow.parquet as pq

    assert pq.read_table(tmp_path / "orders.parquet").num_rows == ROWS
    assert len(list(csv.reader(io.StringIO(run("sh", "-c", lines["curl"]))))) == ROWS + 1
    got = run("sh", "-c", f'curl --fail -H "Authorization: Bearer $KEYTURN_TOKEN" -o latest.parquet {lines["bi"]}')
    assert got == ""
    assert pq.read_table(tmp_path / "latest.parquet").num_rows == ROWS
