"""The OpenAPI document says what the contract says: routes, bodies, problems, and that an API token is needed."""

from __future__ import annotations

import json
import re

import httpx2
import pytest

CONTRACT = """
POST /oauth-clients | GET /oauth-clients | GET /oauth-clients/{client_id} | PATCH /oauth-clients/{client_id}
DELETE /oauth-clients/{client_id} | POST /oauth-clients/{client_id}/check | POST /oauth-clients/{client_id}/secrets
GET /oauth-clients/redirect-uri
POST /connections | GET /connections | GET /connections/{connection_id} | PATCH /connections/{connection_id}
DELETE /connections/{connection_id} | POST /connections/{connection_id}/test | GET /connections/{connection_id}/events
POST /connections/{connection_id}/authorizations | GET /authorizations/{authorization_id}
POST /connections/{connection_id}/token | POST /connections/{connection_id}/refresh
POST /connections/{connection_id}/disconnect
POST /tables | GET /tables | GET /tables/{table_id} | PATCH /tables/{table_id} | DELETE /tables/{table_id}
POST /tables/detect | GET /tables/{table_id}/preview | GET /tables/{table_id}/rows | GET /tables/{table_id}/schema
POST /tables/{table_id}/copies | POST /tables/{table_id}/schema/refresh | GET /reads/{read_id}
POST /imports | GET /imports/{import_id} | POST /imports/{import_id}/cancel | POST /imports/{import_id}/resume
GET /imports/{import_id}/files | POST /schedules | GET /schedules | POST /schedules/preview
GET /schedules/{schedule_id} | PATCH /schedules/{schedule_id} | DELETE /schedules/{schedule_id}
GET /imports/{import_id}/files/{name} | POST /tokens | GET /tokens | DELETE /tokens/{token_id} | GET /me
GET /audit | GET /audit/head | GET /audit/export | GET /members | PATCH /members/{account_id}
GET /members/{account_id}/dependents | POST /members/{account_id}/removal | POST /members/{account_id}/password-link
POST /service-accounts | GET /invitations | POST /invitations | DELETE /invitations/{invitation_id}
GET /notices | POST /webhooks | GET /webhooks | GET /webhooks/{webhook_id} | PATCH /webhooks/{webhook_id}
DELETE /webhooks/{webhook_id} | POST /webhooks/{webhook_id}/test | GET /webhooks/{webhook_id}/deliveries
POST /webhooks/{webhook_id}/secret | GET /settings | POST /settings/mail/test | PATCH /me
GET /settings/files | PATCH /settings/files
GET /connect-links | POST /connect-links | GET /connect-links/{connect_link_id} | DELETE /connect-links/{connect_link_id}
POST /connect-links/{connect_link_id}/accept | POST /connect-links/reconnect
GET /destinations | POST /destinations | GET /destinations/{destination_id} | PATCH /destinations/{destination_id}
GET /secrets | PUT /secrets/{secret_name} | DELETE /secrets/{secret_name}
DELETE /destinations/{destination_id} | POST /destinations/{destination_id}/test
DELETE /members/{account_id}/second-factor
GET /organisation | PUT /organisation | DELETE /organisation
GET /doctor | GET /workspaces | POST /workspaces | PATCH /workspaces/{workspace_id} | DELETE /workspaces/{workspace_id}
"""
BODIES = {
    "/oauth-clients": "name authentication_type client_id client_secret authorization_url token_url scopes "
    "access_token_expires_in refresh_token_expires_in advanced redirect_uri",
    "/connections": "name base_url auth access headers query",
    "/tables": "connection_id name method path query headers body format rows_path pagination primary_key columns "
    "infer_types",
    "/tables/{table_id}/copies": "connection_id name",
    "/webhooks": "name url events enabled",
    "/connect-links": "connection_id oauth_client_id end_user base_url return_url hold expires_in_seconds",
    "/connect-links/reconnect": "connection_ids oauth_client_id",
    "/destinations": "name type url schema endpoint region access_key_id addressing",
    "/imports": "table_id destination mode",
}


@pytest.fixture
def document(world) -> dict:
    return httpx2.get(world.serve().url + "/api/openapi.json").json()


def resolved(document: dict, schema: dict) -> dict:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def test_it_agrees_with_the_contract(document):
    wanted = {tuple(item.split()) for line in CONTRACT.strip().splitlines() for item in line.split("|")}
    found = {
        (method.upper(), path.removeprefix("/api/v1")) for path, item in document["paths"].items() for method in item
    }
    assert wanted <= found, sorted(wanted - found)
    for path, fields in BODIES.items():
        body = document["paths"]["/api/v1" + path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        properties = set(resolved(document, body)["properties"])
        assert set(fields.split()) <= properties, (path, set(fields.split()) - properties)


def test_each_operation_says_what_it_does_and_that_it_needs_a_token(document):
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if path.startswith("/api/"):
                assert operation.get("security") or document.get("security"), (method, path)
                assert operation.get("summary"), (method, path)


def test_every_reference_leads_somewhere_and_refusals_are_problems(document):
    text = json.dumps(document)
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert names <= set(document["components"]["schemas"]), names - set(document["components"]["schemas"])
    assert "HTTPValidationError" not in text
    for path, item in document["paths"].items():
        for operation in item.values():
            if path.startswith("/api/"):
                assert "application/problem+json" in operation["responses"]["4XX"]["content"]
