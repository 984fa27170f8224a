"""A table's settings are used on another connection, from the table's page."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def test_a_table_is_copied_to_another_connection_and_a_taken_name_is_told(world, steps, look):
    server = world.serve()
    client = steps.register(world, server)
    connection = steps.connect(world, server, client)
    body = {"connection_id": connection["id"], "name": "orders", "path": "/orders"}
    orders = steps.ok(server.api.post("/tables", json=body))
    page = look.page
    look.sign_in(server)
    page.goto(f"{server.url}/tables/{orders['id']}")
    page.get_by_role("link", name="Copy to another connection…").click()
    page.get_by_text("There is no other connection whose tables you may change.").wait_for()
    look.at("86-copy-to-nowhere")
    steps.connect(world, server, client, name="globex", access="only_me")
    page.reload()
    page.get_by_label("Connection").select_option(label="globex")
    look.at("87-copy")
    page.get_by_role("button", name="Copy table").click()
    page.get_by_role("heading", name="globex.orders").wait_for()
    page.get_by_text("Sample: first 100 rows").wait_for()
    look.at("88-copied")
    page.goto(f"{server.url}/tables/{orders['id']}/copy")
    page.get_by_role("button", name="Copy table").click()
    page.get_by_text("globex.orders exists already. Give the copy another name.").first.wait_for()
    page.get_by_label("Table name").fill("orders_2")
    page.get_by_role("button", name="Copy table").click()
    page.get_by_role("heading", name="globex.orders_2").wait_for()
