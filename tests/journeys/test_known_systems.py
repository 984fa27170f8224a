"""Registering from what is known: a preset, an issuer, an OpenAPI document; by API, command line and form."""

from __future__ import annotations

import json

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from served import Served
from world import free_port


@pytest.fixture
def publisher():
    """Publishes metadata and an OpenAPI document; `documents` maps paths to what is answered."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    documents: dict[str, object] = {}

    async def answer(request):
        found = documents.get(request.url.path)
        if found is None:
            return PlainTextResponse("nothing here", 404)
        return PlainTextResponse(found) if isinstance(found, str) else JSONResponse(found)

    app = Starlette(routes=[Route("/{path:path}", answer)])
    with Served(app, port):
        yield url, documents


@pytest.fixture
def server(world, publisher):
    return world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS="127.0.0.1")


def metadata(url: str, **changes: object) -> dict:
    return {
        "issuer": url,
        "authorization_endpoint": url + "/auth",
        "token_endpoint": url + "/token",
        "revocation_endpoint": url + "/revoke",
        "scopes_supported": ["openid", "offline_access", "read"],
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        **changes,
    }


def discover(server, **body):
    return server.api.post("/oauth-clients/discover", json=body)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("", "/.well-known/openid-configuration"),
        ("", "/.well-known/oauth-authorization-server"),
        ("/tenant", "/tenant/.well-known/openid-configuration"),
        ("/tenant", "/.well-known/oauth-authorization-server/tenant"),
    ],
)
def test_i1_an_issuers_metadata_is_found_wherever_it_lies(server, steps, publisher, path, place):
    url, documents = publisher
    documents[place] = metadata(url + path)
    found = steps.ok(discover(server, issuer=url + path))
    assert found["settings"]["token_url"] == url + path + "/token"
    assert found["settings"]["scopes"] == "openid offline_access"
    advanced = {"issuer": url + path, "revocation_url": url + path + "/revoke", "token": {"auth": "post"}}
    assert found["settings"]["advanced"] == advanced
    body = {**found["settings"], "name": "Found", "client_id": "x", "client_secret": "y"}
    assert server.api.post("/oauth-clients", json=body).status_code == 201


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"issuer": "https://other.example"}, "another issuer"),
        ({"token_endpoint": None}, "lacks a usable"),
        ({"code_challenge_methods_supported": ["plain"]}, "PKCE by plain alone"),
    ],
)
def test_c2_i2_metadata_that_is_not_to_be_used_is_refused_in_words(server, publisher, changes, words):
    url, documents = publisher
    documents["/.well-known/openid-configuration"] = metadata(url, **changes)
    answer = discover(server, issuer=url)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["at"] == "issuer"
    assert words in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("issuer", ["", 5, "nonsense", "javascript:alert(1)", "https://10.0.0.1/", None])
def test_l4_an_issuer_that_is_none_is_refused(server, issuer):
    assert discover(server, issuer=issuer).status_code in {422, 502}


def test_nothing_published_is_said(server, publisher):
    answer = discover(server, issuer=publisher[0])
    assert answer.status_code == 422
    assert "publishes no metadata" in answer.json()["errors"][0]["message"]


def openapi(url: str) -> dict:
    flow = {
        "authorizationUrl": "/auth",
        "tokenUrl": "/token",
        "scopes": {"read:orders": "Read", "offline_access": "Stay"},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Acme API", "version": "1"},
        "servers": [{"url": url + "/v1"}],
        "components": {"securitySchemes": {"login": {"type": "oauth2", "flows": {"authorizationCode": flow}}}},
    }


@pytest.mark.parametrize("as_text", [False, True])
def test_an_openapi_document_gives_urls_scopes_and_base_url(server, steps, publisher, as_text):
    url, documents = publisher
    documents["/openapi.json"] = json.dumps(openapi(url)) if as_text else openapi(url)
    for body in (
        {"openapi_url": url + "/openapi.json"},
        {"openapi": openapi(url)},
        {"openapi": json.dumps(openapi(url))},
    ):
        found = steps.ok(discover(server, **body))
        assert found["base_url"] == url + "/v1"
        assert found["settings"]["name"] == "Acme API"
        assert found["settings"]["token_url"] == url + "/token"
        assert found["settings"]["scopes"] == "read:orders offline_access"


@pytest.mark.parametrize("text", ["", "- a\n- b", "{", "swagger: '2.0'", "openapi: 3.0.0", "a: &a [*a]"])
def test_a_document_that_is_none_is_refused(server, publisher, text):
    publisher[1]["/openapi.yaml"] = text
    answer = discover(server, openapi_url=publisher[0] + "/openapi.yaml")
    assert answer.status_code == 422, answer.text


def test_yaml_is_read_too(server, steps, publisher):
    url, documents = publisher
    documents["/openapi.yaml"] = f"""
openapi: 3.0.3
info: {{title: Acme}}
servers: [{{url: {url}/v1}}]
components:
  securitySchemes:
    oauth:
      type: oauth2
      flows: {{clientCredentials: {{tokenUrl: {url}/token, scopes: {{}}}}}}
"""
    found = steps.ok(discover(server, openapi_url=url + "/openapi.yaml"))["settings"]
    assert found["authentication_type"] == "rest_api_oauth2_client_credentials"


def test_presets_are_listed_and_filled(server, steps):
    found = steps.ok(server.api.get("/presets?limit=200"))["data"]
    assert len(found) >= 60
    github = steps.ok(server.api.get("/presets/github"))
    body = {**github["settings"], "client_id": "x", "client_secret": "y"}
    assert steps.ok(server.api.post("/oauth-clients", json=body))["advanced"]["token"]["auth"] == "post"
    zendesk = steps.ok(server.api.get("/presets/zendesk?subdomain=acme"))
    assert zendesk["base_url"] == "https://acme.zendesk.com/api/v2"
    wrong = server.api.get("/presets/zendesk?subdomain=a.b")
    assert wrong.json()["errors"][0]["at"] == "variables.subdomain"
    assert server.api.get("/presets/nothing").status_code == 404


def test_a_preset_on_the_command_line(server, steps, terminal):
    terminal.run("login", server.url, "--token-stdin", typed=steps.token + "\n")
    assert "zendesk" in terminal.run("clients", "presets")
    words = ["clients", "register", "--name", "Help", "--client-id", "x", "--preset", "zendesk", "--no-check"]
    refused = terminal.run(*words, "--client-secret-stdin", typed="s", code=2)
    assert "--variable subdomain=acme" in refused
    terminal.run(*words, "--variable", "subdomain=acme", "--client-secret-stdin", typed="s")
    found = json.loads(terminal.run("clients", "show", "Help", "--json"))
    assert found["token_url"] == "https://acme.zendesk.com/oauth/tokens"
    assert found["advanced"]["token"]["body"] == "json"
