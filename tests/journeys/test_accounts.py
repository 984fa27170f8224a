"""Who signed in, and what was granted: another account is a decision, what is missing is said at once."""

from __future__ import annotations

import re
from html import unescape

import httpx2
import pytest


@pytest.fixture
def server(world):
    return world.serve()


@pytest.fixture
def connection(world, steps, server):
    return steps.connect(world, server, steps.register(world, server))


def signed_in_as(world, steps, server, connection, account: str, browser: httpx2.Client):
    begun = steps.ok(server.api.post(f"/connections/{connection['id']}/authorizations"))
    page = steps.sign_in(begun["start_url"], account=account, browser=browser)
    return begun, page


def whoami(server, connection) -> str:
    return server.api.get(f"/connections/{connection['id']}").json()["account"]


@pytest.fixture
def browser():
    with httpx2.Client(follow_redirects=True, timeout=30) as made:
        yield made


def test_another_account_changes_nothing_until_somebody_decides(world, steps, server, connection, browser):
    begun, page = signed_in_as(world, steps, server, connection, "joe", browser)
    assert "This connection was jane@demo; you signed in as joe@demo." in page.text
    ended = steps.ok(server.api.get(f"/authorizations/{begun['id']}"))
    assert (ended["status"], ended["error"]["message_code"], ended["undecided"]) == ("failed", "E-OTHERUSER", True)
    assert whoami(server, connection) == "jane@demo"
    steps.ok(server.api.post(f"/authorizations/{begun['id']}/decide", json={"switch": True}))
    found = steps.ok(server.api.get(f"/connections/{connection['id']}"))
    assert (found["account"], found["status"]) == ("joe@demo", "healthy")
    again = server.api.post(f"/authorizations/{begun['id']}/decide", json={"switch": True})
    assert again.status_code == 404
    assert server.api.get(f"/connections/{connection['id']}/proxy/orders?limit=1").status_code == 200


def test_keeping_the_old_account_forgets_the_new_sign_in_there_too(world, steps, server, connection, browser):
    begun, _ = signed_in_as(world, steps, server, connection, "joe", browser)
    grants = world.end_system.demo.grants
    alive = sum(not grant.revoked for grant in grants.values())
    ended = steps.ok(server.api.post(f"/authorizations/{begun['id']}/decide", json={"switch": False}))
    assert (ended["status"], ended["undecided"]) == ("failed", False)
    assert whoami(server, connection) == "jane@demo"
    assert sum(not grant.revoked for grant in grants.values()) == alive - 1
    assert server.api.get(f"/connections/{connection['id']}/proxy/orders?limit=1").status_code == 200


def test_the_window_that_signed_in_may_decide_and_no_other(world, steps, server, connection, browser):
    _, page = signed_in_as(world, steps, server, connection, "joe", browser)
    done = unescape(re.search(r'name="id" value="([^"]+)"', page.text)[1])
    url, headers = f"{server.url}/oauth2/callback/done/account", {"Origin": server.url}
    stranger = httpx2.post(url, data={"id": done, "switch": "yes"}, headers=headers)
    assert stranger.status_code == 404
    assert whoami(server, connection) == "jane@demo"
    elsewhere = browser.post(url, data={"id": done, "switch": "yes"}, headers={"Origin": "https://evil.example"})
    assert elsewhere.status_code == 403
    assert browser.post(url, data={"id": done, "switch": "yes"}, headers=headers).status_code == 200
    assert whoami(server, connection) == "joe@demo"


def test_the_same_account_again_is_a_plain_reconnect(world, steps, server, connection, browser):
    _, page = signed_in_as(world, steps, server, connection, "jane", browser)
    assert "Connected as jane@demo." in page.text


@pytest.mark.parametrize("body", [{}, {"switch": "yes"}, {"switch": True, "more": 1}, []])
def test_a_decision_is_true_or_false(steps, server, connection, body):
    begun = steps.ok(server.api.post(f"/connections/{connection['id']}/authorizations"))
    assert server.api.post(f"/authorizations/{begun['id']}/decide", json=body).status_code == 422


def test_f13_without_a_refresh_token_the_end_is_said_at_once(world, steps, server, browser):
    client = steps.register(world, server, scopes="read:orders")
    connection = steps.connect(world, server, client)
    begun, page = signed_in_as(world, steps, server, connection, "jane", browser)
    assert re.search(r"Demo CRM gave no refresh token, so this stops at \d\d:\d\d UTC\.", page.text), page.text
    notes = steps.ok(server.api.get(f"/authorizations/{begun['id']}"))["notes"]
    assert [note["message_code"] for note in notes] == ["E-NOREFRESH"]
    assert steps.ok(server.api.get(f"/connections/{connection['id']}"))["status"] == "needs_attention"


def test_a7_a_scope_that_was_not_granted_is_named_at_once(world, steps, server, browser, gossip):
    settings = {
        "name": "Narrow",
        "client_id": "app",
        "client_secret": "a secret",
        "authorization_url": gossip.url + "/authorize",
        "token_url": gossip.url + "/token",
        "scopes": "read write",
    }
    gossip.scope = "read"
    server = world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS=f"127.0.0.1:{gossip.port}", data="narrow")
    client = steps.ok(server.api.post("/oauth-clients", json=settings))
    body = {
        "name": "narrow",
        "base_url": gossip.url + "/api",
        "auth": {"type": "oauth2", "oauth_client_id": client["id"]},
        "access": "only_me",
    }
    connection = steps.ok(server.api.post("/connections", json=body))
    _, page = signed_in_as(world, steps, server, connection, "jane", browser)
    assert "You asked for write but Narrow granted only read." in page.text
    found = steps.ok(server.api.get(f"/connections/{connection['id']}"))
    assert (found["status"], found["status_detail"]) == ("needs_attention", "scopes_missing")
