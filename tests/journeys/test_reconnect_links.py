"""After an OAuth client's scopes were changed its connections are sent reconnect links: by API, page, CLI and client."""

from __future__ import annotations

import re
from contextlib import ExitStack

import pytest

import keyturn
from pages import Person
from postbox import Postbox
from world import TOKEN

SEND = "/connect-links/reconnect"


@pytest.fixture
def box():
    with Postbox() as made:
        yield made


@pytest.fixture
def mailing(world, box):
    allowed = f"127.0.0.1:{world.end_system.port},{box.url.rpartition('/')[2]}"
    return world.serve(KEYTURN_SMTP_URL=box.url, KEYTURN_ALLOWED_PRIVATE_HOSTS=allowed)


@pytest.fixture
def signed_in():
    """Makes somebody who is signed in with a browser."""
    with ExitStack() as ends:

        def make(server) -> Person:
            made = Person(server.url)
            ends.callback(made.http.close)
            return made

        yield make


def link_in(message) -> str:
    return re.search(r"http\S+/connect/\S+", message.get_payload(decode=True).decode())[0]


def fewer_scopes(server, steps, client) -> dict:
    return steps.ok(server.api.patch(f"/oauth-clients/{client['id']}", json={"scopes": "read:orders offline_access"}))


def test_owners_get_a_mail_sign_in_by_it_and_the_connection_has_the_new_scopes(world, steps, mailing, box):
    client = steps.register(world, mailing)
    connection = steps.connect(world, mailing, client)
    nothing = steps.ok(mailing.api.post(SEND, json={"oauth_client_id": client["id"]}))
    assert (nothing["data"], nothing["counts"]["sent"]) == ([], 0)
    fewer_scopes(mailing, steps, client)
    answer = mailing.api.post(SEND, json={"oauth_client_id": client["id"]})
    (sent,) = steps.ok(answer)["data"]
    assert (sent["outcome"], sent["sent_to"], sent["url"]) == ("sent", "ana@example.com", None)
    assert sent["connection"] == {"id": connection["id"], "name": "acme"}
    assert answer.json()["counts"] == {"sent": 1, "copied": 0, "skipped": 0, "not_made": 0}
    (message,) = box.messages
    assert (message["To"], message["Subject"]) == ("ana@example.com", "Reconnect acme (Demo CRM)")
    url = link_in(message)
    assert url not in answer.text
    steps.sign_in(url)
    now = steps.ok(mailing.api.get(f"/connect-links/{sent['connect_link_id']}"))
    assert (now["status"], now["account"]) == ("completed", "jane@demo")
    found = steps.ok(mailing.api.get(f"/connections/{connection['id']}"))
    assert (found["status"], found["scopes_requested"]) == ("healthy", ["read:orders", "offline_access"])
    assert steps.ok(mailing.api.post(SEND, json={"oauth_client_id": client["id"]}))["data"] == []
    mailing.stop()
    assert url.rpartition("/")[2] not in mailing.log


def test_the_client_s_page_says_how_many_keep_their_old_scopes_and_sends_links(world, steps, mailing, box, signed_in):
    client = steps.register(world, mailing)
    steps.connect(world, mailing, client)
    person = signed_in(mailing)
    tab = f"/admin/oauth-clients/{client['id']}/connections"
    assert "keeps its old scopes" not in person.open(tab).root.text
    fewer_scopes(mailing, steps, client)
    for path in (tab, f"/admin/oauth-clients/{client['id']}?done=saved"):
        page = person.open(path)
        assert "1 connection keeps its old scopes until it reconnects." in page.root.text
    told = person.press(page, "oauth_client_id", {}, "Send reconnect links").root.text
    assert ("Sent to the owner of 1 connection." in told, "Sent to ana@example.com." in told) == (True, True)
    again = person.press(page, "oauth_client_id", {}, "Send reconnect links").root.text
    assert ("Left out" in again, "ana made a link at" in again) == (True, True)
    assert len(box.messages) == 1


def test_the_list_offers_links_for_what_needs_a_reconnect_and_without_mail_they_are_copied(
    world, steps, terminal, signed_in
):
    server = world.serve()
    client = steps.register(world, server)
    connection = steps.connect(world, server, client)
    person = signed_in(server)
    assert "Send reconnect links" not in person.open("/connections").root.text
    world.end_system.demo.revoke_grants()
    assert server.api.post(f"/connections/{connection['id']}/refresh").status_code == 409
    page = person.open("/connections")
    assert "1 needs a reconnect." in page.root.text
    told = person.press(page, "connection_ids", {}, "Send reconnect links")
    assert "1 to copy and send yourself." in told.root.text
    steps.sign_in(next(told.root.all("code")).text)
    assert steps.ok(server.api.get(f"/connections/{connection['id']}"))["status"] == "healthy"
    none = person.press(page, "connection_ids", {"connection_ids": None}, "Send reconnect links")
    assert (none.status, "Choose connections first." in none.root.text) == (409, True)
    terminal.run("login", server.url, "--token-stdin", typed=TOKEN + "\n")
    assert f"{server.url}/connect/" in terminal.run("connect-links", "send", "acme")
    terminal.run("connect-links", "send", "nothing_like_it", code=7)
    assert terminal.run("connect-links", "send", "--client", "Demo CRM") == ""
    with keyturn.connect(server.url, TOKEN) as ws:
        (made,) = ws.connect_links.send_reconnect_links("acme")
        assert (made.connection, made.outcome, made.url.startswith(server.url)) == ("acme", "copied", True)
        assert (repr(made), "url" in made.found) == ("Reconnect('acme', 'copied')", False)
        with pytest.raises(keyturn.Invalid):
            ws.connect_links.send_reconnect_links()
