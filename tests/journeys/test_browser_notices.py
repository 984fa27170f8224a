"""Settings, webhooks and what to be told of, in a real browser."""

from __future__ import annotations

import time

import pytest

from postbox import Postbox, Receiver

pytestmark = pytest.mark.browser


def reload_until(page, words: str) -> None:
    """Look again until the message has got there, as a person would."""
    deadline = time.monotonic() + 60
    while page.get_by_text(words).count() == 0:
        assert time.monotonic() < deadline, page.inner_text("main")
        time.sleep(0.5)
        page.reload()


def test_a_webhook_is_made_tested_and_read_of(world, look):
    with Receiver() as receiver:
        server = world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS=f"127.0.0.1:{receiver.port}")
        look.sign_in(server)
        page = look.page
        page.get_by_role("button", name="profile menu").click()
        page.get_by_role("link", name="Settings").click()
        page.get_by_text("No mail server is set up").wait_for()
        look.at("70-settings-empty")
        page.get_by_role("link", name="New webhook").click()
        page.get_by_label("Name").fill("Pager")
        page.get_by_label("URL").fill("https://10.0.0.7/hook")
        page.get_by_role("button", name="Create").click()
        page.locator("#url-error").wait_for()
        look.at("71-webhook-wrong")
        page.get_by_label("URL").fill(receiver.url)
        page.get_by_role("button", name="Create").click()
        page.get_by_role("heading", name="Its secret. Copy it now.").wait_for()
        assert page.locator("#secret").inner_text().startswith("whsec_")
        look.at("72-webhook-secret")
        page.get_by_role("button", name="Send test").click()
        page.get_by_text("A test message is on its way").wait_for()
        reload_until(page, "Delivered")
        receiver.statuses = [410]
        page.get_by_role("button", name="Send test").click()
        reload_until(page, "It answered 410 Gone")
        assert receiver.types == ["webhook.test", "webhook.test"]
        look.at("73-webhook")
        page.get_by_role("link", name="Settings").last.click()
        page.get_by_role("cell", name="Off").wait_for()
        look.at("74-settings")


def test_the_mail_servers_refusal_is_said_and_people_choose_what_to_hear(world, look):
    with Postbox() as box:
        server = world.serve(KEYTURN_SMTP_URL=box.url)
        look.sign_in(server)
        page = look.page
        page.goto(server.url + "/admin/settings")
        box.refuse_sender = "550 5.7.1 not one of ours"
        page.get_by_role("button", name="Send test").click()
        page.get_by_text("The mail server refused the sender address: 5.7.1 not one of ours").wait_for()
        look.at("75-mail-refused")
        box.refuse_sender = ""
        page.get_by_role("button", name="Send test").click()
        page.get_by_text("Look for it at ana@example.com.").wait_for()
        assert box.subjects() == ["A test from Keyturn"]
        page.goto(server.url + "/preferences")
        assert page.get_by_label("All connections I may see").is_checked()
        page.get_by_label("Nothing").check()
        page.get_by_role("button", name="Save notices").click()
        page.get_by_text("Saved. It holds from the next notice on.").wait_for()
        assert page.get_by_label("Nothing").is_checked()
        look.at("76-preferences")


def test_a_connections_health_is_told_day_by_day_and_line_by_line(world, steps, look):
    server = world.serve()
    client = steps.register(world, server)
    connection = steps.connect(world, server, client)
    for _ in range(3):
        steps.ok(server.api.post(f"/connections/{connection['id']}/refresh"))
    world.end_system.demo.revoke_grants()
    assert server.api.post(f"/connections/{connection['id']}/refresh").status_code == 409
    look.sign_in(server)
    page = look.page
    page.goto(f"{server.url}/connections/{connection['id']}")
    page.get_by_text("Refresh rejected.", exact=True).wait_for()
    page.get_by_text("Show as table").click()
    page.get_by_role("cell", name="Reconnect needed", exact=True).wait_for()
    look.at("77-health-reconnect")
    page.get_by_role("button", name="profile menu").click()
    page.get_by_role("link", name="Notices").click()
    page.get_by_text("acme cannot read Demo CRM any more").wait_for()
    look.at("79-notices")
    page.get_by_role("link", name="acme needs reconnecting").click()
    page.get_by_role("link", name="Problems").click()
    page.get_by_text("Refresh rejected.", exact=True).wait_for()
    assert page.get_by_text("Token refreshed.").count() == 0
    begun = steps.ok(server.api.post(f"/connections/{connection['id']}/authorizations"))
    steps.sign_in(begun["start_url"])
    page.get_by_role("link", name="Everything").click()
    page.get_by_text("Reconnected.", exact=True).wait_for()
    page.get_by_text("The refresh token has no end that we know of.").wait_for()
    look.at("78-health-again")
    page.goto(server.url + "/notices")
    page.get_by_text("Nothing is wrong.").wait_for()
    page.emulate_media(color_scheme="dark")
    for place in ("/notices", "/admin/settings", f"/connections/{connection['id']}"):
        page.goto(server.url + place)
        look.at(f"80-dark{place.replace('/', '-')[:12]}")
    page.goto(f"{server.url}/connections/{connection['id']}?show=sign_ins")
    assert page.get_by_text("Token refreshed.").count() == 0
