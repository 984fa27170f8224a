"""Token URLs that answer nonsense, names that are taken, states that ended: the sentence, a 4xx, and nothing half-made."""

from __future__ import annotations

import sqlite3

import httpx2
import pytest


@pytest.fixture
def server(world, gossip):
    return world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS=f"127.0.0.1:{gossip.port}")


@pytest.fixture
def client(server, steps, gossip):
    body = {
        "name": "Gossip",
        "client_id": "app",
        "client_secret": "a secret",
        "authorization_url": gossip.url + "/authorize",
        "token_url": gossip.url + "/token",
        "scopes": "a",
    }
    return steps.ok(server.api.post("/oauth-clients", json=body))


@pytest.fixture
def settings(client, gossip):
    auth = {"type": "oauth2", "oauth_client_id": client["id"]}
    return {"name": "acme", "base_url": gossip.url + "/api", "auth": auth, "access": "only_me"}


@pytest.fixture
def connection(server, steps, settings):
    return steps.ok(server.api.post("/connections", json=settings))


SENTENCES = [
    ("web_page", "E-UPSTREAM", "Gossip is having trouble (500) and gave no token."),
    ("nothing", "E-NOTJSON", "The Token URL answered without a token."),
    ("told_with_200", "E-TOKEN", "Gossip refused the token request"),
    ("ten_megabytes", None, "answered more than 1 MB at once"),
    ("oauth_error", "E-TOKEN", "invalid_grant"),
]


@pytest.mark.parametrize(("mode", "message_code", "sentence"), SENTENCES)
def test_r10_a_sign_in_that_got_no_token_says_why_and_stores_none(
    server, steps, gossip, connection, mode, message_code, sentence
):
    gossip.mode = mode
    begun = steps.ok(server.api.post(f"/connections/{connection['id']}/authorizations"))
    page = steps.sign_in(begun["start_url"])
    assert 400 <= page.status_code < 500, page.text
    ended = steps.ok(server.api.get(f"/authorizations/{begun['id']}"))
    assert ended["status"] == "failed"
    assert sentence in ended["error"]["message"], ended
    assert message_code is None or ended["error"]["message_code"] == message_code, ended
    found = steps.ok(server.api.get(f"/connections/{connection['id']}"))
    assert (found["status"], found["generation"]) == ("not_connected", 0)


@pytest.mark.parametrize("mode", ["web_page", "nothing", "told_with_200", "ten_megabytes"])
def test_f7_a_refresh_that_got_no_token_keeps_the_one_there_is(server, steps, gossip, connection, mode):
    begun = steps.ok(server.api.post(f"/connections/{connection['id']}/authorizations"))
    steps.sign_in(begun["start_url"])
    gossip.mode = mode
    answer = server.api.post(f"/connections/{connection['id']}/refresh")
    assert answer.status_code >= 400, answer.text
    assert "canary" not in answer.text
    gossip.mode = "good"
    assert server.api.get(f"/connections/{connection['id']}/proxy/things").status_code == 200


def test_b5_a_state_that_ended_is_refused_and_sends_no_token_request(world, server, steps, gossip, connection):
    begun = steps.ok(server.api.post(f"/connections/{connection['id']}/authorizations"))
    with httpx2.Client(timeout=30) as browser:
        location = browser.post(begun["start_url"], headers={"Origin": server.url}).headers["location"]
        callback = httpx2.get(location).headers["location"]
        with sqlite3.connect(world.tmp_path / "data" / "keyturn.db") as database:
            changed = database.execute("update authorizations set expires_at = 1")
            assert changed.rowcount == 1
        page = browser.get(callback)
    assert page.status_code == 400
    assert "took over 10 minutes" in page.text, page.text
    assert "verifier" not in gossip.secrets
    assert steps.ok(server.api.get(f"/authorizations/{begun['id']}"))["status"] in {"expired", "failed"}


def test_taken_names_of_connections_and_tables_are_conflicts(server, steps, gossip, settings, connection):
    again = server.api.post("/connections", json=settings)
    assert (again.status_code, again.json()["errors"][0]["at"]) == (409, "name"), again.text
    steps.sign_in(steps.ok(server.api.post(f"/connections/{connection['id']}/authorizations"))["start_url"])
    body = {"connection_id": connection["id"], "name": "things", "path": "/things"}
    steps.ok(server.api.post("/tables", json=body))
    again = server.api.post("/tables", json=body)
    assert (again.status_code, again.json()["errors"][0]["at"]) == (409, "name"), again.text
    assert len(steps.ok(server.api.get("/tables"))["data"]) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "has space"),
        ("name", "x" * 10_000),
        ("base_url", "https:/one.slash"),
        ("base_url", "javascript:alert(1)"),
        ("base_url", "https://10.0.0.1/"),
        ("base_url", "https://user:word@a.example/"),
        ("access", "everyone"),
        ("access", None),
        ("auth", {"type": "oauth2", "oauth_client_id": "oc_ofanotherworkspace00"}),
        ("auth", {"type": "magic"}),
        ("surprise", 1),
    ],
)
def test_r9_each_field_of_a_connection_says_what_is_wrong(server, settings, field, value):
    answer = server.api.post("/connections", json={**settings, field: value})
    assert answer.status_code in {404, 422}, answer.text
    assert answer.json()["errors"][0]["at"].startswith(field) or answer.status_code == 404, answer.text
    assert server.api.get("/connections").json()["data"] == []
