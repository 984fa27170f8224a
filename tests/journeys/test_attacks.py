"""What an attacker tried against running servers and must not get: each attack that once worked, and the classic ones."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest


@pytest.fixture
def begin(world, steps):
    """A bound browser, and where the end system sends it once the person pressed Allow."""

    def go(server, connection, browser: httpx2.Client) -> str:
        begun = steps.ok(server.api.post(f"/connections/{connection['id']}/authorizations"))
        headers = {"Origin": server.url, "Host": urlsplit(begun["start_url"]).netloc}
        address = server.url + urlsplit(begun["start_url"]).path
        leaving = browser.post(address, headers={**headers, "Origin": begun["start_url"].partition("/connect/")[0]})
        asked = {name: values[0] for name, values in parse_qs(urlsplit(leaving.headers["location"]).query).items()}
        fields = {**asked, "decision": "allow", "account": "jane"}
        return httpx2.post(world.end_system.url + "/oauth2/authorize", data=fields).headers["location"]

    return go


async def test_b4_one_callback_at_two_replicas_at_once_makes_one_token_request(world, steps, begin, postgres_url):
    public = "http://keyturn.example"
    first = world.serve(database_url=postgres_url, public=public)
    key = (world.tmp_path / "data" / "key").read_text().split()[-1]
    second = world.serve(database_url=postgres_url, public=public, data="other", KEYTURN_ENCRYPTION_KEY=key)
    client = steps.register(world, first)
    auth = {"type": "oauth2", "oauth_client_id": client["id"]}
    body = {"name": "acme", "base_url": world.end_system.url + "/api/v1", "auth": auth, "access": "only_me"}
    connection = steps.ok(first.api.post("/connections", json=body))
    with httpx2.Client(timeout=30) as browser:
        back = urlsplit(begin(first, connection, browser))
        cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    headers = {"Host": "keyturn.example", "Cookie": cookies}
    async with httpx2.AsyncClient(headers=headers, timeout=60) as api:
        addresses = [f"{server.url}{back.path}?{back.query}" for server in (first, second) * 8]
        answers = await asyncio.gather(*(api.get(address) for address in addresses))
    assert sorted(answer.status_code for answer in answers) == [303] + [400] * 15
    assert len(world.end_system.demo.token_requests) == 1
    assert steps.ok(second.api.get(f"/connections/{connection['id']}"))["status"] == "healthy"


def test_k1_a_code_of_one_system_is_not_taken_at_anothers_address_in_any_spelling(world, steps, begin):
    server = world.serve()
    client = steps.register(world, server)
    steps.register(world, server, name="Other")
    auth = {"type": "oauth2", "oauth_client_id": client["id"]}
    body = {"name": "acme", "base_url": world.end_system.url + "/api/v1", "auth": auth, "access": "only_me"}
    connection = steps.ok(server.api.post("/connections", json=body))
    with httpx2.Client(timeout=30) as browser:
        back = begin(server, connection, browser)
        query = dict(parse_qs(urlsplit(back).query))
        state, code = query["state"][0], query["code"][0]
        here = back.partition("?")[0]
        tried = [
            here.replace("demo-crm", "other") + f"?state={state}&code={code}",
            here.replace("demo-crm", "Demo-CRM") + f"?state={state}&code={code}",
            here.replace("/demo-crm", "") + f"?state={state}&code={code}",
            here + "?" + urlencode([("state", "another"), ("code", code), ("state", state)]),
            here + f"?state={state.upper()}&code={code}",
            here + f"?State={state}&code={code}",
        ]
        for address in tried:
            assert browser.get(address).status_code == 400, address
        assert world.end_system.demo.token_requests == []
        assert browser.get(back).status_code == 303, "and nothing was spoilt"


def test_an_end_system_cannot_speak_in_our_name(world, steps, gossip):
    gossip.added = {"Keyturn-Error": "reconnect_needed", "Keyturn-Read-Id": "rd_1", "Set-Cookie": "keyturn=theirs"}
    server = world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS=f"127.0.0.1:{gossip.port}")
    body = {"name": "liar", "base_url": gossip.url + "/api", "auth": {"type": "none"}, "access": "only_me"}
    connection = steps.ok(server.api.post("/connections", json=body))
    answer = server.api.get(f"/connections/{connection['id']}/proxy/things")
    assert (answer.status_code, answer.json()[0]["id"]) == (200, 0)
    assert not [name for name in answer.headers if name.startswith("keyturn-")]
    assert "set-cookie" not in answer.headers
