"""OAuth 2.0 flows out of OpenAPI 3 documents, as their authors write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.oauth.openapi_flows import base_url_of, flows_of

CODE = {"authorizationUrl": "https://a.example/auth", "tokenUrl": "https://a.example/token", "scopes": {"read": "r"}}


def document(scheme: dict, **more) -> dict:
    return {"openapi": "3.1.0", "components": {"securitySchemes": {"s": scheme}}, **more}


def test_an_authorization_code_flow_is_found_before_client_credentials():
    flows = {
        "clientCredentials": {"tokenUrl": "https://a.example/m"},
        "authorizationCode": {**CODE, "refreshUrl": "/r"},
    }
    first, second = flows_of(document({"type": "oauth2", "flows": flows}, servers=[{"url": "https://api.example/v1"}]))
    assert (first.kind, first.authorization_url, first.token_url) == (
        "authorization_code", "https://a.example/auth", "https://a.example/token",
    )  # fmt: skip
    assert (first.refresh_url, first.scopes) == ("https://api.example/r", ("read",))
    assert (second.kind, second.token_url) == ("client_credentials", "https://a.example/m")


def test_relative_urls_are_resolved_by_the_server_and_the_document():
    flows = {"authorizationCode": {"authorizationUrl": "/auth", "tokenUrl": "token"}}
    made = document({"type": "oauth2", "flows": flows}, servers=[{"url": "/v2/"}])
    found = flows_of(made, "https://api.example/docs/openapi.json")[0]
    assert (found.authorization_url, found.token_url) == ("https://api.example/auth", "https://api.example/v2/token")
    assert flows_of(made) == []


def test_server_variables_take_their_defaults():
    servers = [
        {"url": "https://{region}.api.example/{v}", "variables": {"region": {"default": "eu"}, "v": {"default": 1}}}
    ]
    assert base_url_of({"servers": servers}) == "https://eu.api.example/1"
    assert base_url_of({"servers": []}) is None
    assert base_url_of({"servers": [{"url": 5}]}) is None
    assert base_url_of({"servers": [{"url": "https://{x}/", "variables": {"x": 1}}]}) is None


@pytest.mark.parametrize(
    ("url", "issuer"),
    [
        ("https://id.example/.well-known/openid-configuration", "https://id.example"),
        ("https://id.example/t/.well-known/openid-configuration", "https://id.example/t"),
        ("https://id.example/other", None),
        (5, None),
    ],
)
def test_open_id_connect_names_its_issuer(url, issuer):
    found = flows_of(document({"type": "openIdConnect", "openIdConnectUrl": url}))
    assert [flow.issuer for flow in found] == ([issuer] if issuer else [])


@pytest.mark.parametrize(
    "flow",
    [{}, {"tokenUrl": "https://a.example/t"}, {**CODE, "tokenUrl": "javascript:alert(1)"}, {**CODE, "tokenUrl": ""}],
)
def test_a_flow_without_usable_urls_is_left_out(flow):
    assert flows_of(document({"type": "oauth2", "flows": {"authorizationCode": flow}})) == []


def test_scopes_may_be_missing_or_odd():
    for scopes in (None, [], "x"):
        flow = {**CODE, "scopes": scopes}
        assert flows_of(document({"type": "oauth2", "flows": {"authorizationCode": flow}}))[0].scopes == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, JSON)
def test_nonsense_never_crashes(schemes, flows):
    assert flows_of({"components": {"securitySchemes": schemes}, "servers": flows}) is not None
    assert flows_of(document({"type": "oauth2", "flows": flows})) is not None
    assert flows_of({"components": schemes}) == []
