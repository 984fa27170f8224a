"""The audit log of a whole story, proved by the command line; a forged database is caught."""

from __future__ import annotations

import json
import sqlite3
import time

import httpx2
import pytest


def lines(server) -> list[dict]:
    return [json.loads(line) for line in server.api.get("/audit/export").text.splitlines()]


def test_r8_the_story_is_told_without_secrets_and_holds(world, steps, terminal, database_url):
    server = world.serve(database_url=database_url)
    client = steps.register(world, server)
    connection = steps.connect(world, server, client)
    steps.ok(server.api.post(f"/connections/{connection['id']}/refresh"))
    revealed = steps.ok(server.api.post(f"/connections/{connection['id']}/token"))["access_token"]
    for _ in range(3):
        steps.ok(server.api.get(f"/connections/{connection['id']}/proxy/orders"))
    sign_in = {"email": "ana@example.com", "password": "wrong", "next": "/"}
    refused = httpx2.post(server.url + "/sign-in", data=sign_in, headers={"Origin": server.url})
    assert refused.status_code == 401
    time.sleep(1.5)  # uses of API tokens are written once a second
    entries = lines(server)
    verbs = [entry["verb"] for entry in entries]
    for verb in (
        "workspace.created",
        "oauth_client.created",
        "connection.created",
        "connection.connected",
        "connection.refreshed",
        "connection.token_revealed",
        "account.sign_in_failed",
    ):
        assert verbs.count(verb) == 1, (verb, verbs)
    proxied = [e for e in entries if e["verb"] == "api_token.used" and "/proxy/" in e["details"]["route"]]
    assert sum(e["details"]["times"] for e in proxied) == 3
    assert {(e["details"]["on"], e["who"]["kind"], e["from"]) for e in proxied} == {
        (connection["id"], "program", "127.0.0.1")
    }
    text = json.dumps(entries)
    assert revealed not in text
    assert steps.token not in text
    assert "wrong" not in text
    terminal.run("login", server.url, "--token-stdin", typed=steps.token + "\n")
    assert "audit entries hold" in terminal.run("audit", "verify")
    terminal.run("audit", "export", "--to", "log.jsonl")
    head = json.loads(terminal.run("audit", "verify", "log.jsonl", "--json"))["head"]
    assert json.loads(terminal.run("audit", "verify", "--head", head, "--json"))["whole"]
    assert "connection.refreshed" in terminal.run("audit", "list", "--verb", "connection.")


def test_a_forged_log_is_caught_by_the_command(world, steps, terminal):
    server = world.serve()
    steps.register(world, server)
    terminal.run("login", server.url, "--token-stdin", typed=steps.token + "\n")
    terminal.run("audit", "verify")
    server.stop()
    with sqlite3.connect(world.tmp_path / "data" / "keyturn.db") as database:
        database.execute("drop trigger audit_entries_no_update")
        changed = "update audit_entries set line = replace(line, 'oauth_client.created', 'oauth_client.checked')"
        assert database.execute(changed).rowcount > 0
    database.close()
    server = world.serve()
    terminal.run("login", server.url, "--token-stdin", typed=steps.token + "\n")
    said = terminal.run("audit", "verify", code=1)
    assert "broken at entry" in said
    assert "it was changed" in said


def test_a_use_that_was_refused_is_told_as_refused(world, steps):
    server = world.serve()
    weak = steps.ok(server.api.post("/tokens", json={"name": "weak", "permissions": ["tables:read"]}))
    headers = {"Authorization": f"Bearer {weak['token']}"}
    assert server.api.get("/audit", headers=headers).status_code == 403
    assert server.api.get("/audit/export", headers=headers).status_code == 403
    time.sleep(1.5)
    used = [e for e in lines(server) if e["verb"] == "api_token.used" and e["subject_id"] == weak["id"]]
    assert {(e["result"], e["details"]["status"]) for e in used} == {("refused", 403)}


@pytest.mark.parametrize("query", ["cursor=x", "since=yesterday", "since=2026-01-01", "limit=0"])
def test_nonsense_is_answered_with_a_sentence(world, query):
    answer = world.serve().api.get(f"/audit?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"]
