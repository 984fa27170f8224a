"""Signing in on another device (RFC 8628) against oidc-provider, over the command line, through a restart of ours."""

from __future__ import annotations

import re
import time

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
    for _ in range(80):
        if steps.ok(server.api.get(f"/authorizations/{begun['id']}"))["status"] != "pending":
            break
        time.sleep(0.5)
    ended = steps.ok(server.api.get(f"/authorizations/{begun['id']}"))
    assert ended["status"] == "completed", (ended["error"], page.text[-900:])
    refreshed = steps.ok(server.api.post(f"/connections/{_id(steps, server)}/refresh"))
    assert (refreshed["status"], refreshed["generation"]) == ("healthy", 2)


def _id(steps, server) -> str:
    return steps.ok(server.api.get("/connections"))["data"][0]["id"]
