"""The program of the docs that embeds us runs as it stands there, and is not fooled by a link that was passed on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx2

from world import free_port

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "connect-links.md"


def prepared(world, steps, server, here: str) -> str:
    """What its page says a Workspace Admin does once; answers the service account's API token."""
    client = steps.register(world, server)
    listed = {"advanced": {"allowed_hosts": ["127.0.0.1"], "return_urls": [f"{here}/connected"]}}
    steps.ok(server.api.patch(f"/oauth-clients/{client['id']}", json=listed))
    account = steps.ok(server.api.post("/service-accounts", json={"name": "Northwind Analytics", "role": "editor"}))
    body = {"name": "e", "account_id": account["id"], "permissions": ["connections:write", "connections:use"]}
    return steps.ok(server.api.post("/tokens", json=body))["token"]


def running(program: subprocess.Popen, here: str, said: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert program.poll() is None, said.read_text("utf-8")
        try:
            httpx2.get(here)
        except httpx2.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("it did not start")


def test_the_program_connects_its_users_and_takes_no_link_that_was_passed_on(world, steps, tmp_path):
    here = f"http://127.0.0.1:{free_port()}"
    server = world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS="127.0.0.1")
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KEYTURN_URL": server.url, "HERE": here,
                   "KEYTURN_TOKEN": prepared(world, steps, server, here), "API": world.end_system.url + "/api/v1"}  # fmt: skip
    said = tmp_path / "said.log"
    with said.open("w") as log:
        program = subprocess.Popen([sys.executable, "-c", blocks[0]], env=environment, stderr=log, stdout=log)
    try:
        running(program, here, said)
        with httpx2.Client(timeout=30, follow_redirects=True) as user:
            assert "Connect your Demo CRM" in user.get(here).text
            page = user.post(f"{here}/connect")
            assert "Northwind Analytics" in page.text
            done = steps.sign_in(str(page.url), browser=user)
            assert "Your orders: " in done.text
        # Somebody has a link made, and another person signs in by it: their data does not come in.
        with httpx2.Client(timeout=30) as attacker:
            passed_on = attacker.post(f"{here}/connect").headers["location"]
            victim = steps.sign_in(passed_on, account="joe")
            assert (victim.status_code, "Nothing was connected." in victim.text) == (403, True)
            assert "Connect your Demo CRM" in attacker.get(here).text
        found = steps.ok(server.api.get("/connections"))["data"]
        assert sorted(one["status"] for one in found) == ["healthy", "not_connected"]
    finally:
        program.terminate()
        program.wait(10)
