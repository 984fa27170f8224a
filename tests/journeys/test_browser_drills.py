"""The second half of the first five minutes: what a newcomer breaks on purpose is told in a sentence, and heals."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


@pytest.fixture
def acme(world, steps, look):
    """A server with a connection and a table, and Ana signed in."""
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    body = {"connection_id": connection["id"], "name": "orders", "path": "/orders"}
    table = steps.ok(server.api.post("/tables", json=body))
    look.sign_in(server)
    return server, connection, table


def do(look, world, *labels: str) -> None:
    """On the demo end system's page for that."""
    page = look.context.new_page()
    for label in labels:
        page.goto(world.end_system.url + "/break")
        page.get_by_role("button", name=f"Do it: {label}").click()
        page.get_by_role("heading", name="Break it on purpose").wait_for()
    page.close()


def allow(window) -> None:
    window.get_by_role("button", name="Allow").click()


def shows_rows(look, server, table) -> None:
    look.page.goto(f"{server.url}/tables/{table['id']}")
    look.page.get_by_text("The API reports 1,234 rows.").first.wait_for()


def test_tokens_that_end_and_rotate_are_nobodys_concern(world, acme, look):
    server, _, table = acme
    for broken in (
        ("Expire access token now",),
        ("Rotate refresh tokens", "Expire access token now"),
        ("Break the token endpoint once", "Expire access token now"),
    ):
        do(look, world, *broken)
        shows_rows(look, server, table)
    server.stop()
    # Another process on the same data: the key is the same, and so are the grant and Ana's session.
    again = world.serve()
    do(look, world, "Expire access token now")
    shows_rows(look, again, table)


def test_a_wait_in_an_import_is_shown_and_no_row_is_missing(world, acme, look):
    server, _, table = acme
    do(look, world, "Return 429")
    page = look.page
    page.goto(f"{server.url}/tables/{table['id']}/import")
    page.get_by_role("button", name="Start import").click()
    page.get_by_text("asked us to wait (429)").wait_for()
    page.get_by_role("heading", name="Complete", exact=True).wait_for(timeout=60_000)
    assert page.get_by_text("1,234 of 1,234 rows").count() >= 1


def test_revoked_access_is_said_and_one_sign_in_heals_it(world, acme, look):
    server, connection, table = acme
    do(look, world, "Revoke access")
    page = look.page
    page.goto(f"{server.url}/tables/{table['id']}")
    page.get_by_text("no longer accepts this sign-in").first.wait_for()
    look.at("90-revoked")
    page.get_by_role("link", name="Reconnect").click()
    page.wait_for_url(f"**/connections/{connection['id']}*")
    page.get_by_text("Reconnect needed").first.wait_for()
    with look.context.expect_page() as opened:
        page.get_by_role("button", name="Reconnect", exact=True).click()
    allow(opened.value)
    opened.value.get_by_text("You can close this window.").wait_for()
    opened.value.close()
    page.get_by_text("Healthy").first.wait_for()
    shows_rows(look, server, table)


def test_a_wrong_redirect_uri_is_compared_letter_by_letter_and_tried_again(world, acme, look):
    server, connection, _ = acme
    do(look, world, "Wrong redirect URI")
    page = look.page
    page.goto(f"{server.url}/connections/{connection['id']}")
    with look.context.expect_page() as opened:
        page.get_by_role("button", name="Reconnect", exact=True).click()
    opened.value.get_by_text(re.compile("redirect", re.IGNORECASE)).first.wait_for()
    opened.value.close()
    page.get_by_text("redirect_uri_mismatch").click()
    client = server.api.get(f"/oauth-clients/{connection['oauth_client_id']}").json()
    expect(page.get_by_text(client["redirect_uri"]).first).to_be_visible()
    look.at("91-wrong-redirect-uri")
    do(look, world, "Reset to healthy")
    with look.context.expect_page() as opened:
        page.get_by_role("button", name="Try again").first.click()
    allow(opened.value)
    opened.value.get_by_text("You can close this window.").wait_for()


def test_a_blocked_window_opens_in_the_same_tab(acme, look):
    server, connection, _ = acme
    page = look.page
    page.add_init_script("window.open = () => null")
    page.goto(f"{server.url}/connections/{connection['id']}")
    page.get_by_role("button", name="Reconnect", exact=True).click()
    page.get_by_text("Your browser blocked the sign-in window.").wait_for()
    look.at("92-blocked-window")
    page.get_by_role("alert").get_by_role("link", name="Open in this tab").click()
    allow(page)
    page.wait_for_url(f"{server.url}/**")
    page.get_by_text("Signed in").or_(page.get_by_text("Connected")).first.wait_for()
    look.at("93-signed-in-in-the-same-tab")


def test_a_secret_that_is_wrong_or_only_its_id_is_refused_before_anybody_signs_in(world, acme, look):
    server, connection, _ = acme
    page = look.page
    console = look.context.new_page()
    console.goto(world.end_system.url + "/console")
    console.get_by_role("link", name="Keyturn").first.click()
    secret_id = console.locator("#secrets ~ ul.lines .mono").first.inner_text()
    console.close()
    for wrong in ("not-the-secret", secret_id):
        page.goto(f"{server.url}/admin/oauth-clients/new")
        page.get_by_label("Name", exact=True).fill("Another")
        client = server.api.get(f"/oauth-clients/{connection['oauth_client_id']}").json()
        page.get_by_label("Client ID").fill(client["client_id"])
        page.get_by_label("Client Secret").fill(wrong)
        page.get_by_label("Authorization URL", exact=True).fill(client["authorization_url"])
        page.get_by_label("Token URL").fill(client["token_url"])
        page.get_by_role("button", name="Check client").click()
        page.get_by_text("refused our Client ID or Client Secret").or_(
            page.get_by_role("heading", name="Client refused")
        ).first.wait_for()
        assert page.get_by_label("Client Secret").input_value() == wrong
    look.at("94-secret-id")


def test_an_end_system_in_trouble_is_asked_again(world, acme, look):
    server, _, table = acme
    do(look, world, "Return 500 three times")
    shows_rows(look, server, table)
