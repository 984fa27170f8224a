"""What a server may demand beyond a secret: signatures, pushed requests, bound tokens, resources; each against oidc-provider."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from world import connected

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]
# `make test` keeps one of each kind; `make interop` runs them all.
slow = pytest.mark.slow_interop
WAYS = ["private_key_jwt", *(pytest.param(way, marks=slow) for way in ("basic", "post", "none", "client_secret_jwt"))]


def whole(server, steps, connection, theirs) -> None:
    """A refresh, and a read over pages, on a connection that is signed in."""
    steps.ok(server.api.post(f"/connections/{connection['id']}/refresh"))
    found = steps.ok(server.api.get(f"/connections/{connection['id']}"))
    assert (found["status"], found["generation"]) == ("healthy", 2)
    body = {"connection_id": connection["id"], "name": "t", "path": "/things"}
    table = steps.ok(server.api.post("/tables", json=body))
    body = {"table_id": table["id"], "destination": {"url": "t.parquet"}}
    item = steps.wait_for_import(server, steps.ok(server.api.post("/imports", json=body))["id"])
    assert (item["status"], item["completeness"]["rows"]) == ("complete", 51), item
    # No assertion, proof or ID token in the log: each begins with the same letters.
    assert "eyJ" not in server.log
    # The API takes the token of this sign-in alone.
    assert httpx2.get(theirs.url + "/things", headers={"Authorization": "Bearer made-up"}).status_code == 401


@pytest.mark.parametrize("way", WAYS)
def test_d6_d7_each_way_of_client_authentication_refreshes_reads_revokes_and_is_checked(
    world, steps, person, oidc_provider, way
):
    token = {"token": {"auth": way}}
    server, theirs, client, connection = connected(world, person, oidc_provider, base="", client=way, advanced=token)
    whole(server, steps, connection, theirs)
    answer = steps.ok(server.api.post(f"/connections/{connection['id']}/disconnect", json={}))
    assert answer["revocation"] == "revoked"
    check = steps.ok(server.api.post(f"/oauth-clients/{client['id']}/check"))
    assert (check["verdict"], check["client_authentication"]) == ("accepted", way), check


@slow
def test_d6_another_key_is_learned_by_its_address_and_one_of_another_kind_is_refused_in_words(
    world, steps, person, oidc_provider
):
    token = {"token": {"auth": "private_key_jwt"}}
    server, _, client, connection = connected(
        world, person, oidc_provider, base="", client="private_key_jwt", advanced=token
    )
    added = steps.ok(server.api.post(f"/oauth-clients/{client['id']}/keys"))
    new, old = added["keys"]
    for _ in range(2):
        steps.ok(server.api.post(f"/connections/{connection['id']}/refresh"))
    steps.ok(server.api.post(f"/oauth-clients/{client['id']}/check"))
    steps.ok(server.api.delete(f"/oauth-clients/{client['id']}/keys/{old['id']}"))
    answer = httpx2.get(added["jwks_uri"])
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert [key["kid"] for key in answer.json()["keys"]] == [new["kid"]]
    # This server was told that the client signs by ES256.
    otherwise = {"advanced": {"token": {"assertion_algorithm": "RS256"}}}
    steps.ok(server.api.patch(f"/oauth-clients/{client['id']}", json=otherwise))
    check = steps.ok(server.api.post(f"/oauth-clients/{client['id']}/check"))
    assert (check["verdict"], "does not know our key" in check["message"]) == ("refused", True), check


def pushed(url: str, **more) -> dict:
    return {"authorize": {"params": {"prompt": "consent"}, "par_url": url + "/request"}, **more}


def test_j5_a_server_that_wants_requests_pushed_gets_them_so(world, steps, person, oidc_provider):
    server, theirs, client, connection = connected(world, person, oidc_provider, base="", client="par", advanced=pushed)
    whole(server, steps, connection, theirs)
    begun = steps.ok(server.api.post(f"/connections/{connection['id']}/authorizations"))
    answer = httpx2.post(begun["start_url"], headers={"Origin": server.url})
    carried = parse_qs(urlsplit(answer.headers["location"]).query)
    assert (answer.status_code, set(carried)) == (303, {"client_id", "request_uri"})
    found = steps.ok(server.api.post("/oauth-clients/discover", json={"issuer": theirs.url}))
    assert "par_url" not in found["settings"]["advanced"].get("authorize", {}), "it is not demanded of every client"
    steps.ok(server.api.patch(f"/oauth-clients/{client['id']}", json={"advanced": {"authorize": {"par_url": None}}}))
    steps.ok(server.api.post(f"/oauth-clients/{client['id']}/secrets", json={"client_secret": theirs.client_secret}))
    begun = steps.ok(server.api.post(f"/connections/{connection['id']}/authorizations"))
    person(begun["start_url"], theirs.answers)
    ended = steps.ok(server.api.get(f"/authorizations/{begun['id']}"))
    assert ended["status"] == "failed", "the server does insist"


@slow
def test_j5_what_the_server_does_not_take_is_said_to_the_person_who_may_try_again(world, steps, person, oidc_provider):
    server, theirs, client, connection = connected(world, person, oidc_provider, base="", client="par", advanced=pushed)
    steps.ok(server.api.post(f"/oauth-clients/{client['id']}/secrets", json={"client_secret": "wrong"}))
    begun = steps.ok(server.api.post(f"/connections/{connection['id']}/authorizations"))
    answer = httpx2.post(begun["start_url"], headers={"Origin": server.url})
    assert (answer.status_code, "refused our Client ID or Client Secret" in answer.text) == (409, True), answer.text
    body = {"client_secret": theirs.client_secret}
    steps.ok(server.api.post(f"/oauth-clients/{client['id']}/secrets", json=body))
    elsewhere = {"advanced": {"authorize": {"par_url": theirs.url + "/nowhere"}}, **body}
    steps.ok(server.api.patch(f"/oauth-clients/{client['id']}", json=elsewhere))
    answer = httpx2.post(begun["start_url"], headers={"Origin": server.url})
    assert (answer.status_code, "pushed authorization request URL" in answer.text) == (502, True), answer.text
    steps.ok(server.api.patch(f"/oauth-clients/{client['id']}", json={"advanced": pushed(theirs.url), **body}))
    person(begun["start_url"], theirs.answers)
    assert steps.ok(server.api.get(f"/authorizations/{begun['id']}"))["status"] == "completed"


@pytest.mark.parametrize("nonces", [pytest.param(False, marks=slow), True])
def test_j7_tokens_are_bound_to_a_key_of_the_connection_and_useless_without_it(
    world, steps, person, oidc_provider, nonces
):
    server, theirs, client, connection = connected(
        world, person, oidc_provider, base="", client="dpop", advanced={"token": {"dpop": True}}, nonces=nonces
    )
    whole(server, steps, connection, theirs)
    # The proxy streams, and the API wants another nonce after each page.
    for _ in range(2):
        page = server.api.get(f"/connections/{connection['id']}/proxy/things")
        assert (page.status_code, len(page.json()["data"])) == (200, 20), page.text
    found = steps.ok(server.api.get(f"/connections/{connection['id']}"))
    assert found["generation"] == 2, "asking for a nonce is no expiry"
    asked = httpx2.get(theirs.url + "/count").json()["nonces_asked_for"]
    assert (asked > 0) == nonces
    made = steps.ok(server.api.post("/tokens", json={"name": "r", "permissions": ["tokens:reveal", "connections:use"]}))
    headers = {"Authorization": f"Bearer {made['token']}"}
    token = steps.ok(httpx2.post(f"{server.url}/api/v1/connections/{connection['id']}/token", headers=headers))
    for scheme in ("Bearer", "DPoP"):
        stolen = httpx2.get(theirs.url + "/things", headers={"Authorization": f"{scheme} {token['access_token']}"})
        assert stolen.status_code == 401
    check = steps.ok(server.api.post(f"/oauth-clients/{client['id']}/check"))
    assert check["verdict"] == "accepted", check
    answer = steps.ok(server.api.post(f"/connections/{connection['id']}/disconnect", json={}))
    assert answer["revocation"] == "revoked"


def test_d6_j5_j7_all_of_it_together(world, steps, person, oidc_provider):
    server, theirs, _, connection = connected(
        world,
        person,
        oidc_provider,
        base="",
        client="private_key_jwt_par_dpop",
        advanced=lambda url: pushed(url, token={"auth": "private_key_jwt", "dpop": True}),
        nonces=True,
    )
    whole(server, steps, connection, theirs)


@slow
def test_j7_dpop_turned_on_later_needs_a_reconnect_and_turned_off_again_loses_nothing(
    world, steps, person, oidc_provider
):
    server, theirs, client, connection = connected(world, person, oidc_provider, base="", client="post")
    on, off = ({"advanced": {"token": {"dpop": value}}} for value in (True, False))
    steps.ok(server.api.patch(f"/oauth-clients/{client['id']}", json=on))
    found = steps.ok(server.api.get(f"/connections/{connection['id']}"))
    assert (found["status"], found["status_detail"]) == ("reconnect_needed", "dpop_turned_on")
    refused = server.api.get(f"/connections/{connection['id']}/proxy/things")
    assert (refused.status_code, "DPoP was turned on" in refused.json()["detail"]) == (409, True), refused.text
    steps.ok(server.api.patch(f"/oauth-clients/{client['id']}", json=off))
    assert server.api.get(f"/connections/{connection['id']}/proxy/things").status_code == 200
    steps.ok(server.api.patch(f"/oauth-clients/{client['id']}", json=on))
    begun = steps.ok(server.api.post(f"/connections/{connection['id']}/authorizations"))
    person(begun["start_url"], theirs.answers)
    assert steps.ok(server.api.get(f"/authorizations/{begun['id']}"))["status"] == "completed"
    # A sign-in that is bound stays so, also when new ones are not.
    steps.ok(server.api.patch(f"/oauth-clients/{client['id']}", json=off))
    steps.ok(server.api.post(f"/connections/{connection['id']}/refresh"))
    assert server.api.get(f"/connections/{connection['id']}/proxy/things").status_code == 200


def test_j4_tokens_are_for_the_resources_that_are_set(world, steps, person, oidc_provider):
    server, theirs, client, connection = connected(
        world,
        person,
        oidc_provider,
        base="",
        client="post",
        advanced={"resources": ["urn:api"]},
        scopes="openid offline_access api:read",
    )
    whole(server, steps, connection, theirs)
    other = {"advanced": {"resources": ["urn:other"]}}
    steps.ok(server.api.patch(f"/oauth-clients/{client['id']}", json=other))
    begun = steps.ok(server.api.post(f"/connections/{connection['id']}/authorizations"))
    person(begun["start_url"], theirs.answers)
    ended = steps.ok(server.api.get(f"/authorizations/{begun['id']}"))
    assert (ended["status"], "invalid_target" in ended["error"]["technical"]) == ("failed", True), ended


def test_i3_a_client_of_an_issuer_that_wants_it_all_is_filled_from_its_metadata(world, steps, oidc_provider):
    server = world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS="127.0.0.1")
    theirs = oidc_provider(server.url + "/oauth2/callback/theirs")
    found = steps.ok(server.api.post("/oauth-clients/discover", json={"issuer": theirs.url}))
    assert found["settings"]["token_url"] == theirs.token_url
    assert any("DPoP" in line for line in found["evidence"]), found
