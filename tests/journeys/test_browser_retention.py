"""A Workspace Admin limits the files of imports, and each import says what becomes of its file."""

from __future__ import annotations

import time

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def until(happened) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_limits_are_set_and_an_import_says_what_becomes_of_its_file(world, steps, look):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    body = {"connection_id": connection["id"], "name": "orders", "path": "/orders"}
    orders = steps.ok(server.api.post("/tables", json=body))
    made = []
    for name in ("old", "new"):
        body = {"table_id": orders["id"], "destination": {"url": f"{name}.parquet"}}
        made.append(steps.wait_for_import(server, steps.ok(server.api.post("/imports", json=body))["id"])["id"])
    page = look.page
    look.sign_in(server)
    page.goto(f"{server.url}/admin/settings#files")
    section = page.get_by_role("region", name="Files of imports")
    section.get_by_text("in 2 files").wait_for()
    section.get_by_label("Largest import").fill("a lot")
    section.get_by_role("button", name="Save limits").click()
    page.get_by_text("Write a size, for example 500 MB").first.wait_for()
    look.at("90-file-limits-wrong")
    section.get_by_label("Largest import").fill("500 MB")
    section.get_by_label("Keep files for days").fill("30")
    section.get_by_role("button", name="Save limits").click()
    page.get_by_text("Saved. Files whose time is over are removed now.").wait_for()
    assert section.get_by_label("Largest import").input_value() == "500 MB"
    look.at("91-file-limits")
    page.goto(f"{server.url}/imports/{made[0]}")
    page.get_by_text("old.parquet is removed ").wait_for()
    page.goto(f"{server.url}/imports/{made[1]}")
    page.get_by_text("new.parquet stays as long as it is the latest whole one").wait_for()
    look.at("92-latest-file")
    page.goto(f"{server.url}/admin/settings#files")
    section.get_by_label("Keep the newest files").fill("1")
    with page.expect_navigation():
        section.get_by_role("button", name="Save limits").click()
    until(lambda: steps.ok(server.api.get(f"/imports/{made[0]}"))["files_removed_at"])
    page.goto(f"{server.url}/imports/{made[0]}")
    page.get_by_text("old.parquet was removed ").wait_for()
    assert page.get_by_role("link", name="old.parquet").count() == 0
    look.at("93-removed-file")
