"""A client that acts for itself: the first token request connects it, and asking again renews it."""

from __future__ import annotations

import pytest

from keyturn.errors import ClientRefused, Invalid, ReconnectNeeded
from keyturn.services import (
    access_tokens,
    authorizations,
    client_checks,
    connection_tests,
    connections,
    events,
    oauth_clients,
)

TYPE = "rest_api_oauth2_client_credentials"


@pytest.fixture
async def alone(place, gossip):
    """A connection of a client that acts for itself, and the end system."""
    gossip.more = {"refresh_token": None}

    async def make(ctx=None, **changes):
        advanced = changes.pop("advanced", {"token": {"auth": "basic"}, "allowed_hosts": ["127.0.0.1"]})
        secret = {name: changes.pop(name) for name in ("client_secret",) if name in changes}
        client = await place.client(
            **secret, authentication_type=TYPE, authorization_url=None, token_url=gossip.url + "/token", scopes="read",
            advanced=advanced,
        )  # fmt: skip
        return await place.connection(ctx, client, base_url=gossip.url + "/api", **changes)

    return make


async def test_connecting_is_the_first_token_request(place, gossip, alone):
    connection = await alone()
    ended = await authorizations.begin(place.ana, connection.id)
    assert (ended.status, ended.start_url, ended.error) == ("completed", None, None)
    assert gossip.asked == [{"grant_type": "client_credentials", "scope": "read"}]
    found = await connections.get(place.ana, connection.id)
    assert (found.status, found.status_detail, found.has_refresh_token) == ("healthy", None, None)
    steps = await connection_tests.run(place.ana, connection.id, path="/things")
    assert "fail" not in [step.state for step in steps]
    assert steps[-1].state == "ok"


async def test_the_token_is_renewed_by_asking_again(place, gossip, alone):
    connection = await alone()
    await authorizations.begin(place.ana, connection.id)
    place.clock[0] += 3600
    token = await access_tokens.fresh(place.ana, connection)
    assert (token.value, token.generation) == ("canary-access-2-d41d8", 2)
    assert [asked["grant_type"] for asked in gossip.asked] == ["client_credentials"] * 2
    timeline = [event.kind for event in await events.of_subject(place.ana, connection.id)]
    assert timeline[0] == "renewed"
    newer = await access_tokens.after_rejection(place.ana, connection, token)
    assert newer.generation == 3
    assert (await access_tokens.refresh(place.ana, connection.id)).generation == 4


async def test_a_refresh_token_that_comes_along_is_dropped(place, gossip, alone):
    gossip.more = {}
    connection = await alone()
    await authorizations.begin(place.ana, connection.id)
    place.clock[0] += 3600
    await access_tokens.fresh(place.ana, connection)
    assert gossip.asked[-1]["grant_type"] == "client_credentials"


@pytest.mark.parametrize(
    ("refusal", "code", "words"),
    [
        ((401, {"error": "invalid_client"}), "E-CLIENT", "invalid_client"),
        ((400, {"error": "invalid_scope"}), "E-TOKEN", "refused the token request (invalid_scope)"),
        ((503, {"error": "busy"}), "E-UPSTREAM", "is having trouble (503)"),
    ],
)
async def test_a_refusal_is_said_and_the_connection_stays_as_it_was(place, gossip, alone, refusal, code, words):
    connection = await alone()
    gossip.refusal = refusal
    ended = await authorizations.begin(place.ana, connection.id)
    assert (ended.status, ended.error["message_code"]) == ("failed", code)
    assert words in ended.error["message"]
    assert (await connections.get(place.ana, connection.id)).status == "not_connected"


async def test_a_renewal_that_is_refused_waits_for_the_secret(place, gossip, alone):
    connection = await alone()
    await authorizations.begin(place.ana, connection.id)
    gossip.refusal = (401, {"error": "invalid_client"})
    place.clock[0] += 3600
    with pytest.raises(Exception, match="invalid_client"):
        await access_tokens.fresh(place.ana, connection)
    found = await connections.get(place.ana, connection.id)
    assert (found.status, found.status_detail) == ("needs_attention", "client_refused")


async def test_a_renewal_whose_signature_is_refused_says_where_our_keys_are(place, gossip, alone):
    signs = {"issuer": "https://acme.example", "token": {"auth": "private_key_jwt"}}
    connection = await alone(advanced={**signs, "allowed_hosts": ["127.0.0.1"]}, client_secret=None)
    await authorizations.begin(place.ana, connection.id)
    gossip.refusal = (401, {"error": "invalid_client"})
    place.clock[0] += 3600
    with pytest.raises(ClientRefused) as refused:
        await access_tokens.fresh(place.ana, connection)
    client = await oauth_clients.get(place.ana, connection.oauth_client_id)
    assert refused.value.message_code == "E-SIGNATURE"
    assert client.jwks_uri in refused.value.message
    found = await connections.get(place.ana, connection.id)
    assert (found.status, found.status_detail) == ("needs_attention", "signature_refused")


async def test_a_client_that_gets_no_token_any_more_is_not_told_as_a_persons_sign_in(place, gossip, alone):
    connection = await alone()
    await authorizations.begin(place.ana, connection.id)
    gossip.refusal = (400, {"error": "invalid_grant"})
    place.clock[0] += 3600
    with pytest.raises(ReconnectNeeded, match="Check in its console that the client is active") as refused:
        await access_tokens.fresh(place.ana, connection)
    assert refused.value.message_code == "E-GRANT"
    assert "password" not in refused.value.message


async def test_scopes_that_were_not_granted_are_said(place, gossip, alone):
    gossip.scope = "profile"
    connection = await alone()
    ended = await authorizations.begin(place.ana, connection.id)
    assert [note["message_code"] for note in ended.notes] == ["E-SCOPE"]
    assert (await connections.get(place.ana, connection.id)).status_detail == "scopes_missing"


async def test_a_member_cannot_send_the_clients_own_token_to_a_host_of_their_choice(place, gossip, alone):
    with pytest.raises(Invalid, match="not among the allowed hosts"):
        await alone(place.li, advanced={"allowed_hosts": ["api.acme.example"]})


async def test_nobody_signs_in_with_an_account_of_their_own(place, alone):
    with pytest.raises(Invalid, match="Nobody signs in"):
        await alone(access="own_account")


async def test_check_client_asks_for_a_token_and_throws_it_away(place, gossip, alone):
    connection = await alone()
    result = await client_checks.check(place.ana, connection.oauth_client_id)
    assert result.verdict == "accepted"
    assert "thrown away" in result.sentence
    gossip.refusal = (401, {"error": "invalid_client"})
    assert (await client_checks.check(place.ana, connection.oauth_client_id)).verdict == "refused"


async def test_a_client_where_people_sign_in_needs_the_authorization_url(place):
    with pytest.raises(Invalid) as refused:
        await place.client(authorization_url="")
    assert [(p.at, p.message) for p in refused.value.problems] == [
        ("authorization_url", "Enter the Authorization URL.")
    ]


async def test_a_client_that_acts_for_itself_needs_a_secret(place):
    with pytest.raises(Invalid) as refused:
        await place.client(authentication_type=TYPE, client_secret=None, advanced={"token": {"auth": "none"}})
    assert [p.at for p in refused.value.problems] == ["advanced.token.auth"]
