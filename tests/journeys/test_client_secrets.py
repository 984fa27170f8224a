"""Several secrets for one client: replaced without a pause, ordered by people and by what works, ended in words."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from world import PASSWORD


@pytest.fixture
def server(world):
    return world.serve()


@pytest.fixture
def client(world, steps, server) -> dict:
    return steps.register(world, server)


def add(server, steps, client, secret: str, **more) -> dict:
    body = {"client_secret": secret, **more}
    return steps.ok(server.api.post(f"/oauth-clients/{client['id']}/secrets", json=body))


def check(server, steps, client) -> dict:
    return steps.ok(server.api.post(f"/oauth-clients/{client['id']}/check"))


def test_check_says_each_step_and_shows_the_request_without_the_secret(server, steps, client):
    found = check(server, steps, client)
    assert [step["name"] for step in found["steps"]] == ["host", "connection", "clock", "metadata", "client"]
    states = {step["name"]: step["state"] for step in found["steps"]}
    assert states == {"host": "ok", "connection": "warn", "clock": "ok", "metadata": "skipped", "client": "ok"}
    assert found["exchange"]["curl"].startswith("curl -sS -X POST http://127.0.0.1:")
    assert "$CLIENT_SECRET" in found["exchange"]["curl"]
    known = steps.ok(server.api.get(f"/oauth-clients/{client['id']}"))
    assert known["secrets"][0]["last_ok_at"]
    assert known["token_auth"] == found["client_authentication"]


def test_check_sends_no_live_token(world, server, steps, client):
    steps.connect(world, server, client)
    before = len(world.end_system.demo.token_requests)
    check(server, steps, client)
    kinds = [str(sent) for sent in world.end_system.demo.token_requests[before:]]
    assert kinds
    assert not any("refresh_token" in kind for kind in kinds)


def test_a_new_secret_beside_the_old_one_stops_nothing_while_it_is_not_known_yet(world, server, steps, client):
    connection = steps.connect(world, server, client)
    both = add(server, steps, client, "not-known-there-yet", keep_old=True)
    assert len(both["secrets"]) == 2
    found = check(server, steps, client)
    assert found["verdict"] == "accepted"
    assert "1 of its 2 secrets is refused" in found["message"]
    first, second = steps.ok(server.api.get(f"/oauth-clients/{client['id']}"))["secrets"]
    assert (bool(first["last_refused_at"]), bool(second["last_ok_at"])) == (True, True)
    steps.ok(server.api.post(f"/connections/{connection['id']}/refresh"))
    assert steps.ok(server.api.get(f"/connections/{connection['id']}"))["status"] == "healthy"


def test_a_refresh_and_a_sign_in_go_on_with_the_other_secret_when_one_is_refused(world, server, steps, client):
    connection = steps.connect(world, server, client)
    add(server, steps, client, "not-known-there-yet", keep_old=True)
    before = len(world.end_system.demo.token_requests)
    steps.ok(server.api.post(f"/connections/{connection['id']}/refresh"))
    assert len(world.end_system.demo.token_requests) - before == 2
    first, second = steps.ok(server.api.get(f"/oauth-clients/{client['id']}"))["secrets"]
    assert (bool(first["last_refused_at"]), bool(second["last_ok_at"])) == (True, True)
    before = len(world.end_system.demo.token_requests)
    steps.ok(server.api.post(f"/connections/{connection['id']}/refresh"))
    assert len(world.end_system.demo.token_requests) - before == 1, "the refused one is not tried first again"
    add(server, steps, client, "another-unknown-one", keep_old=True)
    assert steps.connect(world, server, client, name="second")["status"] == "healthy"


def test_secrets_are_ordered_and_taken_away_but_not_the_last(server, steps, client):
    added = add(server, steps, client, "the-second-secret", keep_old=True)
    newer, older = (secret["id"] for secret in added["secrets"])
    route = f"/oauth-clients/{client['id']}/secrets"
    turned = steps.ok(server.api.patch(f"{route}/{older}", json={"first": True}))
    assert [secret["id"] for secret in turned["secrets"]] == [older, newer]
    left = steps.ok(server.api.delete(f"{route}/{newer}"))
    assert [secret["id"] for secret in left["secrets"]] == [older]
    answer = server.api.delete(f"{route}/{older}")
    assert (answer.status_code, "only secret" in answer.json()["detail"]) == (409, True)
    assert server.api.patch(f"{route}/cs_unknown", json={"first": True}).status_code == 404


def test_more_than_five_are_refused(server, steps, client):
    for number in range(4):
        add(server, steps, client, f"secret-number-{number}", keep_old=True)
    body = {"client_secret": "one-too-many", "keep_old": True}
    answer = server.api.post(f"/oauth-clients/{client['id']}/secrets", json=body)
    assert (answer.status_code, "5 secrets" in answer.json()["detail"]) == (409, True)
    assert len(add(server, steps, client, "all-others-go")["secrets"]) == 1


def test_the_day_it_ends_is_spoken_of_before_and_after(server, steps, client):
    secret_id = client["secrets"][0]["id"]
    route = f"/oauth-clients/{client['id']}/secrets/{secret_id}"
    soon = (datetime.now(UTC) + timedelta(days=10)).date().isoformat()
    told = steps.ok(server.api.patch(route, json={"expires_on": soon}))["warnings"]
    assert [item["at"] for item in told] == ["secrets"]
    assert "in 10 days" in told[0]["message"]
    steps.ok(server.api.patch(route, json={"expires_on": "2020-01-31"}))
    bad = add(server, steps, client, "a-wrong-secret", expires_on="2020-01-31")
    assert "expired on 31 Jan 2020" in bad["warnings"][0]["message"]
    found = check(server, steps, client)
    assert (found["verdict"], found["message_code"]) == ("refused", "E-SECRETEXPIRED")
    assert server.api.patch(route, json={"expires_on": "tomorrow"}).status_code == 422


def test_a_changed_url_takes_all_secrets_away(server, steps, client):
    add(server, steps, client, "the-second-secret", keep_old=True)
    patch = {"token_url": "https://elsewhere.example/token"}
    assert steps.ok(server.api.patch(f"/oauth-clients/{client['id']}", json=patch))["secrets"] == []


def test_the_page_lists_the_secrets_and_the_check_shows_its_request(server, steps, client):
    url = f"/admin/oauth-clients/{client['id']}"
    headers = {"Origin": server.url}
    with httpx2.Client(base_url=server.url, headers=headers, timeout=30, follow_redirects=True) as browser:
        browser.post("/sign-in", data={"email": "ana@example.com", "password": PASSWORD, "next": "/"})
        csrf = {"csrf": re.search(r'name="csrf" value="([^"]*)"', browser.get(url).text)[1]}
        new = {**csrf, "new_secret": "another-one-here", "keep_old": "yes", "expires_on": "2099-12-01"}
        assert browser.post(f"{url}/secrets", data=new).text.count("Save day") == 2
        checked = browser.post(f"{url}/check", data=csrf).text
        assert "Copy as cURL" in checked
        assert "127.0.0.1 was found." in checked
        assert "another-one-here" not in checked
        newer, older = (item["id"] for item in steps.ok(server.api.get(f"/oauth-clients/{client['id']}"))["secrets"])
        assert browser.post(f"{url}/secrets/{newer}", data={**csrf, "remove": "yes"}).text.count("Save day") == 1
        ended = browser.post(f"{url}/secrets/{older}", data={**csrf, "expires_on": "2020-01-31"}).text
        assert "The Client Secret expired on 31 Jan 2020." in ended
        assert "31 Jan 2020" in browser.get("/admin/oauth-clients").text
        wrong = browser.post(f"{url}/secrets/{older}", data={**csrf, "expires_on": "soon"})
        assert (wrong.status_code, "Write a day as 2027-01-31." in wrong.text) == (422, True)
