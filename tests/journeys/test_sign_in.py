"""The way out and back: states that are unknown, used, foreign or mixed up send no token request and spoil nothing."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest


@pytest.fixture
def server(world):
    return world.serve()


@pytest.fixture
def waiting(world, steps, server):
    """A connection and the end system's address that a bound browser was sent to."""
    client = steps.register(world, server)
    body = {
        "name": "acme",
        "base_url": world.end_system.url + "/api/v1",
        "auth": {"type": "oauth2", "oauth_client_id": client["id"]},
        "access": "only_me",
    }
    connection = steps.ok(server.api.post("/connections", json=body))
    begun = steps.ok(server.api.post(f"/connections/{connection['id']}/authorizations"))
    browser = httpx2.Client(timeout=30)
    answer = browser.post(begun["start_url"], headers={"Origin": server.url})
    assert answer.status_code == 303
    yield client, connection, begun, browser, answer.headers["location"]
    browser.close()


def allow(world, location: str) -> str:
    """Press Allow at the end system; answers where it sends the browser."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
    answer = httpx2.post(
        world.end_system.url + "/oauth2/authorize", data={**query, "decision": "allow", "account": "jane"}
    )
    return answer.headers["location"]


def test_b2_the_request_has_pkce_state_and_the_exact_redirect_uri(world, server, waiting):
    client, _, _, _, location = waiting
    query = parse_qs(urlsplit(location).query)
    assert query["redirect_uri"] == [f"{server.url}/oauth2/callback/demo-crm"] == [client["redirect_uri"]]
    assert query["code_challenge_method"] == ["S256"]
    assert len(query["state"][0]) >= 43
    assert query["response_type"] == ["code"]


@pytest.mark.parametrize("query", ["", "?state=", "?state=nope&code=x", "?state=<script>&error_description=<b>x</b>"])
def test_b5_a_callback_without_a_state_of_ours_is_a_plain_400(world, server, waiting, query):
    answer = waiting[3].get(f"{server.url}/oauth2/callback/demo-crm{query}")
    assert answer.status_code == 400
    assert "Nothing is wrong; start it again." in answer.text
    assert "<script>" not in answer.text
    assert "<b>x</b>" not in answer.text
    assert world.end_system.demo.token_requests == []


def test_b1_another_browser_cannot_finish_it_and_does_not_spoil_it(world, steps, server, waiting):
    _, _, begun, browser, location = waiting
    back = allow(world, location)
    assert httpx2.get(back).status_code == 400
    assert world.end_system.demo.token_requests == []
    done = browser.get(back, follow_redirects=True)
    assert (done.status_code, "Connected as jane@demo." in done.text) == (200, True)
    assert "code=" not in str(done.url)
    assert "state=" not in str(done.url)
    assert steps.ok(server.api.get(f"/authorizations/{begun['id']}"))["status"] == "completed"


def test_b4_a_callback_works_once(world, server, waiting):
    back = allow(world, waiting[4])
    assert waiting[3].get(back).status_code == 303
    assert waiting[3].get(back).status_code == 400
    assert len(world.end_system.demo.token_requests) == 1


def test_k1_k3_an_answer_at_another_clients_address_is_refused(world, steps, server, waiting):
    steps.register(world, server, name="Other")
    back = allow(world, waiting[4]).replace("/demo-crm?", "/other?")
    assert waiting[3].get(back).status_code == 400
    assert world.end_system.demo.token_requests == []


def test_k2_another_issuer_in_the_answer_is_refused(world, steps, server, waiting):
    client, *_ = waiting
    patch = {"advanced": {"issuer": "https://issuer.example"}}
    steps.ok(server.api.patch(f"/oauth-clients/{client['id']}", json=patch))
    done = waiting[3].get(allow(world, waiting[4]), follow_redirects=True)
    assert done.status_code == 400
    assert world.end_system.demo.token_requests == []


def test_b6_a_denied_sign_in_says_so_and_the_connection_stays_as_it_was(world, steps, server):
    connection = steps.connect(world, server, steps.register(world, server))
    begun = steps.ok(server.api.post(f"/connections/{connection['id']}/authorizations"))
    answer = steps.sign_in(begun["start_url"], decision="deny")
    assert "choose Allow" in answer.text
    ended = steps.ok(server.api.get(f"/authorizations/{begun['id']}"))
    assert (ended["status"], ended["error"]["message_code"]) == ("failed", "E-DENIED")
    assert steps.ok(server.api.get(f"/connections/{connection['id']}"))["status"] == "healthy"


def test_a4_the_host_header_does_not_change_the_redirect_uri(world, steps, server, waiting):
    begun = steps.ok(server.api.post(f"/connections/{waiting[1]['id']}/authorizations"))
    path = urlsplit(begun["start_url"]).path
    answer = httpx2.get(server.url.replace("localhost", "127.0.0.1") + path, headers={"Host": "evil.example"})
    assert answer.status_code == 307
    assert answer.headers["location"].startswith(server.url)


def test_b11_continue_from_another_site_is_refused(server, waiting, steps):
    begun = steps.ok(server.api.post(f"/connections/{waiting[1]['id']}/authorizations"))
    answer = httpx2.post(begun["start_url"], headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403


def test_f14_k3_r7_changing_the_token_url_clears_the_secret_and_sends_nothing_old_there(world, steps, server):
    connection = steps.connect(world, server, client := steps.register(world, server))
    moved = "https://elsewhere.example/token"
    changed = steps.ok(server.api.patch(f"/oauth-clients/{client['id']}", json={"token_url": moved}))
    assert changed["has_secret"] is False
    steps.ok(server.api.post(f"/oauth-clients/{client['id']}/secrets", json={"client_secret": "a-new-secret"}))
    world.end_system.demo.expire_access_tokens()
    answer = server.api.get(f"/connections/{connection['id']}/proxy/products")
    assert (answer.status_code, answer.json()["code"]) == (409, "reconnect_needed")
    assert "moved to another host" in answer.json()["detail"]


def test_a_client_in_use_is_kept_and_a_forced_delete_leaves_its_connections(world, steps, server):
    connection = steps.connect(world, server, client := steps.register(world, server))
    answer = server.api.delete(f"/oauth-clients/{client['id']}")
    assert (answer.status_code, answer.json()["dependents"][0]["name"]) == (409, "acme")
    assert server.api.delete(f"/oauth-clients/{client['id']}?force=true").status_code == 204
    left = steps.ok(server.api.get(f"/connections/{connection['id']}"))
    assert (left["oauth_client_id"], left["status"], left["status_detail"]) == (None, "not_connected", "client_deleted")
