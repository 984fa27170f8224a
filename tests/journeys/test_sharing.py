"""Sharing on every surface: command line, API, Python client and page, with a program that was shared with reading."""

from __future__ import annotations

import re

import httpx2
import pytest

import keyturn
from world import PASSWORD, TOKEN


def by_page(server, url: str, connection: dict, bot: dict) -> None:
    """Its owner changes the share in the browser, is refused to share with themselves, and takes it back."""
    with httpx2.Client(
        base_url=server.url, headers={"Origin": server.url}, follow_redirects=True, timeout=30
    ) as browser:
        browser.post("/sign-in", data={"email": "ana@example.com", "password": PASSWORD, "next": "/"})
        page = browser.get(f"{url}/sharing").text
        assert "nightly" in page
        assert "their own account" in page
        assert "You read as " in page
        table = {"connection_id": connection["id"], "name": "orders", "path": "/orders", "rows_path": "$.data",
                 "pagination": {"type": "none"}}  # fmt: skip
        made = server.api.post("/tables", json=table).json()
        assert "You read as " in browser.get(f"/tables/{made['id']}").text
        csrf = {"csrf": re.search(r'name="csrf" value="([^"]*)"', page)[1]}
        changed = browser.post(f"{url}/shares", data={**csrf, "account_id": bot["id"], "rights": "editor"})
        assert "Changed." in changed.text
        mine = browser.post(f"{url}/shares", data={**csrf, "account_id": connection["owner"]["id"], "rights": "viewer"})
        assert mine.status_code == 422
        gone = browser.post(f"{url}/shares/{bot['id']}/remove", data=csrf)
        assert "Taken back." in gone.text


def test_what_is_shared_is_read_as_said_and_is_gone_when_it_is_taken_back(world, steps, terminal):
    server = world.serve()
    client = steps.register(world, server)
    allowed = {"advanced": {"allowed_hosts": ["127.0.0.1"]}}
    steps.ok(server.api.patch(f"/oauth-clients/{client['id']}", json=allowed))
    connection = steps.connect(world, server, client)
    bot = steps.ok(server.api.post("/service-accounts", json={"name": "nightly", "role": "editor"}))
    body = {"name": "ci", "account_id": bot["id"], "permissions": ["tables:read", "connections:use"]}
    headers = {"Authorization": f"Bearer {steps.ok(server.api.post('/tokens', json=body))['token']}"}
    url = f"/connections/{connection['id']}"

    def asked(path: str = "") -> int:
        return server.api.get(url + path, headers=headers).status_code

    assert asked() == 404
    terminal.run("login", server.url, "--token-stdin", typed=steps.token + "\n")
    said = terminal.run("connections", "share", "acme", "nightly", "--with-credentials")
    assert "nightly is viewer of acme, reading as its account" in said
    assert asked("/proxy/orders") == 200
    seen = steps.ok(server.api.get(url, headers=headers))
    assert seen["reading"]["as"] == "connection"
    assert seen["reading"]["message"] == f"You read as {seen['account']}, which ana shared with you."
    with keyturn.connect(server.url, TOKEN) as ws:
        assert ws.connections["acme"].share("nightly", with_credentials=False)["rights"] == "viewer"
        assert [share["with_credentials"] for share in ws.connections["acme"].shares] == [False]
    assert asked("/proxy/orders") == 409, "they have not signed in themselves"
    begun = steps.ok(server.api.post(f"{url}/authorizations", headers=headers))
    steps.sign_in(begun["start_url"], account="joe")
    assert asked("/proxy/orders") == 200
    assert steps.ok(server.api.get(url, headers=headers))["generation"] == 1
    assert "own account" in terminal.run("connections", "shares", "acme")
    by_page(server, url, connection, bot)
    assert asked() == 404
    assert steps.ok(server.api.get(f"{url}/shares"))["data"] == []


@pytest.mark.browser
def test_the_tab_of_sharing_is_for_everyone(world, steps, look):
    server = world.serve()
    body = {"name": "acme", "base_url": "https://api.acme.example", "auth": {"type": "none"}, "access": "only_me"}
    connection = steps.ok(server.api.post("/connections", json=body))
    steps.ok(server.api.post("/service-accounts", json={"name": "nightly", "role": "editor"}))
    page = look.page
    page.goto(server.url + "/sign-in")
    page.get_by_label("Email").fill("ana@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(server.url + "/")
    page.goto(f"{server.url}/connections/{connection['id']}/sharing")
    look.at("70-shared-with-nobody")
    page.get_by_label("With its credentials").check()
    page.get_by_role("button", name="Share", exact=True).click()
    page.get_by_text("Shared.", exact=True).wait_for()
    look.at("71-shared")
    page.get_by_role("button", name="Take back from nightly").click()
    page.get_by_text("Taken back.").wait_for()
