"""Proofs for bound tokens: a new one for each request, the newest nonce of its origin, once more when only that lacked."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest
from joserfc import jws
from joserfc.jwk import import_key

from keyturn.oauth.dpop import new_dpop_key
from keyturn.oauth.errors import OAuthError
from keyturn.services import oauth_clients, proofs, token_requests
from keyturn.wire import Headers, Request, Response

pytestmark = pytest.mark.anyio
URL = "https://{}.example/token"
KEY = new_dpop_key()
TOKENS = {"access_token": "an-access-token", "token_type": "DPoP", "refresh_token": "r" * 20}


@pytest.fixture(autouse=True)
def nothing_heard_yet():
    proofs._nonces.clear()


def answer(status: int = 200, body: dict | None = None, **headers: str) -> Response:
    named = Headers.of({name.replace("_", "-"): value for name, value in headers.items()})
    return Response(status, named.with_("Content-Type", "application/json"), json.dumps(body or {}).encode())


class Server:
    """Answers in turn what it was given, and keeps what it was asked."""

    def __init__(self, *answers: Response) -> None:
        self.answers, self.asked, self.seconds = list(answers), [], []

    async def send(self, request: Request, *, timeout_seconds: float, **limits) -> Response:
        self.asked.append(request)
        self.seconds.append(timeout_seconds)
        return replace(self.answers.pop(0), url=request.url)

    def claims(self, number: int) -> dict:
        return json.loads(jws.extract_compact(self.asked[number].headers.get("dpop").encode()).payload)


async def send(place, server: Server, name: str, key: str | None = KEY, **more) -> Response:
    ctx = replace(place.ana, egress=server)
    request = Request("POST", URL.format(name))
    return await proofs.send(ctx, lambda: request, key, timeout_seconds=15, max_bytes=1000, **more)


@pytest.mark.parametrize(
    "refusal",
    [
        answer(400, {"error": "use_dpop_nonce"}, DPoP_Nonce="n-1"),
        answer(401, DPoP_Nonce="n-1", WWW_Authenticate='DPoP error="use_dpop_nonce"'),
    ],
)
async def test_j7_what_only_lacked_the_nonce_is_sent_once_more_with_it_and_a_new_proof(place, refusal):
    server = Server(refusal, answer())
    assert (await send(place, server, "once")).status == 200
    assert [server.claims(n).get("nonce") for n in (0, 1)] == [None, "n-1"]
    assert server.claims(0)["jti"] != server.claims(1)["jti"]
    assert server.seconds[1] <= server.seconds[0] == 15


async def test_a_server_that_is_never_content_is_asked_twice_at_most(place):
    never = answer(400, {"error": "use_dpop_nonce"}, DPoP_Nonce="another")
    server = Server(never, never, never)
    assert (await send(place, server, "never")).status == 400
    assert len(server.asked) == 2


async def test_j7_the_newest_nonce_is_remembered_by_origin_also_from_a_good_answer(place):
    server = Server(answer(DPoP_Nonce="first"), answer(DPoP_Nonce="second"), answer(), answer())
    for name in ("here", "here", "here", "there"):
        await send(place, server, name)
    assert [server.claims(n).get("nonce") for n in range(4)] == [None, "first", "second", None]


async def test_nonces_are_not_kept_without_end(place, monkeypatch):
    monkeypatch.setattr(proofs, "_NONCES_MOST", 3)
    server = Server(*[answer(DPoP_Nonce="n") for _ in range(5)])
    for number in range(5):
        await send(place, server, f"many{number}")
    assert len(proofs._nonces) == 3


async def test_without_a_key_nothing_is_added_and_a_nonce_changes_nothing(place):
    server = Server(answer(401, DPoP_Nonce="n-1", WWW_Authenticate='DPoP error="use_dpop_nonce"'))
    assert (await send(place, server, "bearer", None)).status == 401
    assert server.asked[0].headers.get("dpop") is None


async def test_j7_a_proof_is_signed_by_the_key_for_the_token_and_no_private_half_is_in_it(place, caplog):
    caplog.set_level(logging.DEBUG)
    server = Server(answer())
    await send(place, server, "api", access_token="a-token")
    proof = server.asked[0].headers.get("dpop")
    found = jws.deserialize_compact(proof, import_key(json.loads(KEY)), algorithms=["ES256"])
    assert found.headers()["typ"] == "dpop+jwt"
    assert set(found.headers()["jwk"]) == {"kty", "crv", "x", "y"}
    assert {"jti", "htm", "htu", "iat", "ath"} == set(json.loads(found.payload))
    for secret in (json.loads(KEY)["d"], proof):
        assert secret not in caplog.text + repr(server.asked)


async def test_j7_an_assertion_is_signed_anew_when_a_request_is_repeated_for_its_nonce(place):
    advanced = {"issuer": "https://acme.example", "token": {"auth": "private_key_jwt", "dpop": True}}
    client = await place.client(client_secret=None, advanced=advanced)
    registration = await oauth_clients.registration(place.ana, client.id)
    server = Server(answer(400, {"error": "use_dpop_nonce"}, DPoP_Nonce="n-1"), answer(200, TOKENS))
    ctx = replace(place.ana, egress=server)
    answered = await token_requests.refresh(ctx, registration, "old", dpop_key=KEY, timeout_seconds=15)
    assert (answered.found.token_type, answered.found.dpop_key) == ("DPoP", KEY)
    first, second = (request.body.decode().partition("client_assertion=")[2] for request in server.asked)
    assert first != second


async def test_j7_a_bearer_token_is_refused_where_a_bound_one_was_asked_for(place):
    registration = await oauth_clients.registration(place.ana, (await place.client()).id)
    ctx = replace(place.ana, egress=Server(answer(200, TOKENS | {"token_type": "Bearer"})))
    with pytest.raises(OAuthError, match="unsupported_token_type"):
        await token_requests.refresh(ctx, registration, "old", dpop_key=KEY, timeout_seconds=15)
