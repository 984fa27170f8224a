"""Troubles of an OAuth client: told once, its grants wait and go on by themselves."""

from __future__ import annotations

import pytest

from keyturn.errors import ClientRefused, Unavailable
from keyturn.services import access_tokens, client_secrets, oauth_clients


async def test_a_client_that_is_refused_is_one_incident_and_everything_resumes_with_a_new_secret(acme):
    made = [await acme.signed_in(name) for name in ("a", "b", "c")]
    acme.server.secrets = {"another secret"}
    acme.later(4000)
    with pytest.raises(ClientRefused):
        await access_tokens.fresh(acme.ctx, made[0])
    assert {await acme.status(connection) for connection in made} == {("needs_attention", "client_refused")}
    assert len(acme.rows("incidents")) == 1
    posts = len(acme.server.posts)
    await acme.kept()
    assert len(acme.server.posts) == posts
    acme.later(601)
    await acme.kept()
    assert len(acme.server.posts) == posts + 1
    await client_secrets.replace(acme.ctx, acme.client.id, {"client_secret": "another secret"})
    await acme.kept()
    assert {await acme.status(connection) for connection in made} == {("healthy", None)}
    assert acme.rows("incidents") == []
    assert (await acme.kinds(acme.client)).count("client_refused") == 1


async def test_a_client_that_is_accepted_again_resumes_by_itself(acme):
    connection = await acme.signed_in()
    acme.server.secrets = set()
    acme.later(4000)
    await acme.kept()
    assert await acme.status(connection) == ("needs_attention", "client_refused")
    acme.server.secrets = None
    acme.later(601)
    await acme.kept()
    assert await acme.status(connection) == ("healthy", None)


async def test_a_wrong_request_is_the_clients_trouble_once_three_connections_meet_it(acme):
    made = [await acme.signed_in(name) for name in ("a", "b", "c", "d")]
    acme.later(4000)
    acme.server.faults = [(400, {}, {"error": "invalid_scope"})] * 3
    for connection in made[:2]:
        with pytest.raises(Unavailable):
            await access_tokens.fresh(acme.ctx, connection)
    assert {await acme.status(connection) for connection in made[:2]} == {("retrying", "config")}
    with pytest.raises(ClientRefused):
        await access_tokens.fresh(acme.ctx, made[2])
    assert {await acme.status(connection) for connection in made} == {("needs_attention", "client_misconfigured")}


async def test_a_wrong_request_after_the_client_was_changed_is_its_trouble_at_once(acme):
    connection = await acme.signed_in()
    acme.later(4000)
    await oauth_clients.update(acme.ctx, acme.client.id, {"scopes": "read write"})
    acme.server.faults = [(400, {}, {"error": "invalid_scope"})]
    await acme.kept()
    assert await acme.status(connection) == ("needs_attention", "client_misconfigured")
