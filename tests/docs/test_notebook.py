"""The notebook of the docs runs as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "notebook.md"


def test_the_ten_lines_run(world, steps, tmp_path):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    body = {"connection_id": connection["id"], "name": "orders", "path": "/orders"}
    steps.ok(server.api.post("/tables", json=body))
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len([line for line in block.splitlines() if line.strip()]) <= 10
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "KEYTURN_URL": server.url,
        "KEYTURN_TOKEN": steps.token,
    }
    ran = subprocess.run(
        [sys.executable, "-c", block], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=100
    )
    assert ran.returncode == 0, ran.stderr
    assert "healthy" in ran.stdout
    assert "rows=1234" in ran.stdout
    assert ran.stdout.endswith("1234 1234\n")
