"""What a server that registers clients by itself may answer, and what becomes of it here."""

from __future__ import annotations

import json

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from keyturn.errors import Conflict, Invalid
from keyturn.services import oauth_clients, registrations
from keyturn.storage import oauth_clients as rows
from served import Served, free_port


class Registrar(Served):
    """Registers whoever asks, and answers what it is told to."""

    def __init__(self) -> None:
        self.metadata: dict = {}
        self.answer: dict = {}
        self.asked: list[dict] = []
        self.deleted: list[str | None] = []
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        routes = [
            Route("/.well-known/openid-configuration", self._metadata),
            Route("/register", self._register, methods=["POST"]),
            Route("/register/1", self._delete, methods=["DELETE"]),
        ]
        super().__init__(Starlette(routes=routes), self.port)

    async def _metadata(self, request) -> JSONResponse:
        found = {"issuer": self.url, "authorization_endpoint": self.url + "/a", "token_endpoint": self.url + "/t",
                 "registration_endpoint": self.url + "/register", **self.metadata}  # fmt: skip
        return JSONResponse({name: value for name, value in found.items() if value is not None})

    async def _register(self, request) -> JSONResponse:
        self.asked.append(await request.json())
        found = {"client_id": "c1", "client_secret": "s1", "client_secret_expires_at": 1_900_000_000,
                 "token_endpoint_auth_method": "client_secret_post", "scope": "read",
                 "grant_types": ["authorization_code"],
                 "registration_access_token": "manages-c1", "registration_client_uri": self.url + "/register/1",
                 **self.answer}  # fmt: skip
        return JSONResponse(found, 400 if "error" in found else 201)

    async def _delete(self, request) -> Response:
        self.deleted.append(request.headers.get("authorization"))
        return Response(status_code=204)


@pytest.fixture
def registrar():
    with Registrar() as made:
        yield made


async def register(place, registrar, **more):
    return await registrations.register(place.ana, {"issuer": registrar.url, "name": "Theirs", **more})


async def test_what_the_server_answers_is_true(place, registrar):
    client = await register(place, registrar, scopes="read write")
    assert registrar.asked[0]["redirect_uris"] == [client.redirect_uri]
    assert registrar.asked[0]["scope"] == "read write"
    settings = client.settings
    assert (settings.client_id, settings.scopes, settings.advanced.token.auth) == ("c1", "read", "post")
    assert [secret.expires_on for secret in client.secrets] == ["2030-03-17"]
    assert (await oauth_clients.registration(place.ana, client.id)).secrets[0].value == "s1"


async def test_the_token_that_manages_it_is_sealed_and_used_when_ours_is_deleted(place, registrar):
    client = await register(place, registrar)
    sealed = place.run(rows.sealed_registration, "ws_1", client.id)
    assert b"manages-c1" not in sealed
    await registrations.delete(place.ana, client.id)
    assert registrar.deleted == ["Bearer manages-c1"]


async def test_the_token_that_manages_it_goes_to_the_server_itself_alone(place, registrar):
    registrar.answer = {"registration_client_uri": "https://elsewhere.example/1"}
    client = await register(place, registrar)
    assert place.run(rows.sealed_registration, "ws_1", client.id) is None


@pytest.mark.parametrize(
    ("metadata", "answer", "words"),
    [
        ({"registration_endpoint": None}, {}, "registers no clients by itself"),
        ({"token_endpoint_auth_methods_supported": ["tls_client_auth"]}, {}, "takes no Client Secret"),
        ({}, {"error": "invalid_redirect_uri"}, "did not register us"),
        ({}, {"grant_types": ["client_credentials"]}, "would not let anybody sign in"),
        ({}, {"redirect_uris": ["https://evil.example/"]}, "did not register us"),
    ],
)
async def test_nothing_is_kept_of_a_registration_that_is_no_use(place, registrar, metadata, answer, words):
    registrar.metadata, registrar.answer = metadata, answer
    with pytest.raises(Invalid, match=words):
        await register(place, registrar)
    assert await oauth_clients.list_(place.ana) == []


async def test_a_taken_name_is_said_before_the_server_is_asked(place, registrar):
    await place.client(name="Theirs")
    with pytest.raises(Conflict, match="Another client is called Theirs"):
        await register(place, registrar)
    assert registrar.asked == []


async def test_a_public_client_keeps_no_secret(place, registrar):
    registrar.answer = {"token_endpoint_auth_method": "none"}
    client = await register(place, registrar)
    assert (client.has_secret, client.settings.advanced.token.auth) == (False, "none")
    assert json.dumps(client.settings.model_dump(mode="json")).count("s1") == 0
