"""Keys with which a client signs: made when they are needed, sealed, published, one beside the other, and refused in words."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from keyturn.errors import Conflict, Invalid, NotFound
from keyturn.oauth.client_auth import authenticate
from keyturn.services import client_keys, client_secrets, oauth_clients
from keyturn.storage import client_secrets as rows
from keyturn.wire import Headers

pytestmark = pytest.mark.anyio
ISSUER = "https://acme.example"
SIGNED = {"client_secret": None, "advanced": {"issuer": ISSUER, "token": {"auth": "private_key_jwt"}}}
LONG = "a secret of more than 32 characters, to sign with"


def advanced(auth: str, **token) -> dict:
    return {"issuer": ISSUER, "token": {"auth": auth, **token}}


async def published(place, client) -> list[dict]:
    return (await client_keys.published(place.ana, client.slug))["keys"]


async def test_d6_a_client_that_signs_has_a_key_from_the_start_and_only_its_public_half_is_published(place):
    client = await place.client(**SIGNED)
    assert client.jwks_uri == f"https://data.example.com/oauth2/jwks/{client.slug}"
    (key,) = await published(place, client)
    assert {"kty", "crv", "x", "y", "kid", "use", "alg"} == set(key)
    assert (key["alg"], key["use"], key["kid"]) == ("ES256", "sig", client.keys[0].public_key["kid"])
    assert client.has_secret is False
    assert client.lacks_secret is False


async def test_d6_the_assertion_of_its_registration_is_verified_by_what_is_published(place):
    client = await place.client(**SIGNED)
    (way,) = (await oauth_clients.registration(place.ana, client.id)).ways()
    form, _ = authenticate({}, Headers(), way.credentials)
    keys = KeySet.import_key_set({"keys": await published(place, client)})
    token = jwt.decode(form["client_assertion"], keys, algorithms=["ES256"])
    assert token.header["kid"] == client.keys[0].public_key["kid"]
    claims = token.claims
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("id", "id", ISSUER)
    assert 0 < claims["exp"] - claims["iat"] <= 60


async def test_the_private_half_is_stored_sealed_alone_and_shown_nowhere(place, caplog):
    caplog.set_level(logging.DEBUG)
    client = await place.client(**SIGNED)
    registration = await oauth_clients.registration(place.ana, client.id)
    private = json.loads(registration.secrets[0].value)["d"]
    stored = place.run(rows.all_of_client, "ws_1", client.id)
    for text in (repr(stored), repr(registration), repr(registration.ways()), repr(client), caplog.text):
        assert private not in text
    assert private.encode() not in stored[0].sealed


async def test_another_key_is_tried_first_and_published_beside_the_old_one_until_that_is_removed(place):
    client = await place.client(**SIGNED)
    old = client.keys[0]
    client = await client_keys.add(place.ana, client.id)
    new = client.keys[0]
    assert [key["kid"] for key in await published(place, client)] == [new.public_key["kid"], old.public_key["kid"]]
    ways = (await oauth_clients.registration(place.ana, client.id)).refresh_ways()
    assert [way.secret_id for way in ways] == [new.id, old.id]
    client = await client_keys.remove(place.ana, client.id, old.id)
    assert [key.id for key in client.keys] == [new.id]
    with pytest.raises(Conflict, match="only key"):
        await client_keys.remove(place.ana, client.id, new.id)
    with pytest.raises(NotFound):
        await client_keys.remove(place.ana, client.id, old.id)


async def test_a_new_key_that_is_not_known_there_yet_is_tried_after_the_old_one(place):
    client = await place.client(**SIGNED)
    old = client.keys[0]
    client = await client_keys.add(place.ana, client.id)
    registration = await oauth_clients.registration(place.ana, client.id)
    await client_secrets.refused(place.ana, registration, registration.ways()[0])
    assert (await oauth_clients.registration(place.ana, client.id)).ways()[0].secret_id == old.id


async def test_another_signature_makes_a_key_for_it_and_the_old_ones_stay_published(place):
    client = await place.client(**SIGNED)
    patch = {"advanced": {"token": {"assertion_algorithm": "RS256"}}}
    client = await oauth_clients.update(place.ana, client.id, patch)
    assert [key["alg"] for key in await published(place, client)] == ["RS256", "ES256"]
    (way,) = (await oauth_clients.registration(place.ana, client.id)).ways()
    assert way.credentials.algorithm == "RS256"


async def test_switching_to_a_key_keeps_the_secret_and_switching_back_uses_it(place):
    client = await place.client()
    switched = await oauth_clients.update(place.ana, client.id, {"advanced": advanced("private_key_jwt")})
    assert (len(switched.keys), len(switched.secrets)) == (1, 1)
    assert switched.used_secrets == ()
    await oauth_clients.update(place.ana, client.id, {"advanced": advanced("basic")})
    (way,) = (await oauth_clients.registration(place.ana, client.id)).ways()
    assert way.credentials.client_secret == "a client secret"
    again = await oauth_clients.update(place.ana, client.id, {"advanced": advanced("private_key_jwt")})
    assert [key.id for key in again.keys] == [key.id for key in switched.keys]


async def test_switching_to_a_secret_that_is_not_there_is_refused_and_nothing_changes(place):
    client = await place.client(**SIGNED)
    with pytest.raises(Invalid) as raised:
        await oauth_clients.update(place.ana, client.id, {"advanced": advanced("basic")})
    assert [problem.at for problem in raised.value.problems] == ["client_secret"]
    assert (await oauth_clients.get(place.ana, client.id)).settings == client.settings
    patch = {"advanced": advanced("basic"), "client_secret": "given along"}
    assert (await oauth_clients.update(place.ana, client.id, patch)).has_secret


async def give_a_short_secret(place, way: str) -> None:
    if way == "create":
        await place.client(advanced=advanced("client_secret_jwt"))
    elif way == "replace":
        client = await place.client(client_secret=LONG, advanced=advanced("client_secret_jwt"))
        await client_secrets.replace(place.ana, client.id, {"client_secret": "short"})
    else:
        client = await place.client()
        given = {} if way == "switch" else {"client_secret": "short"}
        await oauth_clients.update(place.ana, client.id, {"advanced": advanced("client_secret_jwt"), **given})


@pytest.mark.parametrize("way", ["create", "switch", "replace", "given along"])
async def test_d7_a_secret_that_is_too_short_to_sign_is_refused_wherever_it_comes_from(place, way):
    with pytest.raises(Invalid, match="at least 32 characters") as raised:
        await give_a_short_secret(place, way)
    assert [problem.at for problem in raised.value.problems] == ["client_secret"]


async def test_d7_a_long_secret_signs_and_is_never_sent(place):
    client = await place.client(client_secret=LONG, advanced=advanced("client_secret_jwt"))
    (way,) = (await oauth_clients.registration(place.ana, client.id)).ways()
    form, headers = authenticate({}, Headers(), way.credentials)
    assert set(form) == {"client_id", "client_assertion", "client_assertion_type"}
    assert LONG not in str(form)
    assert headers.items == ()


async def test_a_changed_url_takes_the_keys_away_and_makes_another(place):
    client = await place.client(**SIGNED)
    moved = await oauth_clients.update(place.ana, client.id, {"token_url": "https://elsewhere.example/token"})
    assert len(moved.keys) == 1
    assert moved.keys[0].id != client.keys[0].id


async def test_only_a_client_that_signs_gets_another_key_and_only_from_an_admin(place):
    client = await place.client()
    with pytest.raises(Conflict, match="private_key_jwt"):
        await client_keys.add(place.ana, client.id)
    with pytest.raises(NotFound):
        await published(place, client)
    with pytest.raises(NotFound):
        await published(place, replace(client, slug="nobody"))
    signed = await place.client(name="Signed", **SIGNED)
    with pytest.raises(Exception, match="Workspace Admins"):
        await client_keys.add(place.li, signed.id)


async def test_at_most_five_keys(place):
    client = await place.client(**SIGNED)
    for _ in range(4):
        await client_keys.add(place.ana, client.id)
    with pytest.raises(Conflict, match="5 keys"):
        await client_keys.add(place.ana, client.id)


async def test_a_key_is_no_secret_to_the_routes_of_secrets(place):
    client = await place.client(**SIGNED)
    with pytest.raises(NotFound):
        await client_secrets.change(place.ana, client.id, client.keys[0].id, {"first": True})
    with pytest.raises(NotFound):
        await client_secrets.remove(place.ana, client.id, client.keys[0].id)
