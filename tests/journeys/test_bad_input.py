"""Nonsense in every field and from every side: a clear sentence, a 4xx (5xx only for the end system's own faults), nothing lost."""

from __future__ import annotations

import httpx2
import pytest

GOOD = {
    "name": "A",
    "client_id": "x",
    "client_secret": "y",
    "authorization_url": "https://a.example/auth",
    "token_url": "https://a.example/token",
    "scopes": "a b",
}
MISSING = object()
LONG = "x" * 10_000
BLOCKED = "points to a private address and is blocked"
FIELD_CASES = [
    ("name", "", "Enter a name."),
    ("name", "   ", "Enter a name."),
    ("name", MISSING, "Enter a name."),
    ("name", LONG, "at most 80"),
    ("name", 5, "Send text."),
    ("name", "a\x00b", "cannot be typed"),
    ("client_id", "  ", "Enter the Client ID."),
    ("client_id", LONG, "at most 1,000"),
    ("client_secret", "", "Enter the Client Secret."),
    ("client_secret", MISSING, "Enter the Client Secret."),
    ("client_secret", LONG, "at most 4,000"),
    ("token_url", "", "Enter a URL"),
    ("token_url", LONG, "at most 2,000"),
    ("token_url", "http://a.example/token", "Use https."),
    ("token_url", "https:/a.example/token", "one slash after https:. Did you mean https://a.example/token?"),
    ("token_url", "javascript:alert(1)", "Use https."),
    ("token_url", "https://u:p@a.example/", "Remove the part before @"),
    ("token_url", "https://a.example/#f", "must not have a fragment"),
    ("token_url", "https://127.0.0.1/t", BLOCKED),
    ("token_url", "https://localhost/t", BLOCKED),
    ("token_url", "https://10.1.2.3:8443/t", BLOCKED),
    ("token_url", "https://[::ffff:127.0.0.1]/", BLOCKED),
    ("token_url", "https://169.254.169.254/", "can never be allowed"),
    ("token_url", "https://2130706433/", "four numbers"),
    ("authorization_url", "javascript:alert(1)", "Use https."),
    ("authorization_url", "https://10.0.0.1/", BLOCKED),
    ("access_token_expires_in", -1, "greater than 0"),
    ("access_token_expires_in", 0, "greater than 0"),
    ("access_token_expires_in", 1.5, "greater than 0"),
    ("access_token_expires_in", 2**63, "At most 10 years"),
    ("refresh_token_expires_in", -1, "Enter 0 or"),
    ("refresh_token_expires_in", 1.5, "Enter 0 or"),
    ("refresh_token_expires_in", 2**63, "At most 10 years"),
    ("authentication_type", "saml", "Choose an authentication type."),
    ("scopes", ["a"], "Send text."),
    ("clientid", "x", "Did you mean client_id?"),
    ("advanced", 5, "Send an object."),
]


@pytest.fixture
def server(world):
    return world.serve()


@pytest.fixture
def connection(world, steps, server):
    return steps.connect(world, server, steps.register(world, server))


def problems(answer) -> dict[str, str]:
    return {item["at"]: item["message"] for item in answer.json()["errors"]}


def test_a8_l7_r9_each_field_of_the_client_form_says_what_is_wrong_and_nothing_is_created(server):
    for field, value, expected in FIELD_CASES:
        body = {**GOOD, field: value}
        if value is MISSING:
            del body[field]
        answer = server.api.post("/oauth-clients", json=body)
        assert answer.status_code == 422, (field, value, answer.text)
        assert expected in problems(answer)[field], (field, value, answer.text)
    assert server.api.get("/oauth-clients").json()["data"] == []


def test_lifetimes_may_be_typed_in_words_and_odd_ones_are_warned_about(server):
    answer = server.api.post("/oauth-clients", json={**GOOD, "access_token_expires_in": "1h"})
    assert answer.json()["access_token_expires_in"] == 3_600_000
    answer = server.api.post("/oauth-clients", json={**GOOD, "name": "B", "access_token_expires_in": 3600})
    assert answer.json()["warnings"][0]["message"].startswith("3600 ms is 3.6 seconds. Did you mean 3600000 ms")


def test_a_taken_name_or_redirect_uri_is_a_conflict_and_creates_nothing(server):
    assert server.api.post("/oauth-clients", json=GOOD).status_code == 201
    answer = server.api.post("/oauth-clients", json={**GOOD, "name": "a"})
    assert (answer.status_code, list(problems(answer))) == (409, ["name"])
    promised = f"{server.url}/oauth2/callback/a"
    answer = server.api.post("/oauth-clients", json={**GOOD, "name": "A!", "redirect_uri": promised})
    assert answer.status_code == 409
    assert answer.json()["redirect_uri"] == f"{server.url}/oauth2/callback/a-2"
    assert len(server.api.get("/oauth-clients").json()["data"]) == 1


@pytest.mark.parametrize("raw", [b"[]", b"5", b"{", b"null", b'"x"', b"\xff"])
def test_a_body_that_is_no_object_is_refused(server, raw):
    answer = server.api.post("/oauth-clients", content=raw, headers={"Content-Type": "application/json"})
    assert (answer.status_code, list(problems(answer))) == (422, ["body"])


def test_r3_form_posts_and_cookies_are_nothing_to_the_api(server):
    assert server.api.post("/oauth-clients", content=b"a=b", headers={"Content-Type": "text/plain"}).status_code == 422
    answer = server.api.get("/me", headers={"Authorization": "Basic abc"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_unknown_ids_and_addresses_answer_404_alike(server, connection):
    for path in ("/oauth-clients/oc_x", "/connections/cn_x", "/tables/tb_x", "/imports/im_x", "/reads/rd_x", "/x"):
        answer = server.api.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
    assert server.api.post("/tables", json={"connection_id": "cn_x", "name": "t", "path": "/x"}).status_code == 404


ODD = [
    ("webpage", 502, "E-NOTDATA", "This is a web page, not data."),
    ("empty", 502, None, "with an empty body"),
    ("scalar", 502, "E-NOTDATA", "a single number"),
    ("error200", 502, "E-NOTDATA", "answered with an error instead of rows"),
    ("html_500", 502, "E-UPSTREAM", "having trouble (500)"),
    ("nothing", 502, "E-NOTFOUND", "Check the path; the connection itself works."),
]


@pytest.mark.timeout(180)
def test_an_endpoint_that_answers_nonsense_is_named_and_no_table_is_made(server, connection):
    for kind, status, code, expected in ODD:
        body = {"connection_id": connection["id"], "name": "odd", "path": f"/odd/{kind}"}
        answer = server.api.post("/tables", json=body)
        found = answer.json()
        assert (answer.status_code, found.get("message_code")) == (status, code), (kind, found)
        assert expected in found["detail"], kind
    assert server.api.get("/tables").json()["data"] == []


@pytest.mark.parametrize(
    ("kind", "rows", "types"),
    [
        ("empty_list", 0, {}),
        ("scalars", 3, {"value": "int64"}),
        ("mixed", 4, {"id": "int64", "v": "json"}),
        ("numbers", 1, {"id": "string", "exact": "int64", "wide": "string", "zeros": "string", "money": "float64"}),
    ],
)
def test_odd_but_readable_answers_become_rows_and_keep_every_digit(server, connection, steps, kind, rows, types):
    body = {"connection_id": connection["id"], "name": "odd", "path": f"/odd/{kind}"}
    table = steps.ok(server.api.post("/tables", json=body))
    lines = server.api.get(f"/tables/{table['id']}/rows?format=ndjson").text.splitlines()
    assert len(lines) - 1 == rows
    assert {column["name"]: column["type"] for column in table["schema"]} == types
    if kind == "numbers":
        assert '"wide":"1180591620717411303424"' in lines[0]
        assert '"exact":9007199254740993' in lines[0]


def test_exactly_one_full_page_without_paging_is_never_called_complete(server, connection, steps):
    body = {"connection_id": connection["id"], "name": "odd", "path": "/odd/hundred"}
    table = steps.ok(server.api.post("/tables", json=body))
    begun = steps.ok(server.api.post("/imports", json={"table_id": table["id"], "destination": {"url": "odd.parquet"}}))
    item = steps.wait_for_import(server, begun["id"])
    assert (item["status"], item["completeness"]["complete"]) == ("incomplete", False)
    assert "probably more" in item["completeness"]["note"]
    files = server.api.get(f"/imports/{item['id']}/files").json()["data"]
    assert [file["name"] for file in files] == ["odd.incomplete.parquet"]


def test_a_page_that_repeats_ends_the_read_and_says_so(server, connection, steps):
    pagination = {"type": "next_url", "next_url_path": "$.next"}
    body = {"connection_id": connection["id"], "name": "odd", "path": "/odd/loop", "rows_path": "$.data"}
    table = steps.ok(server.api.post("/tables", json={**body, "pagination": pagination}))
    lines = server.api.get(f"/tables/{table['id']}/rows?format=ndjson").text.splitlines()
    assert '"complete":false' in lines[-1]


def test_g2_a_next_link_to_another_host_gets_no_token(server, connection, steps):
    body = {"connection_id": connection["id"], "name": "odd", "path": "/odd/foreign_next"}
    table = steps.ok(server.api.post("/tables", json=body))
    with pytest.raises(httpx2.RemoteProtocolError):
        server.api.get(f"/tables/{table['id']}/rows")
    begun = steps.ok(server.api.post("/imports", json={"table_id": table["id"], "destination": {"url": "odd.parquet"}}))
    item = steps.wait_for_import(server, begun["id"])
    assert (item["status"], item["error"]["message_code"]) == ("failed", "E-BLOCKED")
    assert "The token is not sent there" in item["error"]["message"]
    assert item["completeness"]["complete"] is False


@pytest.mark.parametrize("url", ["../x.parquet", "/etc/x.parquet", ".hidden", ".part-x", "a/../../x.parquet", ""])
def test_a_destination_outside_the_workspaces_folder_is_refused(server, connection, steps, url):
    body = {"connection_id": connection["id"], "name": "countries", "path": "/countries"}
    table = steps.ok(server.api.post("/tables", json=body))
    answer = server.api.post("/imports", json={"table_id": table["id"], "destination": {"url": url}})
    assert (answer.status_code, list(problems(answer))) == (422, ["destination.url"]), answer.text


@pytest.mark.parametrize("path", ["%2e%2e/secret", "..%2fsecret", "a/%252e%252e/b", "a\\..\\b"])
def test_the_proxy_stays_under_the_base_url(server, connection, path):
    answer = server.api.get(f"/connections/{connection['id']}/proxy/{path}")
    assert answer.status_code == 422, answer.text


def test_a_token_url_that_answers_a_web_page_is_named_at_sign_in(world, steps, server):
    client = steps.register(world, server)
    body = {
        "name": "acme",
        "base_url": world.end_system.url + "/api/v1",
        "auth": {"type": "oauth2", "oauth_client_id": client["id"]},
        "access": "only_me",
    }
    connection = steps.ok(server.api.post("/connections", json=body))
    world.end_system.demo.faults.token_pages = 1
    begun = steps.ok(server.api.post(f"/connections/{connection['id']}/authorizations"))
    answer = steps.sign_in(begun["start_url"])
    assert answer.status_code == 400
    assert "The Token URL answered with a web page, not a token." in answer.text
    ended = steps.ok(server.api.get(f"/authorizations/{begun['id']}"))
    assert (ended["status"], ended["error"]["message_code"]) == ("failed", "E-NOTJSON")
    assert steps.ok(server.api.get(f"/connections/{connection['id']}"))["status"] == "not_connected"


@pytest.mark.parametrize("fault", ["token_500s", "lose_token_answers", "token_pages"])
def test_f4_a_refresh_that_goes_wrong_keeps_the_grant_and_is_tried_again(world, steps, server, connection, fault):
    demo = world.end_system.demo
    demo.faults.grace_seconds = 60
    demo.expire_access_tokens()
    setattr(demo.faults, fault, 1)
    path = f"/connections/{connection['id']}/proxy/products?limit=1"
    first = server.api.get(path)
    if first.status_code != 200:
        assert first.json()["code"] in {"unavailable", "upstream"}
        import time

        time.sleep(min(int(first.headers.get("retry-after", 1)), 5) + 1.5)
        assert server.api.get(path).status_code == 200
    assert steps.ok(server.api.get(f"/connections/{connection['id']}"))["status"] == "healthy"
