"""Drafts of tables: what is described becomes settings, and no credential and no foreign address comes along."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keyturn.errors import Invalid
from keyturn.rest.drafts import drafts_of

BASE = "https://api.example.com/v1"


def openapi(paths, **components):
    return json.dumps({"openapi": "3.1.0", "info": {}, "paths": paths, "components": {"schemas": components}})


def answers(schema):
    return {"responses": {"200": {"content": {"application/json": {"schema": schema}}}}}


def test_a_curl_line_becomes_a_draft_without_its_credentials():
    found = drafts_of(
        "curl 'https://api.example.com/v1/orders?status=open&api_key=s3cret' \\\n -H 'Authorization: Bearer abcdef' "
        "-H 'X-Tenant: 7' -u me:pw --compressed",
        BASE,
    )
    assert found.drafts == [
        {
            "name": "orders",
            "method": "GET",
            "path": "/orders",
            "query": {"status": "open"},
            "headers": {"X-Tenant": "7"},
        }
    ]
    assert len(found.left_out) == 3
    assert not any(word in str(found) for word in ("s3cret", "abcdef", "me:pw"))


@pytest.mark.parametrize(
    ("line", "draft"),
    [
        ("curl -X POST {b}/search -d '{\"a\": 1}'", {"method": "POST", "path": "/search", "body": {"a": 1}}),
        ("$ curl --json '[1]' --url={b}/s", {"method": "POST", "path": "/s", "body": [1]}),
        ("curl -G {b}/s -d a=1 -d b=2", {"method": "GET", "path": "/s", "query": {"a": "1", "b": "2"}}),
        ("curl {b}/s -d x", {"method": "POST", "path": "/s"}),
    ],
)
def test_ways_of_curl(line, draft):
    [found] = drafts_of(line.replace("{b}", BASE), BASE).drafts
    assert found == {"name": found["name"], **draft}


def test_another_host_is_told():
    found = drafts_of("curl https://else.example/v1/orders", BASE)
    assert found.left_out == ["The host else.example: this connection reads api.example.com."]


@pytest.mark.parametrize(
    "source", ["", "hello", "curl", "curl 'x", "curl -X DELETE https://a.example/x", "{}", "[" * 900, "a: &a [*a]"]
)
def test_what_is_none_of_the_three_is_refused_in_words(source):
    with pytest.raises(Invalid):
        drafts_of(source, BASE)


def test_openapi_endpoints_with_a_list_become_drafts_and_the_others_are_told():
    order = {"type": "array", "items": {"$ref": "#/components/schemas/Order"}}
    parameters = [
        {"name": "shopId", "in": "path", "required": True, "schema": {"type": "integer"}},
        {"name": "from", "in": "query", "required": True, "schema": {"type": "string", "format": "date"}},
        {"name": "page", "in": "query", "schema": {"type": "integer"}},
    ]
    source = openapi(
        {
            "/shops/{shopId}/orders": {"parameters": parameters[:1], "get": {"parameters": parameters[1:], **answers({"$ref": "#/components/schemas/Page"})}},
            "/plain": {"get": answers(order), "post": answers(order)},
            "/deep": {"get": answers({"properties": {"result": {"type": "object", "properties": {"row-s": order}}}})},
            "/one": {"get": answers({"type": "object", "properties": {"id": {"type": "string"}}})},
            "/away": {"get": answers({"$ref": "https://evil.example/x.json"})},
            "/ring": {"get": answers({"$ref": "#/components/schemas/Ring"})},
        },
        Order={"type": "object"},
        Ring={"$ref": "#/components/schemas/Ring"},
        Page={"allOf": [{"properties": {"total": {"type": "integer"}}}, {"properties": {"data": order}}]},
    )  # fmt: skip
    found = drafts_of(source, BASE)
    assert found.kind == "openapi"
    orders, plain, deep = found.drafts
    assert orders == {
        "name": "orders", "method": "GET", "path": "/shops/{shop_id}/orders", "rows_path": "$.data",
        "query": {"from": "{{from}}"},
        "parameters": [{"name": "from", "type": "date"}, {"name": "shop_id", "type": "integer"}],
    } or orders["parameters"] == [{"name": "shop_id", "type": "integer"}, {"name": "from", "type": "date"}]  # fmt: skip
    assert (plain["rows_path"], deep["rows_path"]) == ("$", '$.result["row-s"]')
    assert [sentence.split(":")[0] for sentence in found.left_out] == ["GET /one", "GET /away", "GET /ring"]


def test_a_postman_collection_becomes_drafts_with_its_variables_asked_for():
    request = {
        "method": "GET",
        "header": [{"key": "X-A", "value": "{{tenantId}}"}, {"key": "Cookie", "value": "c"}],
        "url": {"raw": "{{baseUrl}}/orders/:id/items?status=open"},
    }
    items = [{"name": "folder", "item": [{"name": "Items", "request": request}]}]
    items += [{"name": "Drop", "request": {"method": "DELETE", "url": "{{baseUrl}}/orders"}}]
    found = drafts_of(json.dumps({"info": {}, "item": items}), BASE)
    [draft] = found.drafts
    assert (draft["path"], draft["headers"], draft["query"]) == (
        "/orders/{id}/items",
        {"X-A": "{{tenant_id}}"},
        {"status": "open"},
    )
    assert {item["name"] for item in draft["parameters"]} == {"id", "tenant_id"}
    assert found.left_out == [
        "The header Cookie: the connection signs in by itself.",
        "DELETE Drop: it does not only read.",
    ]


def test_names_do_not_collide():
    source = openapi({f"/{n}/orders": {"get": answers({"type": "array"})} for n in "abc"})
    assert [draft["name"] for draft in drafts_of(source, BASE).drafts] == ["orders", "orders_2", "orders_3"]


@example("https://[", None)
@given(st.text(max_size=40), st.recursive(st.none() | st.text(max_size=5) | st.integers(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["get", "schema", "$ref", "parameters", "responses", "200", "content", "application/json", "name", "in"]), inner, max_size=4), max_leaves=15))  # fmt: skip
def test_any_text_and_any_document_is_read_or_refused(text, value):
    for source in (
        f"curl {text}",
        text,
        json.dumps({"openapi": "3.0.0", "paths": {"/a": value}}),
        json.dumps({"info": {}, "item": [{"request": {"url": text}}, value]}),
    ):
        try:
            drafts_of(source, BASE)
        except Invalid:
            continue
