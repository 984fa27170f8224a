"""The README's story with the command line alone, on both databases."""

from __future__ import annotations

import json
import stat

import pyarrow.parquet as pq
import pytest


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_whole_story_in_a_terminal(world, steps, terminal, request, kind):
    terminal.from_scratch = True
    server = world.serve(database_url=request.getfixturevalue("postgres_url") if kind == "postgresql" else None)
    terminal.run("login", server.url, "--token-stdin", typed=steps.token + "\n")
    profiles = [path for path in terminal.home.rglob("*") if path.is_file()]
    assert [stat.S_IMODE(path.stat().st_mode) for path in profiles] == [0o600]

    redirect_uri = terminal.run("clients", "redirect-uri", "Demo CRM").strip()
    app = world.end_system.create_app(redirect_uri)
    register = ["clients", "register", "--name", "Demo CRM", "--client-id", app["client_id"], "--client-secret-stdin",
                "--authorization-url", app["authorization_url"], "--scopes", "read:orders offline_access"]  # fmt: skip
    wrong = terminal.run(*register, "--token-url", "https:/one.slash", typed=app["client_secret"], code=2)
    assert "Did you mean https://one.slash?" in wrong
    said = terminal.run(*register, "--token-url", app["token_url"], typed=app["client_secret"])
    assert "accepted" in said

    base_url = world.end_system.url + "/api/v1"
    waiting = terminal.start("connections", "connect", "acme", "--client", "Demo CRM", "--base-url", base_url)
    steps.sign_in(waiting.stderr.readline().split()[-1])
    out, err = waiting.communicate(timeout=60)
    assert (waiting.returncode, err) == (0, "")
    assert out.startswith("✓ Connected as jane@demo · scopes 2 of 2 · refresh token yes")

    terminal.run("tables", "add", "acme.orders")
    assert "next link at $.paging.next" in terminal.run("tables", "show", "acme.orders")
    assert "customer.name" in terminal.run("preview", "acme.orders", "--limit", "3")
    assert "1,234 of 1,234 rows" in terminal.run("import", "acme.orders", "--to", "orders.parquet")
    found = pq.read_table(terminal.home / "orders.parquet")
    assert (found.num_rows, found.column("id").to_pylist()[-1]) == (1234, 1234)
    items = json.loads(terminal.run("imports", "list", "--json"))["data"]
    assert [item["status"] for item in items] == ["complete"]
    assert "Healthy" in terminal.run("connections", "test", "acme", "--path", "/orders") + terminal.run(
        "connections", "show", "acme"
    )
    terminal.run("connections", "delete", "acme", "--yes")
    assert "acme" not in terminal.run("connections", "list")


def test_a_terminal_without_a_login_says_how_to_go_on(terminal):
    assert "keyturn login" in terminal.run("connections", "list", code=5)
