"""What a server may demand beyond a secret: signatures, pushed requests, bound tokens, resources; each against oidc-provider."""

from __future__ import annotations

import httpx2
import pytest

from world import connected

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]


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
    # The API takes the token of this sign-in alone.
    assert httpx2.get(theirs.url + "/things", headers={"Authorization": "Bearer made-up"}).status_code == 401


@pytest.mark.parametrize("way", ["basic", "post", "none", "client_secret_jwt", "private_key_jwt"])
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
