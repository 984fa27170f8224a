"""A secret is saved in Workspace settings, named in the builder, replaced, and not deleted while a table names it."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
VALUE = "canary-value-of-a-table"


def find_rows(page, server, connection) -> None:
    page.goto(f"{server.url}/tables/new?connection_id={connection['id']}")
    page.locator("#path").fill("/orders")
    page.get_by_text("Parameters · Headers · Body").click()
    page.get_by_label("Headers").fill("X-Api-Key: {{secret:ACME}}")
    page.get_by_role("button", name="Find rows").click()


def test_a_secret_is_missed_saved_named_and_kept_while_it_is_used(world, steps, look):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    page = look.page
    look.sign_in(server)
    find_rows(page, server, connection)
    page.get_by_text("This workspace has no secret called ACME").first.wait_for()
    look.at("80-secret-missing")
    page.goto(f"{server.url}/admin/settings")
    page.get_by_role("link", name="New secret").click()
    page.get_by_label("Name", exact=True).fill("ACME")
    page.get_by_label("Value").fill("short")
    page.get_by_role("button", name="Save").click()
    page.locator("#value-error").wait_for()
    look.at("81-secret-wrong")
    page.get_by_label("Value").fill(VALUE)
    page.get_by_label("API hosts").fill(f"127.0.0.1:{world.end_system.port}")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Tables write {{secret:ACME}} where its value goes.").first.wait_for()
    look.at("82-secret")
    find_rows(page, server, connection)
    page.get_by_role("button", name="Find rows again").wait_for()
    look.at("83-secret-named")
    assert "{{secret:ACME}}" in page.content()
    page.get_by_role("button", name="Save table").click()
    page.get_by_role("heading", name="acme.orders").wait_for()
    page.goto(f"{server.url}/admin/settings")
    look.at("84-settings-with-a-secret")
    page.get_by_role("link", name="ACME").click()
    page.get_by_role("button", name="Delete secret").click()
    page.get_by_text("ACME is named by acme.orders, which would stop without it.").wait_for()
    look.at("85-secret-in-use")
    assert VALUE not in page.content() + server.log
    [secret] = server.api.get("/secrets").json()["data"]
    assert secret["allowed_hosts"] == [f"127.0.0.1:{world.end_system.port}"]
