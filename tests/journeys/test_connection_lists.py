"""More connections than a page shows: on the page, the command line and in the Python client."""

from __future__ import annotations

import re

import httpx2

import keyturn
from world import PASSWORD, TOKEN


def test_many_connections_come_a_page_at_a_time_and_are_found_by_end_user_and_state(world, steps, terminal):
    server = world.serve()
    client = steps.register(world, server)
    body = {"base_url": "https://api.acme.example", "auth": {"type": "none"}, "access": "only_me"}
    for number in range(101):
        steps.ok(server.api.post("/connections", json={**body, "name": f"c{number:03}"}))
    link = {"oauth_client_id": client["id"], "end_user": "customer 42", "base_url": world.end_system.url}
    steps.ok(server.api.post("/connect-links", json=link))
    with httpx2.Client(base_url=server.url, headers={"Origin": server.url}, follow_redirects=True) as browser:
        browser.post("/sign-in", data={"email": "ana@example.com", "password": PASSWORD})
        first = browser.get("/connections").text
        assert ("c099" in first, "customer 42" in first) == (True, False)
        more = re.search(r'href="(/connections\?[^"]*cursor=[^"]*)">More', first)[1].replace("&amp;", "&")
        second = browser.get(more).text
        assert ("c099" in second, "c100" in second, "customer 42" in second) == (False, True, True)
        one = browser.get("/connections", params={"end_user": "customer 42"}).text
        assert ("c099" in one, "customer 42" in one) == (False, True)
        assert "No connection is like that" in browser.get("/connections?end_user=nobody").text
        assert browser.get("/connections?status=fine").status_code == 422
    terminal.run("login", server.url, "--token-stdin", typed=TOKEN + "\n")
    said = terminal.run("connections", "list", "--end-user", "customer 42")
    assert ("demo_crm_customer_42" in said, "c001" in said) == (True, False)
    assert terminal.run("connections", "list", "--status", "retrying", "--end-user", "x") == ""
    with keyturn.connect(server.url, TOKEN) as ws:
        assert [item["end_user"] for item in ws.connections.listed(status="not_connected")] == ["customer 42"]
        assert len(list(ws.connections.listed())) == 102
