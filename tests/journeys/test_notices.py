"""What people are told: once when a sign-in ends, once when it works again, however many processes look."""

from __future__ import annotations

import json
import time

import httpx2

from keyturn.demo.state import new_secret
from postbox import Postbox, Receiver
from world import TOKEN


def refreshed(server, connection) -> int:
    """Renew its token set now; answers the status of the answer."""
    return server.api.post(f"/connections/{connection['id']}/refresh").status_code


def wait_until(found, *, seconds: float = 60) -> None:
    """Until the messages are there; a timing is not what is tested."""
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_revoked_grant_is_one_mail_and_one_webhook_and_one_each_when_it_works_again(world, steps, postgres_url):
    with Postbox() as box, Receiver() as receiver:
        allowed = f"127.0.0.1:{world.end_system.port},127.0.0.1:{receiver.port}"
        env = {"KEYTURN_SMTP_URL": box.url, "KEYTURN_ALLOWED_PRIVATE_HOSTS": allowed}
        first = world.serve(database_url=postgres_url, **env)
        second = world.serve(database_url=postgres_url, public=first.url, **env)
        made = steps.ok(first.api.post("/webhooks", json={"name": "Pager", "url": receiver.url}))
        connection = steps.connect(world, first, steps.register(world, first))
        wait_until(lambda: receiver.types == ["connection.connected"])
        world.end_system.demo.revoke_grants()
        assert {refreshed(server, connection) for server in (first, second, second, first)} == {409}
        wait_until(lambda: box.messages and len(receiver.got) == 2)
        begun = steps.ok(second.api.post(f"/connections/{connection['id']}/authorizations"))
        steps.sign_in(begun["start_url"])
        wait_until(lambda: len(box.messages) == 2 and len(receiver.got) == 3)
        metrics = httpx2.get(first.url + "/metrics").text + httpx2.get(second.url + "/metrics").text
        for channel in ("email", "webhook"):
            assert f'keyturn_deliveries_total{{channel="{channel}",outcome="delivered"}}' in metrics
        assert 'keyturn_notices_total{kind="reconnect_needed",what="closed"}' in metrics
        for server in (first, second):
            server.stop()
        assert box.subjects() == ["acme needs reconnecting", "acme works again"]
        assert receiver.types == ["connection.connected", "connection.reconnect_needed", "connection.recovered"]
        for server in (first, second):
            assert made["secret"] not in server.log


def test_a_sign_in_that_ended_is_one_notice_until_somebody_reconnects(world, steps, terminal, postgres_url):
    first = world.serve(database_url=postgres_url)
    second = world.serve(database_url=postgres_url, public=first.url)
    client = steps.register(world, first)
    connection = steps.connect(world, first, client)
    terminal.run("login", first.url, "--token-stdin", typed=TOKEN + "\n")
    assert json.loads(terminal.run("notices", "list", "--json"))["data"] == []
    world.end_system.demo.revoke_grants()
    assert {refreshed(server, connection) for server in (first, second, first)} == {409}
    (notice,) = steps.ok(second.api.get("/notices", params={"open": "true"}))["data"]
    assert notice["title"] == "acme needs reconnecting"
    assert "access was revoked" in notice["message"]
    assert "Reconnect as jane@demo" in notice["message"]
    assert notice["subject"] == {"type": "connection", "id": connection["id"], "name": "acme"}
    assert "acme needs reconnecting" in terminal.run("notices", "list")
    begun = steps.ok(first.api.post(f"/connections/{connection['id']}/authorizations"))
    steps.sign_in(begun["start_url"])
    assert json.loads(terminal.run("notices", "list", "--json"))["data"] == []
    (over,) = json.loads(terminal.run("notices", "list", "--all", "--json"))["data"]
    assert over["closed_at"] > over["opened_at"]


def test_a_refused_client_is_one_notice_for_all_its_connections(world, steps):
    server = world.serve()
    client = steps.register(world, server)
    connections = [steps.connect(world, server, client, name=name) for name in ("one", "two")]
    steps.ok(server.api.post(f"/oauth-clients/{client['id']}/secrets", json={"client_secret": "not-the-right-one"}))
    assert {refreshed(server, connection) for connection in connections} == {409}
    (notice,) = steps.ok(server.api.get("/notices", params={"open": "true"}))["data"]
    assert (notice["kind"], notice["subject"]["name"]) == ("client_refused", "Demo CRM")
    (app,) = world.end_system.demo.apps.values()
    secret, value = new_secret(time.time())
    app.secrets.append(secret)
    steps.ok(server.api.post(f"/oauth-clients/{client['id']}/secrets", json={"client_secret": value}))
    assert [refreshed(server, connection) for connection in connections] == [200, 200]
    assert steps.ok(server.api.get("/notices", params={"open": "true"}))["data"] == []


def test_a_sign_in_without_all_its_scopes_is_a_notice_that_a_full_one_ends(world, steps):
    server = world.serve()
    client = steps.register(world, server, scopes="read:orders")
    steps.connect(world, server, client)
    (notice,) = steps.ok(server.api.get("/notices", params={"open": "true"}))["data"]
    assert (notice["kind"], "there is no refresh token" in notice["message"]) == ("needs_attention", True)


def test_a_wait_the_api_asked_for_is_in_the_timeline_once(world, steps):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    body = {"connection_id": connection["id"], "name": "orders", "path": "/orders"}
    table = steps.ok(server.api.post("/tables", json=body))
    world.end_system.demo.faults.api_429s = 2
    destination = {"type": "parquet", "url": "orders.parquet"}
    begun = steps.ok(server.api.post("/imports", json={"table_id": table["id"], "destination": destination}))
    assert steps.wait_for_import(server, begun["id"])["status"] == "complete"
    events = steps.ok(server.api.get(f"/connections/{connection['id']}/events", params={"show": "problems"}))["data"]
    (waited,) = [event for event in events if event["kind"] == "slowed_down"]
    assert "asked us to wait (429). acme.orders waits" in waited["message"]
    assert waited["details"] == {"import_id": begun["id"]}


def test_a_timeline_over_http_goes_on_where_it_ended(world, steps):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    route, seen, cursor = f"/connections/{connection['id']}/events", [], None
    while True:
        params = {"limit": 1} | ({"cursor": cursor} if cursor else {})
        page = steps.ok(server.api.get(route, params=params))
        seen += [event["kind"] for event in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ["connected", "created"]
    for wrong in ({"cursor": "nonsense"}, {"show": "weather"}, {"limit": 0}):
        assert server.api.get(route, params=wrong).status_code == 422
