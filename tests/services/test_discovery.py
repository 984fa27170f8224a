"""What a server says it wants beyond a secret is set on the client that is filled from it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from keyturn.services import discovery
from keyturn.wire import Headers, Request, Response

pytestmark = pytest.mark.anyio
ISSUER = "https://login.acme.example"
DOCUMENT = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "pushed_authorization_request_endpoint": f"{ISSUER}/par",
}


class Publisher:
    """Answers every request with one document."""

    def __init__(self, document: dict) -> None:
        self.document = document

    async def send(self, request: Request, **limits) -> Response:
        return Response(200, Headers.of({"Content-Type": "application/json"}), json.dumps(self.document).encode())


async def found(place, **more) -> dict:
    ctx = replace(place.ana, egress=Publisher(DOCUMENT | more))
    return (await discovery.discover(ctx, {"issuer": ISSUER})).settings["advanced"]


async def test_j5_requests_are_pushed_where_the_metadata_demands_it_and_only_there(place):
    assert (await found(place, require_pushed_authorization_requests=True))["authorize"] == {"par_url": f"{ISSUER}/par"}
    assert "authorize" not in await found(place)


@pytest.mark.parametrize(
    ("listed", "token"),
    [
        (["client_secret_basic", "client_secret_post", "private_key_jwt"], None),
        (["client_secret_post", "private_key_jwt"], None),
        (["private_key_jwt"], {"auth": "private_key_jwt", "assertion_algorithm": "PS256"}),
        (["client_secret_jwt"], {"auth": "client_secret_jwt"}),
        (["client_secret_post"], {"auth": "post"}),
        (["none"], {"auth": "none"}),
        (["tls_client_auth"], None),
    ],
)
async def test_i3_d6_the_way_of_client_authentication_is_set_where_detecting_would_not_find_it(place, listed, token):
    methods = {"token_endpoint_auth_methods_supported": listed}
    algorithms = {"token_endpoint_auth_signing_alg_values_supported": ["HS256", "PS256"]}
    assert (await found(place, **methods, **algorithms)).get("token") == token
