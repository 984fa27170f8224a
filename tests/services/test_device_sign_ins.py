"""Signing in on another device: a code, and polls as the server wishes, which a restart survives."""

from __future__ import annotations

import pytest

from keyturn.errors import ClientRefused, Invalid
from keyturn.services import access_tokens, authorizations, client_checks, connections, device_sign_ins

TYPE = "rest_api_oauth2_device_code"


@pytest.fixture
async def attempt(place, gossip):
    """A connection, and a code that is waited for."""
    client = await place.client(
        authentication_type=TYPE, authorization_url=None, token_url=gossip.url + "/token",
        advanced={"authorize": {"device_url": gossip.url + "/device"}, "token": {"auth": "post"},
                  "allowed_hosts": ["127.0.0.1"]},
    )  # fmt: skip
    connection = await place.connection(client=client, base_url=gossip.url + "/api")
    return connection, await authorizations.begin(place.ana, connection.id)


async def polls(place, gossip, seconds: float) -> int:
    """How often the server is asked when that time has passed."""
    place.clock[0] += seconds
    before = len(gossip.asked)
    await device_sign_ins.poll_due(place.ana)
    return len(gossip.asked) - before


async def test_j1_the_code_and_where_to_enter_it_are_shown(place, gossip, attempt):
    _, begun = attempt
    assert (begun.status, begun.start_url) == ("pending", None)
    assert begun.device.user_code == "WDJB-MJHT"
    assert begun.device.verification_uri == gossip.url + "/enter"
    assert begun.expires_at == place.clock[0] + 900
    again = await authorizations.get(place.ana, begun.id)
    assert again.device == begun.device
    assert "WDJB" not in repr(again)


async def test_j1_the_server_is_asked_as_often_as_it_wishes(place, gossip, attempt):
    _, begun = attempt
    gossip.refusal = (400, {"error": "authorization_pending"})
    assert await polls(place, gossip, 4) == 0
    assert await polls(place, gossip, 1) == 1
    gossip.refusal = (400, {"error": "slow_down"})
    assert await polls(place, gossip, 5) == 1
    assert await polls(place, gossip, 9) == 0
    gossip.refusal = (503, {"error": "busy"})
    assert await polls(place, gossip, 1) == 1
    assert await polls(place, gossip, 19) == 0
    gossip.refusal = None
    assert await polls(place, gossip, 1) == 1
    assert (await authorizations.get(place.ana, begun.id)).status == "completed"
    assert gossip.asked[-1]["device_code"] == "canary-device-7a11"
    assert await polls(place, gossip, 100) == 0


async def test_j1_a_sign_in_is_a_grant_like_any_other(place, gossip, attempt):
    connection, _ = attempt
    await polls(place, gossip, 5)
    assert (await connections.get(place.ana, connection.id)).status == "healthy"
    place.clock[0] += 3600
    assert (await access_tokens.fresh(place.ana, connection)).generation == 2
    assert gossip.asked[-1]["grant_type"] == "refresh_token"


@pytest.mark.parametrize(
    ("refusal", "code", "words"),
    [
        ((400, {"error": "access_denied"}), "E-DENIED", "Access was not granted"),
        ((400, {"error": "expired_token"}), None, "not entered in time"),
        ((400, {"error": "invalid_grant"}), "E-TOKEN", "invalid_grant"),
    ],
)
async def test_j1_any_other_answer_is_the_end(place, gossip, attempt, refusal, code, words):
    connection, begun = attempt
    gossip.refusal = refusal
    await polls(place, gossip, 5)
    ended = await authorizations.get(place.ana, begun.id)
    assert (ended.status, ended.device, ended.error["message_code"]) == ("failed", None, code)
    assert words in ended.error["message"]
    assert await polls(place, gossip, 100) == 0
    assert (await connections.get(place.ana, connection.id)).status == "not_connected"


async def test_j1_a_code_that_nobody_entered_ends(place, gossip, attempt):
    _, begun = attempt
    assert await polls(place, gossip, 901) == 0
    ended = await authorizations.get(place.ana, begun.id)
    assert (ended.status, ended.device) == ("expired", None)
    assert "not entered in time" in ended.error["message"]


async def test_j1_one_replica_asks_at_a_time(place, gossip, attempt):
    import asyncio

    place.clock[0] += 5
    gossip.refusal = (400, {"error": "authorization_pending"})
    await asyncio.gather(*(device_sign_ins.poll_due(place.ana) for _ in range(4)))
    assert len(gossip.asked) == 1


async def test_a_refused_client_is_said_at_once(place, gossip, attempt):
    connection, _ = attempt
    gossip.device_refusal = {"error": "invalid_client"}
    with pytest.raises(ClientRefused):
        await authorizations.begin(place.ana, connection.id)


async def test_the_device_grant_needs_its_url(place):
    with pytest.raises(Invalid) as refused:
        await place.client(authentication_type=TYPE, authorization_url=None)
    assert [problem.at for problem in refused.value.problems] == ["advanced.authorize.device_url"]


async def test_anybody_may_enter_a_code_so_only_api_hosts_are_read(place, gossip, attempt):
    connection, _ = attempt
    auth = {"type": "oauth2", "oauth_client_id": connection.oauth_client_id}
    body = {"name": "other", "base_url": "https://elsewhere.example", "access": "only_me", "auth": auth}
    with pytest.raises(Invalid, match="not among the allowed hosts"):
        await connections.create(place.li, body)


async def test_check_client_asks_with_a_made_up_code(place, gossip, attempt):
    connection, _ = attempt
    gossip.refusal = (400, {"error": "invalid_grant"})
    assert (await client_checks.check(place.ana, connection.oauth_client_id)).verdict == "accepted"
