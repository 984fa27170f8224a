"""The REST API: every pagination style walks to all rows exactly once, and refusals say why."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest

from keyturn.demo import data


@pytest.fixture
async def token(world):
    return (await world.signed_in())["access_token"]


async def test_orders_are_13_pages_by_the_next_url_with_the_total(world, token):
    url, rows, pages = f"{world.url}/api/v1/orders", [], 0
    while url:
        assert url.startswith(world.url + "/")
        body = (await world.get(url, token)).json()
        assert body["paging"]["total"] == 1234
        rows, pages, url = rows + body["data"], pages + 1, body["paging"]["next"]
    assert pages == 13
    assert rows == data.orders()


async def test_the_filter_of_orders_goes_along_with_the_next_url(world, token):
    url, rows = f"{world.url}/api/v1/orders?status=paid&limit=50", []
    while url:
        body = (await world.get(url, token)).json()
        rows, url = rows + body["data"], body["paging"]["next"]
    assert rows == [row for row in data.orders() if row["status"] == "paid"]


async def test_customers_come_by_the_link_header(world, token):
    url, rows = f"{world.url}/api/v1/customers", []
    while url:
        answer = await world.get(url, token)
        assert isinstance(answer.json(), list)
        rows += answer.json()
        url = answer.links.get("next", {}).get("url")
    assert rows == data.customers()


async def test_order_items_come_by_page_number(world, token):
    rows, page, pages = [], 1, 1
    while page <= pages:
        body = (await world.get(f"/api/v1/order_items?page={page}&per_page=500", token)).json()
        rows, page, pages = rows + body["items"], page + 1, body["total_pages"]
    assert rows == data.order_items()
    assert body["total_count"] == len(rows)
    assert (await world.get(f"/api/v1/order_items?page={page}&per_page=500", token)).json()["items"] == []


async def test_products_come_by_offset_and_limit(world, token):
    rows, total = [], 1
    while len(rows) < total:
        body = (await world.get(f"/api/v1/products?offset={len(rows)}&limit=10", token)).json()
        rows, total = rows + body["results"], body["total"]
    assert rows == data.products()


@pytest.mark.parametrize("size", [7, 100, 250])
async def test_events_come_by_cursor_with_one_wait_a_read(world, token, size):
    for _ in range(2):
        rows, cursor, waits = [], "", 0
        while cursor is not None:
            answer = await world.get(f"/api/v1/events?limit={size}" + (f"&cursor={cursor}" if cursor else ""), token)
            if answer.status_code == 429:
                assert answer.headers["retry-after"] == "2"
                waits += 1
                continue
            body = answer.json()
            rows, cursor = rows + body["events"], body["next_cursor"]
            assert body["has_more"] is (cursor is not None)
        assert rows == data.events()
        assert waits == 1


async def test_without_the_rate_limit_events_come_at_once(world, token):
    world.demo.faults.rate_limit = False
    for start in range(0, 540, 100):
        assert (await world.get(f"/api/v1/events?cursor=c{start}", token)).status_code == 200


async def test_countries_are_one_page(world, token):
    assert (await world.get("/api/v1/countries", token)).json() == {"countries": data.countries()}


async def test_the_discovery_document_lists_six_endpoints_that_answer(world, token):
    found = (await world.http.get("/api/v1")).json()["endpoints"]
    assert len(found) == 6
    for endpoint in found:
        assert (await world.get(endpoint["url"], token)).status_code == 200
    assert {e["name"]: e["scope"] for e in found}["customers"] == "read:customers"


async def test_the_rows_have_the_things_that_break_readers(world, token):
    text = (await world.get("/api/v1/orders?limit=500", token)).text
    row = json.loads(text)["data"][6]
    assert row["external_ref"] > 2**53
    assert str(row["external_ref"]) in text
    assert row["legacy_code"] == "0000007"
    assert isinstance(row["total"], str)
    assert row["discount"] is None
    assert row["placed_at"].endswith("Z")
    assert row["customer"]["email"]
    assert row["items"][0]["sku"]


def test_ids_are_unique_in_every_endpoint():
    for rows, key in ((data.orders(), "id"), (data.customers(), "id"), (data.products(), "sku"), (data.events(), "id")):
        assert len({row[key] for row in rows}) == len(rows)
    assert len({(row["order_id"], row["line"]) for row in data.order_items()}) == len(data.order_items())


@pytest.mark.parametrize(
    "query", ["page=0", "page=-1", "page=x", "page=1.5", "limit=0", "limit=x", "page=" + "9" * 5000]
)
async def test_a_number_that_makes_no_sense_is_400(world, token, query):
    answer = await world.get(f"/api/v1/orders?{query}", token)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("path", ["products?offset=-1", "events?cursor=c-1", "events?cursor=abc", "customers?page=0"])
async def test_a_place_that_cannot_be_is_400(world, token, path):
    assert (await world.get(f"/api/v1/{path}", token)).status_code == 400


async def test_a_page_past_the_end_is_empty(world, token):
    body = (await world.get("/api/v1/orders?page=99", token)).json()
    assert (body["data"], body["paging"]["next"]) == ([], None)


@pytest.mark.parametrize("path", ["orders", "countries", "odd/webpage"])
async def test_a_wrong_token_is_401_with_a_challenge(world, path):
    answer = await world.get(f"/api/v1/{path}", "at_wrong")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


async def test_no_token_is_401_with_a_challenge_that_names_no_error(world):
    answer = await world.http.get("/api/v1/orders")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="Demo CRM"'


async def test_a_refresh_token_opens_nothing(world):
    tokens = await world.signed_in()
    assert (await world.get("/api/v1/orders", tokens["refresh_token"])).status_code == 401
    assert (await world.get("/oauth2/userinfo", tokens["refresh_token"])).status_code == 401


@pytest.mark.parametrize(
    ("scope", "open_to", "closed_to"),
    [
        ("read:orders", {"orders", "order_items", "events", "products", "countries"}, {"customers"}),
        ("read:customers", {"customers", "products", "countries"}, {"orders", "order_items", "events"}),
    ],
)
async def test_each_scope_opens_its_endpoints_alone(world, scope, open_to, closed_to):
    token = (await world.signed_in(scope=scope))["access_token"]
    for name in open_to:
        assert (await world.get(f"/api/v1/{name}", token)).status_code == 200
    for name in closed_to:
        answer = await world.get(f"/api/v1/{name}", token)
        assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


async def test_an_unknown_endpoint_is_404(world, token):
    for path in ("nothing", "odd/nothing"):
        answer = await world.get(f"/api/v1/{path}", token)
        assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


async def test_the_next_calls_can_be_429_or_500_and_then_heal(world, token):
    world.demo.faults.api_429s, world.demo.faults.api_500s = 2, 1
    answers = [await world.get("/api/v1/countries", token) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 429, 500, 200]
    assert answers[0].headers["retry-after"] == "2"


async def test_a_changed_schema_makes_the_total_an_object_and_adds_a_column(world, token):
    world.demo.faults.schema_changed = True
    row = (await world.get("/api/v1/orders", token)).json()["data"][0]
    assert row["total"] == {"amount": data.orders()[0]["total"], "currency": "EUR"}
    assert row["channel"] == "web"
    world.demo.faults.schema_changed = False
    assert (await world.get("/api/v1/orders", token)).json()["data"][0] == data.orders()[0]


async def test_odd_answers_are_as_odd_as_their_names(world, token):
    async def odd(kind):
        return await world.get(f"/api/v1/odd/{kind}", token)

    assert (await odd("webpage")).headers["content-type"].startswith("text/html")
    assert (await odd("empty")).content == b""
    assert (await odd("no_content")).status_code == 204
    assert (await odd("empty_list")).json() == {"data": []}
    assert (await odd("scalar")).json() == 42
    assert (await odd("scalars")).json() == [1, 2, 3]
    assert len({type(row["v"]) for row in (await odd("mixed")).json()}) == 4
    wrong = await odd("error200")
    assert wrong.status_code == 200
    assert "error" in wrong.json()
    assert len((await odd("huge")).content) > 10 * 1024 * 1024
    failed = await odd("html_500")
    assert (failed.status_code, failed.headers["content-type"].split(";")[0]) == (500, "text/html")
    with pytest.raises(json.JSONDecodeError):
        (await odd("cut")).json()


async def test_a_looping_endpoint_gives_the_same_page_for_ever(world, token):
    first = (await world.get("/api/v1/odd/loop", token)).json()
    second = (await world.get(first["next"], token)).json()
    assert first["data"] == second["data"]
    assert first["next"] != second["next"]
    assert (await world.get("/api/v1/odd/loop?page=x", token)).status_code == 400


async def test_a_foreign_next_url_points_to_another_origin(world, token):
    body = (await world.get("/api/v1/odd/foreign_next", token)).json()
    assert urlsplit(body["next"]).netloc != urlsplit(world.url).netloc


async def test_the_log_of_calls_has_the_paths_and_no_token(world, token):
    await world.get("/api/v1/orders?page=2", token)
    assert [(e["path"], e["query"]) for e in world.demo.api_requests] == [("/api/v1/orders", "page=2")]
    assert token not in str(world.demo.api_requests)
