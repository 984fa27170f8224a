"""A server that registers our client by itself (RFC 7591): oidc-provider, with and without an initial access token."""

from __future__ import annotations

import httpx2
import pytest

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]


def registered(server, theirs, **more) -> httpx2.Response:
    body = {"issuer": theirs.url, "name": "By itself", "scopes": "openid email offline_access", **more}
    return server.api.post("/oauth-clients/registrations", json=body)


def test_i4_a_registered_client_signs_people_in_and_is_forgotten_with_ours(world, steps, person, oidc_provider):
    server = world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS="127.0.0.1")
    theirs = oidc_provider("http://127.0.0.1/unused")
    found = steps.ok(server.api.post("/oauth-clients/discover", json={"issuer": theirs.url}))
    assert found["registers"] is True
    client = steps.ok(registered(server, theirs))
    (made,) = steps.ok(server.api.get("/audit", params={"verb": "oauth_client.created"}))["data"]
    assert (made["subject_id"], made["who"]["kind"], made["result"]) == (client["id"], "program", "ok")
    assert client["has_secret"] is True
    assert client["redirect_uri"].endswith("/oauth2/callback/by-itself")
    assert steps.ok(server.api.post(f"/oauth-clients/{client['id']}/check"))["verdict"] == "accepted"
    params = {"advanced": {"authorize": {"params": {"prompt": "consent"}}}}
    steps.ok(server.api.patch(f"/oauth-clients/{client['id']}", json=params))
    body = {"name": "them", "base_url": theirs.url, "access": "only_me",
            "auth": {"type": "oauth2", "oauth_client_id": client["id"]}}  # fmt: skip
    connection = steps.ok(server.api.post("/connections", json=body))
    begun = steps.ok(server.api.post(f"/connections/{connection['id']}/authorizations"))
    person(begun["start_url"], theirs.answers)
    ended = steps.ok(server.api.get(f"/authorizations/{begun['id']}"))
    assert ended["status"] == "completed", ended
    steps.ok(server.api.post(f"/connections/{connection['id']}/refresh"))
    known = {"client_id": client["client_id"], "response_type": "code", "scope": "openid", "redirect_uri": "https://x"}
    before = httpx2.get(theirs.url + "/auth", params=known).text
    steps.ok(server.api.delete(f"/oauth-clients/{client['id']}", params={"force": "true"}))
    after = httpx2.get(theirs.url + "/auth", params=known).text
    assert "redirect_uri" in before
    assert "invalid_client" in after


def test_i4_an_initial_access_token_is_asked_for_and_used_once(world, steps, oidc_provider, terminal):
    server = world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS="127.0.0.1")
    theirs = oidc_provider("http://127.0.0.1/unused", registration_token="an-initial-token")
    refused = registered(server, theirs)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["at"] == "initial_access_token"
    assert steps.ok(server.api.get("/oauth-clients"))["data"] == []
    terminal.environment |= {"KEYTURN_URL": server.url, "KEYTURN_TOKEN": steps.token}
    said = terminal.run(
        "clients", "register-at", theirs.url, "--name", "By itself", "--initial-access-token-stdin",
        typed="an-initial-token\n",
    )  # fmt: skip
    assert "Client Secret" in said
    assert "an-initial-token" not in server.log
    taken = registered(server, theirs, initial_access_token="an-initial-token")
    assert (taken.status_code, taken.json()["errors"][0]["at"]) == (409, "name")
