"""The builder in a real browser: a table out of nothing but a URL, out of a document, and what is said when it is wrong.

Each page is looked at in light, dark and 320 px, by axe, without a console error, and by keyboard where it counts.
"""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


@pytest.fixture
def server(world, steps, look):
    started = world.serve()
    steps.connect(world, started, steps.register(world, started))
    look.sign_in(started)
    return started


def at(look, name: str) -> None:
    """Light and dark, at three widths."""
    for scheme in ("light", "dark"):
        look.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        look.at(f"{name}-{scheme}", widths=(320, 380, 1280))
    look.page.emulate_media(color_scheme="light", reduced_motion="reduce")


def goes_through_the_tabs(look) -> None:
    page = look.page
    page.get_by_role("tab", name="Table").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Rows")).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="$.data (100)").wait_for()
    at(look, "72-builder-response")
    page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="Copy as cURL").click()
    line = page.evaluate("navigator.clipboard.readText()")
    assert line.startswith("curl -sS -X GET 'http://127.0.0.1")
    assert 'Bearer $ACCESS_TOKEN"' in line
    at(look, "73-builder-request")


def pins_a_type(look) -> None:
    page = look.page
    page.get_by_role("tab", name="Schema").click()
    page.get_by_label("Pin the type of total").fill("decimal(18,2)")
    page.get_by_label("Name of a column that was not seen yet").fill("discount")
    page.get_by_label("Type of a column that was not seen yet").fill("int64")
    page.get_by_role("button", name="Find rows again").click()
    # Looked at again: what was typed for no column has one of its own, and the tab stays.
    expect(page.get_by_role("tab", name="Schema")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_label("Pin the type of discount")).to_have_value("int64")
    expect(page.get_by_label("Pin the type of total")).to_have_value("decimal(18,2)")
    at(look, "74-builder-schema")


def test_a_person_builds_a_table_from_nothing_but_a_url(world, server, look):
    page = look.page
    page.goto(f"{server.url}/tables/new")
    at(look, "70-builder-empty")
    page.get_by_role("textbox", name="Path").fill(
        f"{world.end_system.url}/api/v1/orders?status=open&access_token=abc123"
    )
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Find rows")).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_text("Page 2 differs: 0 of 100 ids repeat").wait_for()
    page.get_by_text("The only list that repeats: 100 rows").wait_for()
    page.get_by_text("100 of 100 sampled rows have their own id").wait_for()
    page.get_by_text("The parameter access_token: the connection signs in by itself.").wait_for()
    expect(page.get_by_role("textbox", name="Path")).to_have_value("/orders")
    expect(page.get_by_label("Parameters", exact=True)).to_have_value("status=open")
    expect(page.get_by_label("Table name")).to_have_value("orders")
    at(look, "71-builder-found")

    goes_through_the_tabs(look)
    pins_a_type(look)

    page.get_by_role("button", name="Save table").click()
    page.get_by_role("heading", name="acme.orders").wait_for()
    page.get_by_text("Sample: first 100 rows").wait_for()
    page.get_by_role("tab", name="History").click()
    page.get_by_text("Every read so far met the same columns.").wait_for()
    at(look, "75-table-history")
    [table] = server.api.get("/tables").json()["data"]
    assert (table["path"], table["query"], table["rows_path"]) == ("/orders", {"status": "open"}, "$.data")
    assert {"name": "total", "type": "decimal(18,2)"} in table["columns"]


def test_what_is_pasted_offers_its_endpoints(server, look):
    page = look.page
    page.goto(f"{server.url}/tables/new")
    page.get_by_text("Or paste cURL, OpenAPI, Postman").click()
    page.get_by_label("Paste it here").fill("what is this")
    page.get_by_role("button", name="Use it").click()
    page.locator("#source-error").wait_for()
    answer = {"200": {"content": {"application/json": {"schema": {"type": "array", "items": {"type": "object"}}}}}}
    paths = {f"/{name}": {"get": {"responses": answer}} for name in ("customers", "countries")}
    page.get_by_label("Paste it here").fill(json.dumps({"openapi": "3.0.0", "paths": paths}))
    page.get_by_role("button", name="Use it").click()
    page.get_by_role("heading", name="2 endpoints in what you pasted").wait_for()
    at(look, "76-builder-choose")
    page.get_by_role("button", name="Look at customers").click()
    page.get_by_text("The Link header names the next page").wait_for()
    page.get_by_label("Paste it here").fill("curl -H 'Authorization: Bearer s3cr3t' https://127.0.0.1/api/v1/products")
    page.get_by_role("button", name="Use it").click()
    expect(page.get_by_role("textbox", name="Path")).to_have_value("/products")
    page.get_by_text("The header Authorization: the connection signs in by itself.").wait_for()


def test_what_is_wrong_is_said_and_a_draft_can_be_kept(world, server, look):
    page = look.page
    page.goto(f"{server.url}/tables/new")
    page.get_by_role("textbox", name="Path").fill("/nowhere")
    page.get_by_role("button", name="Find rows").click()
    page.get_by_text("Check the path; the connection itself works.").wait_for()
    page.get_by_label("Table name").fill("orders")
    at(look, "77-builder-not-found")
    page.get_by_role("button", name="Save as draft").click()
    page.get_by_text("Draft", exact=True).wait_for()
    at(look, "78-draft")
    [table] = server.api.get("/tables").json()["data"]
    assert server.api.get(f"/tables/{table['id']}/rows").status_code == 422
    page.get_by_role("textbox", name="Path").fill("/orders")
    page.get_by_role("button", name="Publish").click()
    page.get_by_role("link", name="Import all").first.wait_for()

    page.locator("#pagination").select_option("page_number")
    page.locator("[id='page_number.page_param']").fill("seite")
    page.locator("#primary_key").fill("status")
    page.get_by_role("button", name="Check page 2").click()
    page.get_by_text("Page 2 is the same as page 1, so paging is wrong.").wait_for()
    page.get_by_text("of 100 sampled rows share a status.").wait_for()
    at(look, "79-builder-doubts")


def test_a_choice_made_before_the_script_came_shows_its_fields(server, look):
    page, held = look.page, []
    page.route("**/static/app.js", lambda route: held.append(route))  # noqa: PLW0108 — the driver marks what it is given
    page.goto(f"{server.url}/tables/new", wait_until="commit")
    page.locator("#pagination").select_option("page_number")
    expect(page.locator("[id='page_number.page_param']")).to_be_hidden()
    held[0].continue_()
    expect(page.locator("[id='page_number.page_param']")).to_be_visible()


def test_a_table_shows_what_changed_and_what_did_not_fit(world, server, look):
    connection = server.api.get("/connections").json()["data"][0]
    body = {"connection_id": connection["id"], "name": "orders", "path": "/orders",
            "columns": [{"name": "status", "type": "int64"}]}  # fmt: skip
    table = server.api.post("/tables", json=body).json()
    server.api.get(f"/tables/{table['id']}/rows", params={"limit": 100})
    world.end_system.demo.faults.schema_changed = True
    server.api.get(f"/tables/{table['id']}/rows", params={"limit": 100})
    page = look.page
    page.goto(f"{server.url}/tables/{table['id']}")
    page.get_by_text("Sample: first 100 rows").wait_for()
    page.get_by_role("tab", name="History").click()
    expect(page.get_by_role("row").filter(has_text="channel")).to_contain_text("New")
    page.get_by_role("link", name="Download all").first.wait_for()
    at(look, "80-table-rejects")


@pytest.fixture
def orders(server, steps):
    [connection] = server.api.get("/connections").json()["data"]
    body = {"connection_id": connection["id"], "name": "orders", "path": "/orders"}
    return steps.ok(server.api.post("/tables", json=body))


def test_each_row_has_a_menu(server, orders, look):
    page = look.page
    page.goto(f"{server.url}/tables/{orders['id']}")
    page.get_by_role("button", name="Row 2, menu").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Copy as JSON").first).to_be_focused()
    look.at("80-row-menu", widths=(320, 1280))
    page.keyboard.press("Enter")
    page.get_by_text("Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    (_, row, *_) = server.api.get(f"/tables/{orders['id']}/preview").json()["rows"]
    # Digits that a script would round are kept.
    assert list(json.loads(copied).values()) == row
    page.get_by_role("button", name="Show raw").click()
    page.get_by_role("heading", name="Row 2, as the API sent it").wait_for()
    raw = json.loads(page.locator("#peek-text").text_content())
    assert raw["id"] == 2
    assert isinstance(raw["customer"], dict)
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_be_hidden()


def test_what_is_nested_can_be_looked_into_and_made_a_child_table(server, orders, look):
    page = look.page
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    page.goto(f"{server.url}/tables/{orders['id']}")
    page.get_by_role("button", name="Look into items of row 1", exact=True).click()
    page.get_by_role("heading", name="items of row 1").wait_for()
    assert isinstance(json.loads(page.locator("#peek-text").text_content()), list)
    look.at("82-peek-dark", widths=(320, 1280))
    page.get_by_role("button", name="Make child table").click()
    page.get_by_role("heading", name="New table").wait_for()
    expect(page.get_by_label("Table name")).to_have_value("orders_items")
    page.get_by_text("100 rows of the API became").wait_for()
    page.get_by_role("button", name="Save table").click()
    page.get_by_role("heading", name="acme.orders_items").wait_for()
    [made] = [t for t in server.api.get("/tables").json()["data"] if t["name"] == "orders_items"]
    assert (made["expand"], made["path"]) == ("items", "/orders")
