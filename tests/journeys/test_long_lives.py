"""What sign-ins live through, as people see it over HTTP: the word of the status, and the sentence with its fix."""

from __future__ import annotations

import signal
import threading
import time

import httpx2
import pytest

from keyturn.demo.state import hashed


@pytest.fixture
def connected(world, steps):
    """A server, its OAuth client and a signed-in connection."""
    server = world.serve()
    client = steps.register(world, server)
    return server, client, steps.connect(world, server, client)


def status(server, connection) -> tuple[str, str | None]:
    found = server.api.get(f"/connections/{connection['id']}").json()
    return found["status"], found["status_detail"]


def wait_until(what, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_a_refresh_in_flight_at_a_stop_is_stored_before_the_process_ends(world, steps, connected):
    server, _, connection = connected
    world.end_system.demo.faults.token_delay_seconds = 2.0
    requests = world.end_system.demo.token_requests
    before = len(requests)
    asked = threading.Thread(target=refresh, args=(server, connection))
    asked.start()
    wait_until(lambda: len(requests) > before)
    # uvicorn ends by the signal it was sent, once everything is done.
    assert server.stop() == -signal.SIGTERM
    asked.join(30)
    world.end_system.demo.faults.token_delay_seconds = 0.0
    again = world.serve()
    assert status(again, connection) == ("healthy", None)
    assert steps.ok(again.api.get(f"/connections/{connection['id']}"))["generation"] == 2
    # The refresh token that came in that last moment works, at a server that revokes on reuse.
    assert steps.ok(again.api.post(f"/connections/{connection['id']}/refresh"))["generation"] == 3


def refresh(server, connection) -> None:
    headers = {"Authorization": server.api.headers["Authorization"]}
    try:
        httpx2.post(f"{server.url}/api/v1/connections/{connection['id']}/refresh", headers=headers, timeout=60)
    except httpx2.TransportError:
        return


def test_an_owner_who_revokes_is_asked_to_reconnect_and_goes_on_afterwards(world, steps, connected):
    server, _, connection = connected
    httpx2.post(
        world.end_system.url + "/break", json={"action": "revoke_access"}, headers={"Accept": "application/json"}
    )
    answer = server.api.post(f"/connections/{connection['id']}/refresh")
    assert (answer.status_code, answer.json()["message_code"]) == (409, "E-GRANT")
    assert "no longer accepts this sign-in (invalid_grant)" in answer.json()["detail"]
    assert "Reconnect as jane@demo" in answer.json()["detail"]
    assert status(server, connection) == ("reconnect_needed", "revoked")
    begun = steps.ok(server.api.post(f"/connections/{connection['id']}/authorizations"))
    steps.sign_in(begun["start_url"])
    assert status(server, connection) == ("healthy", None)


def test_a_client_secret_that_ended_is_the_clients_trouble_and_a_new_one_ends_it(world, steps, connected):
    server, client, connection = connected
    other = steps.connect(world, server, client, name="second")
    (secret,) = next(iter(world.end_system.demo.apps.values())).secrets
    secret.value_hash = hashed("another secret altogether")
    answer = server.api.post(f"/connections/{connection['id']}/refresh")
    assert (answer.status_code, answer.json()["message_code"]) == (409, "E-CLIENT")
    assert "A Workspace Admin should replace the secret" in answer.json()["detail"]
    assert {status(server, one) for one in (connection, other)} == {("needs_attention", "client_refused")}
    steps.ok(
        server.api.post(f"/oauth-clients/{client['id']}/secrets", json={"client_secret": "another secret altogether"})
    )
    wait_until(lambda: {status(server, one) for one in (connection, other)} == {("healthy", None)})


def test_a_provider_that_gives_no_new_refresh_token_goes_on_with_the_one_there_is(world, steps, connected):
    server, _, connection = connected
    world.end_system.demo.faults.rotate = False
    for generation in (2, 3, 4):
        assert steps.ok(server.api.post(f"/connections/{connection['id']}/refresh"))["generation"] == generation
    assert status(server, connection) == ("healthy", None)


def test_an_outage_of_the_authorization_server_is_told_and_over_by_itself(world, steps, connected):
    server, _, connection = connected
    world.end_system.demo.faults.token_500s = 3
    answer = server.api.post(f"/connections/{connection['id']}/refresh")
    assert (answer.status_code, answer.json()["message_code"]) == (503, "E-UPSTREAM")
    assert "is having trouble" in answer.json()["detail"]
    assert "We try again by ourselves" in answer.json()["detail"]
    wait_until(lambda: server.api.post(f"/connections/{connection['id']}/refresh").status_code == 200, seconds=60)
    assert status(server, connection) == ("healthy", None)
