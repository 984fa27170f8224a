"""The notebook of the docs runs as it stands there: as a script, and in a Jupyter kernel, where a bar moves meanwhile."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "notebook.md"


@pytest.fixture
def block() -> str:
    """The lines, of which there are ten at most."""
    (found,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len([line for line in found.splitlines() if line.strip()]) <= 10
    return found


@pytest.fixture
def environment(world, steps, tmp_path) -> dict[str, str]:
    """Of a newcomer: an address and an API token."""
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    body = {"connection_id": connection["id"], "name": "orders", "path": "/orders"}
    steps.ok(server.api.post("/tables", json=body))
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KEYTURN_URL": server.url, "KEYTURN_TOKEN": steps.token}


def is_right(printed: str) -> bool:
    return "healthy" in printed and "rows=1234" in printed and printed.endswith("1234 1234\n")


def test_the_ten_lines_run(block, environment, tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", block], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=100
    )
    assert ran.returncode == 0, ran.stderr
    assert is_right(ran.stdout)


def test_the_ten_lines_run_in_a_jupyter_kernel_where_a_bar_moves(block, environment, tmp_path):
    said: list[tuple[str, dict]] = []
    kernel, client = start_new_kernel(env=environment, cwd=str(tmp_path), startup_timeout=100)
    try:
        answer = client.execute_interactive(
            block, timeout=100, output_hook=lambda told: said.append((told["msg_type"], told["content"]))
        )
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    assert answer["content"]["status"] == "ok", answer["content"]
    assert is_right("".join(content["text"] for kind, content in said if content.get("name") == "stdout"))
    drawn = [content["data"]["text/html"] for kind, content in said if kind in {"display_data", "update_display_data"}]
    assert drawn[0] == "<progress></progress> acme.orders · starting"
    assert any('max="1234"' in html for html in drawn)
    assert drawn[-1] == "", "gone when it ended"
    assert "ipywidgets" not in str(said)
