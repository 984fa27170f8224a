"""A workspace as a file: exported, applied to a fresh deployment, and nothing left to do after it."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def exported(world, steps, terminal) -> str:
    """The file of a workspace with a client, two connections and a table; the terminal is signed in to it."""
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    by_hand = {"name": "hand", "base_url": connection["base_url"], "access": "only_me"}
    auth = {"type": "bearer", "token": "a-token-by-hand-12345"}
    body = by_hand | {"auth": auth, "headers": {"X-Api-Key": "a-header-secret"}}
    steps.ok(server.api.post("/connections", json=body))
    steps.ok(server.api.post("/tables", json={"connection_id": connection["id"], "name": "orders", "path": "/orders"}))
    terminal.run("login", server.url, "--token-stdin", typed=steps.token + "\n")
    text = terminal.run("config", "export")
    for secret in ("a-token-by-hand-12345", "a-header-secret", "secret_"):
        assert secret not in text
    assert '[tables."acme.orders"]' in text
    (terminal.home / "keyturn.toml").write_text(text)
    return text


def test_what_was_just_exported_needs_no_change_and_edits_are_told_first(exported, terminal):
    assert terminal.run("config", "plan", "keyturn.toml") == "✓ The workspace is as the file says\n"
    changed = exported.replace('path = "/orders"', 'path = "/customers"').replace(
        "[connections.hand]", "[connections.gone]"
    )
    (terminal.home / "keyturn.toml").write_text(changed)
    assert terminal.run("config", "plan", "keyturn.toml", "--prune").splitlines() == [
        "+ connections gone, asks for KEYTURN_SECRET_GONE",
        "~ tables acme.orders (path)",
        "- connections hand",
    ]
    assert "Add --yes" in terminal.run("config", "apply", "keyturn.toml", code=2)
    assert "- connections hand" in terminal.run("config", "plan", "keyturn.toml", "--prune")


def test_it_moves_to_a_fresh_deployment_that_asks_for_the_secrets(world, steps, terminal, exported):
    assert exported
    other = world.serve(data="other")
    terminal.run("login", other.url, "--token-stdin", typed=steps.token + "\n")
    refused = terminal.run("config", "apply", "keyturn.toml", "--yes", code=2)
    assert "Nothing was changed" in refused
    assert "KEYTURN_SECRET_DEMO_CRM" in refused
    assert steps.ok(other.api.get("/oauth-clients"))["data"] == []
    said = terminal.run("config", "apply", "keyturn.toml", "--dry-run")
    assert said.splitlines()[0] == "+ clients Demo CRM, asks for KEYTURN_SECRET_DEMO_CRM"
    terminal.environment |= {"KEYTURN_SECRET_DEMO_CRM": "a-new-client-secret", "KEYTURN_SECRET_HAND": "a-new-token-123"}
    done = json.loads(terminal.run("config", "apply", "keyturn.toml", "--yes", "--json"))["data"]
    assert {(change["kind"], change["name"]) for change in done} == {
        ("create", name) for name in ("Demo CRM", "acme", "hand", "acme.orders")
    }
    assert terminal.run("config", "plan", "keyturn.toml", "--prune") == "✓ The workspace is as the file says\n"
    (made,) = steps.ok(other.api.get("/oauth-clients"))["data"]
    assert made["has_secret"]
    connections = {item["name"]: item for item in steps.ok(other.api.get("/connections"))["data"]}
    assert connections["acme"]["oauth_client_id"] == made["id"]
    steps.ok(other.api.get(f"/connections/{connections['hand']['id']}/proxy/"))


def test_r3_a_file_shares_no_connection_of_somebody_else_and_the_plan_says_so(world, steps, terminal):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    other = steps.ok(server.api.post("/service-accounts", json={"name": "Li", "role": "admin"}))
    body = {"name": "li", "account_id": other["id"], "permissions": ["clients:write", "connections:write",
            "tables:read", "workspace:admin"]}  # fmt: skip
    token = steps.ok(server.api.post("/tokens", json=body))["token"]
    terminal.run("login", server.url, "--token-stdin", typed=token + "\n")
    text = "version = 1\n[connections.acme]\naccess = 'shared_account'\nrequests_per_second = 2\n"
    (terminal.home / "keyturn.toml").write_text(text)
    sentence = "Only ana can share acme."
    planned = terminal.run("config", "plan", "keyturn.toml")
    assert planned == f"~ connections acme (access, requests_per_second), will be refused: {sentence}\n"
    (told,) = json.loads(terminal.run("config", "plan", "keyturn.toml", "--json"))["data"]
    assert told["refused"] == sentence
    refused = terminal.run("config", "apply", "keyturn.toml", "--yes", code=5)
    assert f"Nothing was changed. {sentence}" in refused
    # Whoever leaves the command aside is refused by the server itself.
    url, headers = f"/connections/{connection['id']}", {"Authorization": f"Bearer {token}"}
    answer = server.api.patch(url, json={"access": "shared_account"}, headers=headers)
    assert (answer.status_code, answer.json()["detail"]) == (403, f"{sentence} You can set it to Only me.")
    after = steps.ok(server.api.get(url))
    assert (after["access"], after.get("requests_per_second")) == ("only_me", None)
    # The owner's own plan says nothing of it, and is done.
    terminal.run("login", server.url, "--token-stdin", typed=steps.token + "\n")
    assert terminal.run("config", "plan", "keyturn.toml").endswith("(access, requests_per_second)\n")
    terminal.run("config", "apply", "keyturn.toml", "--yes")
    assert steps.ok(server.api.get(url))["access"] == "shared_account"


def test_a_schedule_names_its_destination_and_comes_back_where_one_of_that_name_is(world, steps, terminal):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    table = {"connection_id": connection["id"], "name": "orders", "path": "/orders"}
    orders = steps.ok(server.api.post("/tables", json=table))
    lake = {"name": "Lake", "url": "postgresql://kt@db.invalid/lake"}
    made = steps.ok(server.api.post("/destinations", json=lake))
    there = {"type": "postgresql", "destination_id": made["id"], "table": "orders_of_acme"}
    for name, destination in (("Nightly", there), ("File", {"type": "csv", "url": "orders.csv"})):
        body = {"name": name, "table_id": orders["id"], "destination": destination}
        steps.ok(server.api.post("/schedules", json=body))
    terminal.run("login", server.url, "--token-stdin", typed=steps.token + "\n")
    text = terminal.run("config", "export")
    assert made["id"] not in text
    (terminal.home / "keyturn.toml").write_text(text)
    assert terminal.run("config", "plan", "keyturn.toml") == "✓ The workspace is as the file says\n"
    other = world.serve(data="other")
    terminal.run("login", other.url, "--token-stdin", typed=steps.token + "\n")
    terminal.environment |= {"KEYTURN_SECRET_DEMO_CRM": "a-new-client-secret"}
    refused = terminal.run("config", "apply", "keyturn.toml", "--yes", code=2)
    assert "destinations that this workspace has not: Lake" in refused
    assert steps.ok(other.api.get("/oauth-clients"))["data"] == []
    again = steps.ok(other.api.post("/destinations", json=lake))
    terminal.run("config", "apply", "keyturn.toml", "--yes")
    found = {item["name"]: item["destination"] for item in steps.ok(other.api.get("/schedules"))["data"]}
    assert (found["Nightly"]["destination_id"], found["Nightly"]["table"]) == (again["id"], "orders_of_acme")
    assert (found["File"]["destination_id"], found["File"]["url"]) == (None, "orders.csv")
    assert terminal.run("config", "plan", "keyturn.toml", "--prune") == "✓ The workspace is as the file says\n"
