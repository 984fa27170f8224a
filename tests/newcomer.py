"""What a newcomer does in the browser, from the printed address to the first connection, by the labels they see."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from looking import Look
from world import PASSWORD


def setup(look: Look, server) -> None:
    """From the printed address to the first page."""
    address = re.search(r"(?:make the first account|Start here): (\S+)", server.log)[1]
    page = look.page
    page.goto(address)
    page.get_by_text("✓ You are on").wait_for()
    look.at("01-setup")
    page.get_by_label("Your name").fill("Ana Lopes")
    page.get_by_label("Email").fill("ana@example.com")
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Create account").click()
    page.locator("#password-error").wait_for()
    assert page.get_by_label("Password").input_value() == "short"
    look.at("02-setup-wrong")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    page.wait_for_url("**/setup/recovery-key")
    look.at("03-recovery-key")
    page.get_by_label("I saved it").check()
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("heading", name="You’re in. Let’s read your first API.").wait_for()


def create_app(look: Look, world, redirect_uri: str) -> dict[str, str]:
    """In the end system's developer console, on its own origin."""
    page = look.context.new_page()
    page.goto(world.end_system.url + "/console")
    page.get_by_label("Name", exact=True).fill("Keyturn")
    page.get_by_label("Redirect URI").fill(redirect_uri)
    for box in page.locator("input[name=scopes]").all():
        box.set_checked(box.get_attribute("value") in {"read:orders", "read:customers", "offline_access"})
    page.get_by_role("button", name="Create app").click()
    page.locator("#client_secret").wait_for()
    names = ("client_id", "client_secret", "authorization_url", "token_url", "scopes", "api_url")
    values = {name: page.locator(f"#{name}").inner_text() for name in names}
    page.close()
    return values


def register(look: Look, world) -> dict[str, str]:
    page = look.page
    page.get_by_role("button", name="Ana Lopes, profile menu").click()
    look.at("05-profile-menu")
    page.get_by_role("link", name="OAuth 2.0 clients").click()
    page.get_by_role("heading", name="No OAuth 2.0 clients yet.").wait_for()
    look.at("06-no-clients")
    page.get_by_role("link", name="Register OAuth 2.0 client").click()
    page.get_by_label("Name", exact=True).fill("Demo CRM")
    shown = page.locator("#redirect_uri")
    expect(shown).to_have_text(re.compile(r"/demo-crm$"))
    values = create_app(look, world, shown.inner_text())
    page.get_by_label("Client ID").fill(values["client_id"])
    page.get_by_label("Client Secret").fill(values["client_secret"])
    page.get_by_label("Authorization URL", exact=True).fill("http:/127.0.0.1/oauth2/authorize")
    page.get_by_label("Token URL").fill(values["token_url"])
    page.get_by_label("Scopes", exact=True).fill(values["scopes"])
    page.get_by_label("Access Token Expires In").fill("3600")
    page.get_by_text("Did you mean 3600000 ms (1 hour)?").wait_for()
    page.get_by_role("button", name="Create", exact=True).click()
    page.locator("#authorization_url-error").wait_for()
    assert page.get_by_label("Client Secret").input_value() == values["client_secret"]
    look.at("07-register-wrong")
    page.get_by_role("button", name="Use 3600000").click()
    page.get_by_text("= 1 hour.").wait_for()
    page.get_by_label("Authorization URL", exact=True).fill(values["authorization_url"])
    page.get_by_role("button", name="Check client").click()
    page.get_by_role("heading", name="Client accepted").wait_for()
    look.at("08-checked")
    page.get_by_role("button", name="Create", exact=True).click()
    page.get_by_role("heading", name="Next: create a connection").wait_for()
    look.at("09-client")
    return values


def connect(look: Look, values: dict[str, str]) -> None:
    page = look.page
    page.get_by_role("link", name="Create a connection").click()
    page.get_by_role("heading", name="New connection").wait_for()
    page.get_by_role("button", name="Go on to sign in").click()
    page.locator("#access-error").wait_for()
    look.at("10-new-connection-wrong")
    page.get_by_label("Name", exact=True).fill("acme")
    page.get_by_label("Base URL").fill(values["api_url"])
    page.get_by_label("Only me").check()
    page.get_by_role("button", name="Go on to sign in").click()
    page.get_by_role("heading", name="Connect to Demo CRM").wait_for()
    look.at("11-sign-in")
    with look.context.expect_page() as opened:
        page.get_by_role("button", name="Connect to Demo CRM").click()
    window = opened.value
    window.get_by_role("button", name="Allow").wait_for()
    page.get_by_role("heading", name="Waiting for Demo CRM…").wait_for()
    page.get_by_text("redirect_uri_mismatch").click()
    look.at("12-waiting")
    window.get_by_role("button", name="Allow").click()
    window.get_by_text("You can close this window.").wait_for()
    assert "code=" not in window.url
    look.at("13-signed-in", window)
    window.close()
    page.get_by_role("heading", name="Next: add a table").wait_for()
    look.at("14-connected")
