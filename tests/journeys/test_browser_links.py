"""A connect link in two real browsers: made and accepted by its owner, opened by somebody outside."""

from __future__ import annotations

import pytest

from world import PASSWORD


def signed_in(page, server) -> None:
    page.goto(server.url + "/sign-in")
    page.get_by_label("Email").fill("ana@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(server.url + "/")


@pytest.mark.browser
def test_a_link_is_made_sent_opened_and_accepted_in_two_browsers(world, steps, look, browser):
    server = world.serve()
    client = steps.register(world, server)
    body = {"name": "acme", "base_url": world.end_system.url + "/api/v1", "access": "shared_account",
            "auth": {"type": "oauth2", "oauth_client_id": client["id"]}}  # fmt: skip
    connection = steps.ok(server.api.post("/connections", json=body))
    page = look.page
    signed_in(page, server)
    page.goto(f"{server.url}/connections/{connection['id']}/links")
    look.at("80-no-links")
    page.get_by_role("button", name="Make a connect link").click()
    page.get_by_role("heading", name="Send this link. It is shown once.").wait_for()
    look.at("81-link-made")
    url = page.get_by_label("Connect link", exact=True).inner_text()
    page.goto(url)
    assert page.url == url, "who made it is not led on, so that a look uses nothing up"
    look.at("82-what-the-link-opens")
    elsewhere = browser.new_context(reduced_motion="reduce")
    visitor = elsewhere.new_page()
    visitor.goto(url)
    visitor.get_by_role("button", name="Continue to Demo CRM").click()
    visitor.get_by_role("button", name="Allow").click()
    visitor.get_by_text("ana looks at the account before anything is read with it.").wait_for()
    look.at("83-visitor-done", visitor)
    page.get_by_role("button", name="Continue to Demo CRM").click()
    page.get_by_role("heading", name="This link cannot be used").wait_for()
    look.at("84-used")
    page.goto(f"{server.url}/notices")
    page.get_by_text("Nothing is read with it until you accept it").wait_for()
    look.at("85-notice")
    page.goto(f"{server.url}/connections/{connection['id']}/links")
    look.at("86-to-be-accepted")
    page.get_by_role("button", name="Accept jane@demo").click()
    page.get_by_text("Accepted. It is read with that account from now on.").wait_for()
    look.at("87-accepted")
    page.get_by_role("button", name="Reconnect link").click()
    page.get_by_role("button", name="Take back").click()
    page.get_by_text("Taken back.", exact=True).wait_for()
    look.at("88-taken-back")
    elsewhere.close()


@pytest.mark.browser
def test_reconnect_links_are_sent_from_the_list_and_copied(world, steps, look):
    server = world.serve()
    client = steps.register(world, server)
    acme = steps.connect(world, server, client)
    steps.connect(world, server, client, name="orders")
    page = look.page
    signed_in(page, server)
    steps.ok(server.api.patch(f"/oauth-clients/{client['id']}", json={"scopes": "read:orders offline_access"}))
    page.goto(f"{server.url}/admin/oauth-clients/{client['id']}/connections")
    page.get_by_text("2 connections keep their old scopes until they reconnect.").wait_for()
    look.at("89-old-scopes")
    world.end_system.demo.revoke_grants()
    assert server.api.post(f"/connections/{acme['id']}/refresh").status_code == 409
    page.goto(server.url + "/connections")
    page.get_by_text("1 needs a reconnect.").wait_for()
    assert page.get_by_label("Send a reconnect link for acme").is_checked()
    look.at("90-needs-a-reconnect")
    page.get_by_role("button", name="Send reconnect links").click()
    page.get_by_text("1 to copy and send yourself. They are shown once.").wait_for()
    look.at("91-links-to-copy")
    assert "/connect/" in page.get_by_label("Reconnect link of acme", exact=True).inner_text()
