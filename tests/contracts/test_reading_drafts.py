"""Row 9 of the reading table, its drafts: out of what is pasted, and out of what an API publishes of itself."""

from __future__ import annotations

import json

import pytest
from starlette.responses import JSONResponse

from surfaces import Failed

NONE = {"rows_path": "$", "pagination": {"type": "none"}}


def test_row9_tables_are_drafted_from_a_curl_line_openapi_or_postman(surface, connection, api):
    api.on("orders", [{"id": 1}])
    found = surface.drafts(connection, f"curl '{api.url}/orders?a=1' -H 'Authorization: Bearer very-secret'")
    assert "very-secret" not in str(found)
    assert found["data"] == [{"name": "orders", "method": "GET", "path": "/orders", "query": {"a": "1"}}]
    surface.create(connection, **found["data"][0], **NONE)
    assert surface.read(f"{connection}.orders")[0] == [{"id": 1}]
    answer = {"content": {"application/json": {"schema": {"type": "array"}}}}
    paths = {path: {"get": {"responses": {"200": answer}}} for path in ("/things/{id}", "/orders")}
    found = surface.drafts(connection, json.dumps({"openapi": "3.0.0", "paths": paths}))
    assert {draft["path"] for draft in found["data"]} == set(paths)
    postman = {"info": {}, "item": [{"name": "x", "request": {"method": "GET", "url": "{{base}}/orders"}}]}
    assert surface.drafts(connection, json.dumps(postman))["data"][0]["path"] == "/orders"
    with pytest.raises(Failed, match="neither a cURL line"):
        surface.drafts(connection, "hello")


def test_row9_tables_are_drafted_from_what_the_api_publishes_of_itself(surface, connection, api):
    with pytest.raises(Failed, match="publishes no OpenAPI 3 description where we looked"):
        surface.drafts(connection)
    answer = {"content": {"application/json": {"schema": {"type": "array"}}}}
    get = {"get": {"responses": {"200": answer}}}
    paths = {"/orders": get, "/customers": get, "/jobs": {"post": {}}}
    document = {"openapi": "3.1.0", "servers": [{"url": api.url}], "paths": paths}
    api.on("orders", [{"id": 1}])

    api.on("openapi.json", lambda _: JSONResponse(document))
    found = surface.drafts(connection)
    assert found["found_at"] == f"{api.url}/openapi.json"
    draft, other = found["data"]
    assert other["path"] == "/customers"
    surface.create(connection, **{**NONE, **draft})
    assert surface.read(f"{connection}.orders")[0] == [{"id": 1}]


def test_row9_a_description_is_asked_for_with_the_credential_only_where_it_must(surface, connection, api):
    auth = {"type": "bearer", "token": "the-token-of-this-test"}
    body = {"name": f"{connection}_b", "base_url": api.url, "auth": auth, "access": "only_me"}
    assert surface.http.post("/connections", json=body).status_code == 201
    answer = {"200": {"content": {"application/json": {"schema": {"type": "array"}}}}}
    paths = {path: {"get": {"responses": answer}} for path in ("/orders", "/things")}
    document = {"openapi": "3.1.0", "servers": [{"url": api.url}], "paths": paths}

    def guarded(asked):
        known = asked["headers"].get("authorization") == "Bearer the-token-of-this-test"
        return JSONResponse(document) if known else JSONResponse({}, 403)

    api.on("openapi.yaml", guarded)
    assert surface.drafts(f"{connection}_b")["found_at"] == f"{api.url}/openapi.yaml"
    sent = [(asked["path"], "authorization" in asked["headers"]) for asked in api.asked]
    assert sent == [("openapi.json", False), ("openapi.yaml", False), ("openapi.yaml", True)]
