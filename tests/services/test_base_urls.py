"""Addresses that a connection's variables fill, and APIs that a sign-in tells, inside the client's API hosts alone."""

from __future__ import annotations

import secrets
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from keyturn.errors import Invalid, ReconnectNeeded
from keyturn.services import (
    access_tokens,
    authorizations,
    calls,
    confirmations,
    connection_tests,
    connections,
    sign_ins,
)
from keyturn.wire import Request

TENANT = {"tenant": {"label": "Your tenant", "kind": "path_segment"}}


async def signed_in(place, connection) -> sign_ins.Outcome:
    """A person's browser, as far as the end system leads it back to us."""
    begun = await authorizations.begin(place.ana, connection.id)
    browser = secrets.token_urlsafe(8)
    url = await confirmations.proceed(
        place.ana, begun.start_url.rpartition("/")[2], browser=browser, account_id="ac_ana"
    )
    async with httpx2.AsyncClient() as person:
        back = urlsplit((await person.get(url)).headers["location"])
    done = await sign_ins.complete(place.ana, back.path.rpartition("/")[2], parse_qsl(back.query), browser=browser)
    return await sign_ins.outcome(place.ana, done)


async def tenant_client(place, gossip, **more):
    return await place.client(
        authorization_url=gossip.url + "/{tenant}/authorize", token_url=gossip.url + "/{tenant}/token",
        advanced={"variables": TENANT, "token": {"auth": "post"}, **more},
    )  # fmt: skip


async def test_quirk_q12_every_address_is_filled_by_the_connections_variables(place, gossip):
    client = await tenant_client(place, gossip, refresh={"url": gossip.url + "/{tenant}/token"})
    connection = await place.connection(
        client=client, base_url=gossip.url + "/api/{tenant}", variables={"tenant": "north wind"}
    )
    assert connection.settings.base_url == gossip.url + "/api/north%20wind"
    assert (await signed_in(place, connection)).ok
    place.clock[0] += 3600
    assert (await access_tokens.fresh(place.ana, connection)).generation == 2
    told = [path for path in gossip.heard if "token" in path]
    assert told == ["/north wind/token"] * 2
    steps = await connection_tests.run(place.ana, connection.id, path="/things")
    assert steps[-1].state == "ok"


async def test_quirk_q12_another_tenant_is_another_end_system(place, gossip):
    client = await tenant_client(place, gossip)
    connection = await place.connection(client=client, base_url=gossip.url + "/api", variables={"tenant": "one"})
    await signed_in(place, connection)
    moved = await connections.update(place.ana, connection.id, {"variables": {"tenant": "two"}})
    assert (moved.status, moved.settings.variables) == ("not_connected", {"tenant": "two"})


@pytest.mark.parametrize(
    ("variables", "at"),
    [({}, "variables.tenant"), ({"tenant": ".."}, "variables.tenant"), ({"tenant": "a", "x": "b"}, "variables.x")],
)
async def test_quirk_q12_what_is_missing_or_does_not_fit_is_named(place, gossip, variables, at):
    client = await tenant_client(place, gossip)
    with pytest.raises(Invalid) as refused:
        await place.connection(client=client, base_url=gossip.url, variables=variables)
    assert [problem.at for problem in refused.value.problems] == [at]


async def test_l9_a_member_cannot_name_the_host_that_gets_the_secret(place):
    variables = {"variables": {"host": {"label": "Host"}}}
    for address in ("https://{host}.com/token", "https://{host}/token", "https://login.{host}/token"):
        with pytest.raises(Invalid, match=r"fixed domain|Host: enter") as refused:
            await place.client(token_url=address, advanced=variables)
        assert [problem.at for problem in refused.value.problems] == ["token_url"]


async def test_l9_an_admin_fills_in_what_is_theirs(place):
    admins = {"variables": {"region": {"from": "admin", "value": "eu"}}}
    client = await place.client(token_url="https://{region}.acme.example/token", advanced=admins)
    assert client.settings.token_url == "https://{region}.acme.example/token"
    assert client.settings.filled({}).token_url == "https://eu.acme.example/token"
    with pytest.raises(Invalid, match="Give the variable region its value"):
        await place.client(name="Other", advanced={"variables": {"region": {"from": "admin"}}})


async def test_l9_the_filled_address_is_held_to_the_guard(place):
    client = await place.client(advanced={"variables": {"name": {"label": "Name"}}})
    with pytest.raises(Invalid) as refused:
        await place.connection(client=client, base_url="https://10.0.0.1/{name}", variables={"name": "x"})
    assert refused.value.problems[0].at == "base_url"


async def telling_client(place, gossip, **more):
    """A client whose sign-ins tell the API."""
    keep = {"response": {"keep": ["instance_url"]}, "callback": {"keep": ["realmId"]}}
    api = {"api": {"base_url": "{instance_url}/api/{realmId}"}, "allowed_hosts": ["127.0.0.1"]}
    return await place.client(
        authorization_url=gossip.url + "/authorize", token_url=gossip.url + "/token",
        advanced={"token": {"auth": "post"}, **keep, **api, **more},
    )  # fmt: skip


async def test_quirk_q13_what_a_sign_in_tells_chooses_the_api(place, gossip):
    connection = await place.connection(client=await telling_client(place, gossip), base_url="")
    with pytest.raises(ReconnectNeeded, match="only a sign-in tells"):
        calls.url_under(connection, "/things")
    gossip.more, gossip.callback = {"instance_url": gossip.url}, {"realmId": "9130/1"}
    assert (await signed_in(place, connection)).ok
    found = await connections.get(place.ana, connection.id)
    assert found.settings.base_url == gossip.url + "/api/9130%2F1"
    assert found.kept == {"instance_url": gossip.url, "realmId": "9130/1"}
    answer = await calls.send(place.ana, found, Request("GET", calls.url_under(found, "/things")))
    assert answer.status == 200
    renamed = await connections.update(place.ana, connection.id, {"name": "other"})
    assert (renamed.status, renamed.settings.base_url) == ("healthy", found.settings.base_url)


async def test_l10_an_api_elsewhere_is_refused_in_words_and_gets_nothing(place, gossip):
    connection = await place.connection(client=await telling_client(place, gossip), base_url="")
    gossip.more, gossip.callback = {"instance_url": "https://evil.example"}, {"realmId": "1"}
    outcome = await signed_in(place, connection)
    assert (outcome.ok, outcome.message_code) == (False, "E-HOST")
    assert "evil.example, which is not among the API hosts" in outcome.sentence
    assert (await connections.get(place.ana, connection.id)).status == "not_connected"


async def test_l10_an_api_that_is_not_told_is_said(place, gossip):
    connection = await place.connection(client=await telling_client(place, gossip), base_url="")
    outcome = await signed_in(place, connection)
    assert "did not tell" in outcome.sentence


async def test_l10_a_sign_in_chooses_among_api_hosts_that_are_named(place, gossip):
    with pytest.raises(Invalid) as refused:
        await telling_client(place, gossip, allowed_hosts=[])
    assert [problem.at for problem in refused.value.problems] == ["advanced.allowed_hosts"]
    with pytest.raises(Invalid, match=r"not a variable|did not tell"):
        await telling_client(place, gossip, callback={})


async def test_quirk_q13_a_secret_is_not_kept_as_a_value(place):
    with pytest.raises(Invalid, match="is a secret"):
        await place.client(advanced={"response": {"keep": ["data.refresh_token"]}})


async def test_a_connection_without_any_base_url_is_refused(place):
    with pytest.raises(Invalid, match="Enter the Base URL"):
        await place.connection(base_url="")
