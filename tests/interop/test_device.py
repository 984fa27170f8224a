"""Signing in on another device (RFC 8628) against oidc-provider, over the command line, through a restart of ours."""

from __future__ import annotations

import re
import time

import httpx2
import pytest

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]


def test_j1_oidc_provider_signs_in_by_a_code_also_through_a_restart(world, steps, person, oidc_provider, terminal):
    server = world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS="127.0.0.1")
    theirs = oidc_provider("http://127.0.0.1/unused")
    found = steps.ok(server.api.post("/oauth-clients/discover", json={"issuer": theirs.url}))["settings"]
    client = steps.ok(server.api.post("/oauth-clients", json={
        "name": "Theirs", "authentication_type": "rest_api_oauth2_device_code", "client_id": "device",
        "client_secret": "device-secret", "token_url": found["token_url"], "scopes": "openid email offline_access",
        "advanced": {**found["advanced"], "allowed_hosts": ["127.0.0.1"]},
    }))  # fmt: skip
    assert steps.ok(server.api.post(f"/oauth-clients/{client['id']}/check"))["verdict"] == "accepted"
    terminal.environment |= {"KEYTURN_URL": server.url, "KEYTURN_TOKEN": steps.token}
    said = terminal.run("connections", "connect", "theirs", "--base-url", theirs.url, "--no-wait")
    address, code = re.search(r"(http\S+)  and enter the code  (\S+)", said).groups()
    begun = steps.ok(server.api.post(f"/connections/{_id(steps, server)}/authorizations"))
    server.kill()
    server = world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS="127.0.0.1")
    attempt = steps.ok(server.api.get(f"/authorizations/{begun['id']}"))
    assert attempt["status"] == "pending"
    assert (attempt["device"]["verification_uri"], len(code)) == (address, len(attempt["device"]["user_code"]))
    page = person(attempt["device"]["verification_uri_complete"], theirs.answers)
    ended = _ended(steps, server, begun)
    assert ended["status"] == "completed", (ended["error"], page.text[-900:])
    refreshed = steps.ok(server.api.post(f"/connections/{_id(steps, server)}/refresh"))
    assert (refreshed["status"], refreshed["generation"]) == ("healthy", 2)


@pytest.mark.slow_interop
@pytest.mark.parametrize("nonces", [False, True])
def test_j1_j7_a_code_and_a_key_together_while_the_server_wants_nonces_or_not(
    world, steps, person, oidc_provider, nonces
):
    server = world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS="127.0.0.1")
    theirs = oidc_provider("http://127.0.0.1/unused", nonces=nonces)
    found = steps.ok(server.api.post("/oauth-clients/discover", json={"issuer": theirs.url}))["settings"]
    advanced = found["advanced"]
    advanced = {**advanced, "allowed_hosts": ["127.0.0.1"], "token": {**advanced.get("token", {}), "dpop": True}}
    client = steps.ok(server.api.post("/oauth-clients", json={
        "name": "Theirs", "authentication_type": "rest_api_oauth2_device_code", "client_id": "device",
        "client_secret": "device-secret", "token_url": found["token_url"], "scopes": "openid email offline_access",
        "advanced": advanced,
    }))  # fmt: skip
    connection = steps.ok(server.api.post("/connections", json={
        "name": "theirs", "base_url": theirs.url, "auth": {"type": "oauth2", "oauth_client_id": client["id"]},
        "access": "only_me",
    }))  # fmt: skip
    begun = steps.ok(server.api.post(f"/connections/{connection['id']}/authorizations"))
    page = person(begun["device"]["verification_uri_complete"], theirs.answers)
    ended = _ended(steps, server, begun)
    assert ended["status"] == "completed", (ended["error"], page.text[-900:])
    refreshed = steps.ok(server.api.post(f"/connections/{connection['id']}/refresh"))
    assert (refreshed["status"], refreshed["generation"]) == ("healthy", 2)
    read = server.api.get(f"/connections/{connection['id']}/proxy/things")
    assert (read.status_code, len(read.json()["data"])) == (200, 20), read.text
    assert (httpx2.get(theirs.url + "/count").json()["nonces_asked_for"] > 0) == nonces


def _ended(steps, server, begun) -> dict:
    for _ in range(80):
        found = steps.ok(server.api.get(f"/authorizations/{begun['id']}"))
        if found["status"] != "pending":
            break
        time.sleep(0.5)
    return found


def _id(steps, server) -> str:
    return steps.ok(server.api.get("/connections"))["data"][0]["id"]
