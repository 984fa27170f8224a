"""What is ticked in a list is tested, paused and resumed together, and what became of each is told."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_connections_that_are_ticked_are_tested_and_paused(world, steps, look):
    server = world.serve()
    client = steps.register(world, server)
    for name in ("acme", "crm", "shop"):
        steps.connect(world, server, client, name)
    page = look.page
    look.sign_in(server)
    page.goto(f"{server.url}/connections")
    page.get_by_role("button", name="Test", exact=True).click()
    page.get_by_text("Tick connections in the list first.").wait_for()
    page.goto(f"{server.url}/connections")
    page.get_by_label("Choose acme").check()
    page.get_by_label("Choose shop").check()
    look.at("95-bulk-connections", widths=(320, 1280))
    page.get_by_role("button", name="Test", exact=True).click()
    page.get_by_role("heading", name="Test connections").wait_for()
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.locator("tbody")).to_contain_text("Works")
    look.at("96-bulk-tested", widths=(320, 1280))
    for press, paused in (("Pause", "paused"), ("Resume", "healthy")):
        page.goto(f"{server.url}/connections")
        page.get_by_label("Choose acme").check()
        page.get_by_label("Choose shop").check()
        page.get_by_role("button", name=press, exact=True).click()
        page.get_by_role("heading", name=f"{press} connections").wait_for()
        found = {one["name"]: one["status"] for one in server.api.get("/connections").json()["data"]}
        assert found == {"acme": paused, "crm": "healthy", "shop": paused}


def test_schedules_that_are_ticked_are_paused_and_resumed(world, steps, look):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    body = {"connection_id": connection["id"], "name": "orders", "path": "/orders"}
    table = steps.ok(server.api.post("/tables", json=body))
    for name in ("first", "second"):
        wanted = {"table_id": table["id"], "name": name, "destination": {"type": "parquet", "url": f"{name}.parquet"}}
        steps.ok(server.api.post("/schedules", json=wanted))
    page = look.page
    look.sign_in(server)
    for press, paused in (("Pause", True), ("Resume", False)):
        page.goto(f"{server.url}/schedules")
        page.get_by_label("Choose second").check()
        look.at(f"97-bulk-schedules-{press}", widths=(320, 1280))
        page.get_by_role("button", name=press, exact=True).click()
        page.get_by_role("heading", name=f"{press} schedules").wait_for()
        found = {one["name"]: one["paused"] for one in server.api.get("/schedules").json()["data"]}
        assert found == {"first": False, "second": paused}
