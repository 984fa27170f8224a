"""A client that signs, on every surface: page, command line, API, and the public address of its keys."""

from __future__ import annotations

import json
import re

import httpx2
import pytest

from world import PASSWORD

SIGNED = {
    "name": "Acme CRM",
    "client_id": "8f2c",
    "authorization_url": "https://login.acme.example/authorize",
    "token_url": "https://login.acme.example/token",
    "advanced": {"issuer": "https://login.acme.example", "token": {"auth": "private_key_jwt"}},
}


@pytest.fixture
def server(world):
    return world.serve()


@pytest.fixture
def browser(server):
    headers = {"Origin": server.url}
    with httpx2.Client(base_url=server.url, headers=headers, timeout=30, follow_redirects=True) as made:
        made.post("/sign-in", data={"email": "ana@example.com", "password": PASSWORD, "next": "/"})
        yield made


def test_d6_the_page_shows_the_address_and_the_public_key_and_makes_another(server, steps, browser):
    client = steps.ok(server.api.post("/oauth-clients", json=SIGNED))
    url = f"/admin/oauth-clients/{client['id']}"
    page = browser.get(url).text
    assert client["jwks_uri"] in page
    assert "New Client Secret" not in page
    assert client["keys"][0]["kid"] in page
    csrf = {"csrf": re.search(r'name="csrf" value="([^"]*)"', page)[1]}
    browser.post(f"{url}/keys", data=csrf)
    keys = steps.ok(server.api.get(f"/oauth-clients/{client['id']}"))["keys"]
    assert [key["id"] for key in keys][1:] == [client["keys"][0]["id"]]
    removed = browser.post(f"{url}/keys/{keys[1]['id']}", data=csrf)
    assert (removed.status_code, keys[1]["kid"] in removed.text) == (200, False)
    only = browser.post(f"{url}/keys/{keys[0]['id']}", data=csrf)
    assert (only.status_code, "This is the only key" in only.text) == (409, True)


def test_the_form_turns_it_on_and_off_and_asks_for_the_secret_that_is_lacking(server, steps, browser):
    client = steps.ok(server.api.post("/oauth-clients", json=SIGNED))
    url = f"/admin/oauth-clients/{client['id']}"
    csrf = {"csrf": re.search(r'name="csrf" value="([^"]*)"', browser.get(url).text)[1]}
    lacking = browser.post(url, data={**csrf, "advanced.token.auth": "basic"})
    assert (lacking.status_code, "Enter the Client Secret." in lacking.text) == (422, True)
    par = "https://login.acme.example/par"
    browser.post(
        url, data={**csrf, "advanced.token.dpop": "true", "advanced.authorize.par_url": par, "client_secret": ""}
    )
    advanced = steps.ok(server.api.get(f"/oauth-clients/{client['id']}"))["advanced"]
    assert (advanced["token"]["dpop"], advanced["authorize"]["par_url"]) == (True, par)
    assert re.search(r'<option value="true" selected', browser.get(url).text)
    browser.post(url, data={**csrf, "advanced.token.dpop": "false"})
    assert "dpop" not in steps.ok(server.api.get(f"/oauth-clients/{client['id']}"))["advanced"]["token"]
    plain = {**SIGNED, "name": "Another", "advanced": {}}
    fields = {name: value for name, value in plain.items() if isinstance(value, str)}
    draft = {
        **csrf,
        **fields,
        "advanced.token.auth": "private_key_jwt",
        "advanced.issuer": "https://login.acme.example",
    }
    checked = browser.post("/admin/oauth-clients/check", data=draft)
    assert (checked.status_code, "Create it first." in checked.text) == (422, True)


def test_d6_the_command_line_asks_for_no_secret_and_handles_keys(server, steps, terminal):
    terminal.environment |= {"KEYTURN_URL": server.url, "KEYTURN_TOKEN": steps.token}
    given = {
        "--name": SIGNED["name"],
        "--client-id": SIGNED["client_id"],
        "--authorization-url": SIGNED["authorization_url"],
        "--token-url": SIGNED["token_url"],
        "--advanced": json.dumps(SIGNED["advanced"]),
    }
    terminal.run("clients", "register", *[word for pair in given.items() for word in pair])
    jwks_uri = f"{server.url}/oauth2/jwks/acme-crm"
    assert jwks_uri in terminal.run("clients", "show", "Acme CRM")
    terminal.run("clients", "add-key", "Acme CRM")
    new, old = json.loads(terminal.run("clients", "keys", "Acme CRM", "--json"))["data"]
    assert [key["kid"] for key in httpx2.get(jwks_uri).json()["keys"]] == [new["kid"], old["kid"]]
    terminal.run("clients", "remove-key", "Acme CRM", old["id"])
    assert [key["kid"] for key in httpx2.get(jwks_uri).json()["keys"]] == [new["kid"]]
    said = terminal.run("clients", "remove-key", "Acme CRM", new["id"], code=1)
    assert "only key" in said
    made = terminal.run("config", "export")
    (terminal.home / "keyturn.toml").write_text(made.replace("Acme CRM", "Acme Two"))
    terminal.run("config", "apply", "keyturn.toml", "--yes")
    assert httpx2.get(f"{server.url}/oauth2/jwks/acme-two").status_code == 200


def test_d6_only_public_halves_are_published_to_anybody_and_may_be_cached(server, steps):
    client = steps.ok(server.api.post("/oauth-clients", json=SIGNED))
    answer = httpx2.get(client["jwks_uri"])
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "public, max-age=300")
    assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & set(answer.json()["keys"][0])
    assert httpx2.get(f"{server.url}/oauth2/jwks/nobody").status_code == 404
