"""The README's story by hand, in a real browser: every page is looked at by axe, at two widths, without a console error."""

from __future__ import annotations

import sqlite3

import pytest
from playwright.sync_api import expect

from looking import Look
from newcomer import connect, register, setup
from world import PASSWORD

pytestmark = pytest.mark.browser
BY_HAND = {"KEYTURN_BOOTSTRAP_EMAIL": "", "KEYTURN_BOOTSTRAP_PASSWORD": "", "KEYTURN_BOOTSTRAP_API_TOKEN": ""}


def test_the_whole_story_by_hand(world, look):
    server = world.serve(**BY_HAND)
    setup(look, server)
    look.at("04-home")
    values = register(look, world)
    connect(look, values)
    page = look.page
    page.get_by_role("link", name="Add a table").click()
    look.at("15-builder-empty")
    page.get_by_role("button", name="Find endpoints").click()
    page.get_by_role("heading", name="6 endpoints of this API").wait_for()
    look.at("15-endpoints")
    page.get_by_role("button", name="Look at orders").click()
    page.get_by_text("The API reports 1,234 rows.").wait_for()
    page.get_by_text("Page 2 differs").wait_for()
    look.at("16-builder")
    for tab in ("Rows", "Response", "Request", "Schema"):
        page.get_by_role("tab", name=tab).click()
        look.at(f"17-builder-{tab.lower()}")
    page.get_by_role("button", name="Save table").click()
    page.get_by_role("heading", name="acme.orders").wait_for()
    page.get_by_text("The API reports 1,234 rows.").wait_for()
    look.at("18-table")
    page.get_by_role("tab", name="Use it").click()
    look.at("18-use-it")
    page.get_by_role("link", name="Import all").first.click()
    look.at("19-import-dialog")
    page.get_by_role("button", name="Start import").click()

    page.get_by_role("heading", name="Complete", exact=True).wait_for(timeout=60_000)
    assert page.get_by_text("1,234 of 1,234 rows").count() >= 1
    look.at("20-import")
    with page.expect_download() as downloading:
        page.get_by_role("link", name="orders.parquet").click()
    assert downloading.value.path().stat().st_size > 1000
    for name, path in (("21-imports", "/imports"), ("22-tables", "/tables"), ("23-connections", "/connections"),
                       ("24-clients", "/admin/oauth-clients"), ("25-home", "/"), ("26-preferences", "/preferences"),
                       ("27-api-tokens", "/api-tokens")):  # fmt: skip
        page.goto(server.url + path)
        look.at(name)


def test_the_first_steps_can_be_hidden_and_shown_again(world, look):
    server = world.serve(**BY_HAND)
    setup(look, server)
    page = look.page
    page.get_by_role("button", name="Hide these steps").click()
    page.get_by_role("heading", name="Your tables").wait_for()
    look.at("28-home-without-steps")
    page.goto(server.url)
    page.get_by_role("button", name="Show the first steps").click()
    page.get_by_role("heading", name="You’re in. Let’s read your first API.").wait_for()


def sign_in(look: Look, server) -> None:
    page = look.page
    page.goto(server.url)
    page.get_by_label("Email").fill("ana@example.com")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").wait_for()
    look.at("30-sign-in-wrong")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="profile menu").wait_for()


def test_what_goes_wrong_is_said_where_it_is_looked_for(world, steps, look):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    body = {"connection_id": connection["id"], "name": "orders", "path": "/orders"}
    table = steps.ok(server.api.post("/tables", json=body))
    demo, page = world.end_system.demo, look.page
    sign_in(look, server)
    page.emulate_media(color_scheme="dark")
    page.goto(f"{server.url}/nowhere")
    page.get_by_text("Request ").wait_for()
    look.at("31-not-found")

    demo.faults.schema_changed = True
    page.goto(f"{server.url}/tables/{table['id']}/import")
    page.get_by_role("button", name="Start import").click()
    page.get_by_role("link", name="Import again").wait_for(timeout=60_000)
    look.at("32-import-after-a-change")
    demo.faults.schema_changed = False

    demo.revoke_grants()
    server.api.get(f"/connections/{connection['id']}/proxy/orders?limit=1")
    page.goto(f"{server.url}/connections")
    page.get_by_text("Reconnect needed").first.wait_for()
    look.at("33-connections-broken")
    page.goto(f"{server.url}/connections/{connection['id']}")
    look.at("34-connection-broken")
    page.goto(f"{server.url}/tables/{table['id']}")
    page.wait_for_timeout(1000)
    look.at("35-table-of-a-broken-connection")
    page.goto(f"{server.url}/tables/{table['id']}/import")
    page.get_by_role("button", name="Start import").click()
    page.get_by_role("heading", name="It stopped").wait_for(timeout=60_000)
    look.at("36-import-stopped")
    page.goto(f"{server.url}/admin/oauth-clients/{connection['oauth_client_id']}")
    page.get_by_role("link", name="Delete").or_(page.get_by_role("button", name="Delete")).first.click()
    page.wait_for_timeout(500)
    look.at("37-delete-client-in-use")


def test_what_would_bring_no_refresh_token_and_commas_in_scopes_are_mended_with_a_click(world, look):
    sign_in(look, world.serve())
    page = look.page
    page.goto(world.servers[0].url + "/admin/oauth-clients/new")
    entra = "https://login.microsoftonline.com/common/oauth2/v2.0/authorize"
    page.get_by_label("Authorization URL", exact=True).fill(entra)
    page.get_by_text("gives a refresh token only with the scope offline_access").wait_for()
    look.at("40-no-refresh-token")
    page.get_by_role("button", name="Add it").click()
    page.get_by_role("button", name="Remove offline_access").wait_for()
    page.get_by_text("gives a refresh token only with").wait_for(state="hidden")
    page.get_by_label("Scopes", exact=True).fill("User.Read,Mail.Read")
    page.get_by_label("Token URL").click()
    page.get_by_text("These look comma-separated").wait_for()
    page.get_by_role("button", name="Use spaces").click()
    for scope in ("offline_access", "User.Read", "Mail.Read"):
        page.get_by_role("button", name=f"Remove {scope}", exact=True).wait_for()


def test_l7_a_known_end_system_fills_the_form(world, look):
    server = world.serve()
    sign_in(look, server)
    page = look.page
    page.goto(server.url + "/admin/oauth-clients/new")
    look.at("40-register")
    page.get_by_label("Token URL").fill("https://slack.com/api/oauth.v2.access")
    page.get_by_label("Authorization URL", exact=True).fill("https://github.com/login/oauth/authorize")
    page.get_by_text("This is GitHub. We know its settings.").wait_for()
    page.get_by_role("button", name="Use its settings").click()
    # The line of hosts already named github.com while it was typed; only the filled form has the new token address.
    expect(page.get_by_label("Token URL")).to_have_value("https://github.com/login/oauth/access_token")
    look.at("41-github")
    page.get_by_label("End system", exact=True).select_option("zendesk")
    page.get_by_role("button", name="Fill in").click()
    page.get_by_label("Subdomain").wait_for()
    look.at("42-zendesk-asks")
    page.get_by_label("Subdomain").fill("acme")
    page.get_by_role("button", name="Fill in").click()
    page.get_by_text("acme.zendesk.com").first.wait_for()
    page.locator("summary", has_text="Advanced").click()
    page.locator("details details summary", has_text="Body of the token request").click()
    assert page.get_by_label("Body of the token request").input_value() == "json"
    look.at("43-zendesk")
    page.get_by_label("Client ID").fill("an-id")
    page.get_by_label("Client Secret").fill("a-secret")
    page.get_by_role("button", name="Create", exact=True).click()
    page.get_by_role("heading", name="Next: create a connection").wait_for()
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Saved").first.wait_for()
    settings = server.api.get("/oauth-clients").json()["data"][0]
    assert settings["advanced"]["token"]["body"] == "json"


def join(another_look: Look, server, link: str):
    """Li joins by the link, and may do what an Editor may."""
    theirs = another_look.page
    theirs.goto(link)
    theirs.get_by_role("heading", name="Join My workspace").wait_for()
    another_look.at("53-join")
    theirs.get_by_label("Your name").fill("Li")
    theirs.get_by_label("Password").fill("short")
    theirs.get_by_role("button", name="Join").click()
    theirs.locator("#password-error").wait_for()
    theirs.get_by_label("Password").fill(PASSWORD + " li")
    theirs.get_by_role("button", name="Join").click()
    theirs.get_by_role("button", name="Li, profile menu").click()
    expect(theirs.get_by_role("link", name="Members & roles")).to_have_count(0)
    refused = theirs.goto(server.url + "/admin/members")
    assert refused.status == 403
    theirs.get_by_text("Only Workspace Admins can do this.").wait_for()
    another_look.at("54-not-an-admin")
    assert theirs.goto(link).status == 404
    return theirs


def test_a_member_is_invited_joins_and_leaves(world, look, another_look):
    server = world.serve()
    sign_in(look, server)
    page = look.page
    page.get_by_role("button", name="profile menu").click()
    page.get_by_role("link", name="Members & roles").click()
    page.get_by_role("heading", name="Members & roles").wait_for()
    look.at("50-members")
    page.get_by_role("button", name="Make invitation link").click()
    page.locator("#email-error").wait_for()
    look.at("51-invite-wrong")
    page.get_by_label("Email").fill("li@example.com")
    page.get_by_label("Editor").check()
    page.get_by_role("button", name="Make invitation link").click()
    page.get_by_text("Invitation link. Copy it now.").wait_for()
    link = page.locator("#link").inner_text()
    look.at("52-invited")

    theirs = join(another_look, server, link)
    page.goto(server.url + "/admin/members")
    page.get_by_role("link", name="Remove Li").click()
    look.at("55-remove")
    page.get_by_role("button", name="Remove Li").click()
    page.get_by_text("Removed.").wait_for()
    assert theirs.goto(server.url + "/connections").url.startswith(server.url + "/sign-in")
    page.goto(server.url + "/admin/audit-log")
    page.get_by_text("Invitation created").wait_for()
    look.at("56-audit-log")
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Export JSONL").click()
    assert b'"verb":"invitation.created"' in downloading.value.path().read_bytes()


def test_r7_a_dangerous_change_wants_the_password_again_and_keeps_what_was_typed(world, steps, look):
    server = world.serve()
    client = steps.register(world, server)
    sign_in(look, server)
    with sqlite3.connect(world.tmp_path / "data" / "keyturn.db") as database:
        database.execute("update sessions set proved_at = 0")
    page = look.page
    page.goto(f"{server.url}/admin/oauth-clients/{client['id']}")
    page.get_by_label("Scopes", exact=True).fill("read:orders ")
    page.get_by_label("Name", exact=True).fill("Renamed")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Type your password again to go on").wait_for()
    assert page.get_by_label("Name", exact=True).input_value() == "Renamed"
    look.at("60-password-again")
    with look.context.expect_page() as opened:
        page.get_by_role("link", name="Type it in another tab").click()
    other = opened.value
    other.get_by_label("Password").fill("wrong")
    other.get_by_role("button", name="Go on").click()
    other.get_by_text("This is not your password.").wait_for()
    look.at("61-prove-wrong", other)
    other.get_by_label("Password").fill(PASSWORD)
    other.get_by_role("button", name="Go on").click()
    other.get_by_role("heading", name="Thank you").wait_for()
    other.close()
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("heading", name="Renamed").wait_for()
