"""Test a connection in six steps, over the API, in the terminal and on the page; the doctor's page beside it."""

from __future__ import annotations

import json
import re

import httpx2
import pytest

NAMES = ["host", "connection", "clock", "client", "token", "call"]
PASSWORD = "correct horse battery"


def states(result: dict) -> list[str]:
    assert [step["name"] for step in result["steps"]] == NAMES
    return [step["state"] for step in result["steps"]]


def test_six_steps_say_what_works_and_show_it_without_a_secret(world, steps):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    address = f"/connections/{connection['id']}/test"
    before = len(world.end_system.demo.token_requests)
    result = steps.ok(server.api.post(address, json={"path": "/orders"}))
    # Plain http is what the demo speaks, and is said.
    assert states(result) == ["ok", "warn", "ok", "ok", "ok", "ok"]
    assert result["ok"] is True
    sentences = {step["name"]: step["message"] for step in result["steps"]}
    assert re.match(r"The token works as jane@demo until .* UTC and is renewed by itself\.", sentences["token"])
    assert sentences["call"] == "GET /orders answered 200 with 100 records."
    asked = world.end_system.demo.token_requests[before:]
    assert {request["grant_type"] for request in asked} == {"authorization_code"}, "no live refresh token was sent"
    by_name = {step["name"]: step for step in result["steps"]}
    assert by_name["call"]["exchange"]["curl"].startswith("curl -sS -X GET ")
    assert by_name["client"]["exchange"]["response"]["status"] == 400
    shown = json.dumps(result)
    token = steps.ok(server.api.post(f"/connections/{connection['id']}/token"))["access_token"]
    assert token not in shown
    assert "dcs_" not in shown, "the demo's Client Secrets begin so"

    world.end_system.demo.revoke_grants()
    world.end_system.demo.expire_access_tokens()
    server.api.post(f"/connections/{connection['id']}/refresh")
    result = steps.ok(server.api.post(address, json={}))
    assert states(result) == ["ok", "warn", "ok", "ok", "fail", "skipped"]
    assert (result["ok"], result["steps"][4]["code"]) == (False, "E-GRANT")


def test_a_connection_without_an_oauth_client_is_asked_for_its_data_alone(world, steps):
    server = world.serve()
    body = {"name": "open", "base_url": world.end_system.url, "auth": {"type": "none"}, "access": "only_me"}
    connection = steps.ok(server.api.post("/connections", json=body))
    result = steps.ok(server.api.post(f"/connections/{connection['id']}/test", json={"path": "/nowhere"}))
    assert states(result) == ["skipped"] * 5 + ["fail"]
    assert result["steps"][5]["code"] == "E-NOTFOUND"


def test_the_terminal_exits_3_where_somebody_must_reconnect(world, steps, terminal):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    terminal.environment |= {"KEYTURN_URL": server.url, "KEYTURN_TOKEN": steps.token}
    out = terminal.run("connections", "test", "acme", "--path", "/orders")
    assert "✓ call: GET /orders answered 200 with 100 records." in out
    world.end_system.demo.revoke_grants()
    server.api.post(f"/connections/{connection['id']}/refresh")
    err = terminal.run("connections", "test", "acme", code=3)
    assert "Fix: keyturn connections connect acme" in err


@pytest.mark.browser
def test_the_page_shows_the_steps_and_the_doctor_looks_at_the_deployment(world, steps, look):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    page = look.page
    page.goto(f"{server.url}/sign-in")
    page.get_by_label("Email").fill("ana@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="profile menu").wait_for()
    page.goto(f"{server.url}/connections/{connection['id']}")
    page.get_by_role("button", name="Test", exact=True).click()
    page.get_by_role("heading", name="Test").wait_for()
    page.get_by_label("Endpoint").fill("/orders")
    page.get_by_role("button", name="Test again").click()
    page.get_by_text("GET /orders answered 200 with 100 records.").wait_for()
    assert page.locator(".ticks > li").count() == 6
    page.get_by_text("Show request and answer").last.click()
    page.get_by_role("button", name="Copy as cURL").last.wait_for()
    look.at("test-a-connection")
    page.get_by_role("button", name="profile menu").click()
    page.get_by_role("link", name="Doctor").click()
    page.get_by_role("heading", name="Doctor").wait_for()
    page.get_by_text(f"✓ You are on {server.url}, same as Public URL.").wait_for()
    page.get_by_text("Fix: Run keyturn backup").wait_for()
    look.at("doctor")
    page.emulate_media(color_scheme="dark")
    look.at("doctor-dark")


def test_the_doctor_is_for_workspace_admins(world, steps):
    server = world.serve()
    account = steps.ok(server.api.post("/service-accounts", json={"name": "bot", "role": "editor"}))
    made = steps.ok(
        server.api.post("/tokens", json={"name": "bot", "account_id": account["id"], "permissions": ["tables:read"]})
    )
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert httpx2.get(server.url + "/api/v1/doctor", headers=headers).status_code == 403
    assert httpx2.get(server.url + "/admin/doctor").status_code in {303, 401}
    assert server.api.get("/doctor", params={"clock": "yesterday"}).status_code == 422
    assert server.api.get("/doctor", params={"reached_at": server.url}).json()["checks"][0]["name"] == "version"
