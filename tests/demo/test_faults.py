"""What is broken on purpose, by button, by JSON and by hand; and that everything heals."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from keyturn.demo.faults import BUTTONS
from keyturn.demo.state import Faults


async def press(world, **form):
    answer = await world.http.post("/break", data=form, headers=world.json)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("action", "field", "states"),
    [
        ("toggle_rotation", "rotate", [False, True]),
        ("toggle_reuse_detection", "reuse_detection", [False, True]),
        ("toggle_rate_limit", "rate_limit", [False, True]),
        ("toggle_schema", "schema_changed", [True, False]),
        ("toggle_redirect_uri", "refuse_redirect_uri", [True, False]),
        ("short_life", "access_token_seconds", [20, 3600]),
        ("api_429", "api_429s", [1, 2]),
        ("api_500", "api_500s", [3, 6]),
        ("token_500", "token_500s", [1, 2]),
        ("token_page", "token_pages", [1, 2]),
        ("lose_answer", "lose_token_answers", [1, 2]),
    ],
)
async def test_a_button_breaks_its_one_thing(world, action, field, states):
    for state in states:
        assert await press(world, action=action) == asdict(Faults()) | {field: state}


async def test_every_button_is_on_the_page_and_is_understood(world):
    text = (await world.http.get("/break")).text
    for button in BUTTONS:
        assert f'value="{button.action}"' in text
        assert button.label in text
        await press(world, action=button.action)


async def test_pressing_a_button_in_a_browser_leads_back_to_the_page(world):
    answer = await world.http.post("/break", data={"action": "token_500"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/break")


async def test_numbers_are_set_by_the_form(world):
    form = {"access_token_seconds": "60", "grace_seconds": "5", "api_429s": "7", "token_delay_seconds": "0.5"}
    assert await press(world, action="set", **form) == asdict(Faults()) | {
        "access_token_seconds": 60,
        "grace_seconds": 5.0,
        "api_429s": 7,
        "token_delay_seconds": 0.5,
    }


async def test_faults_are_set_by_json_in_their_own_types(world):
    body = {"action": "set", "rotate": False, "api_500s": 2}
    answer = await world.http.post("/break", json=body, headers=world.json)
    assert answer.json() == asdict(Faults(rotate=False, api_500s=2))
    assert (await world.http.get("/break", headers=world.json)).json() == answer.json()


@pytest.mark.parametrize(
    "form",
    [
        {"action": "set", "access_token_seconds": "0"},
        {"action": "set", "access_token_seconds": "-1"},
        {"action": "set", "api_429s": "-1"},
        {"action": "set", "api_429s": "1.5"},
        {"action": "set", "grace_seconds": "nan"},
        {"action": "set", "grace_seconds": "1e99"},
        {"action": "set", "token_delay_seconds": "an hour"},
        {"action": "set", "rotate": "maybe"},
        {"action": "set", "unknown": "1"},
        {"action": "explode"},
        {},
    ],
)
async def test_what_cannot_be_set_is_refused_and_changes_nothing(world, form):
    answer = await world.http.post("/break", data=form, headers=world.json)
    assert answer.status_code == 422
    page = await world.http.post("/break", data=form)
    assert (page.status_code, page.headers["content-type"].split(";")[0]) == (422, "text/html")
    assert world.demo.faults == Faults()


async def test_healing_brings_back_the_start(world):
    await press(world, action="set", rotate="false", api_429s="9", schema_changed="true")
    assert await press(world, action="heal") == asdict(Faults())


async def test_expiring_and_revoking_by_button(world):
    tokens = await world.signed_in()
    await press(world, action="expire_access_tokens")
    assert (await world.get("/api/v1/countries", tokens["access_token"])).status_code == 401
    fresh = (await world.refresh(tokens["refresh_token"])).json()
    await press(world, action="revoke_access")
    assert (await world.get("/api/v1/countries", fresh["access_token"])).status_code == 401
    assert (await world.refresh(fresh["refresh_token"])).json()["error"] == "invalid_grant"


async def test_a_broken_token_endpoint_fails_once_each_way_and_spends_no_refresh_token(world):
    tokens = await world.signed_in()
    world.demo.faults.token_500s, world.demo.faults.token_pages = 1, 1
    assert (await world.refresh(tokens["refresh_token"])).status_code == 500
    page = await world.refresh(tokens["refresh_token"])
    assert (page.status_code, page.headers["content-type"].split(";")[0]) == (200, "text/html")
    assert (await world.refresh(tokens["refresh_token"])).status_code == 200
    assert [e["outcome"] for e in world.demo.token_requests[-3:]] == ["500", "web page", "ok"]


async def test_a_lost_answer_has_spent_the_refresh_token(world):
    tokens = await world.signed_in()
    world.demo.faults.lose_token_answers = 1
    lost = await world.refresh(tokens["refresh_token"])
    assert b"access_token" not in lost.content
    assert world.demo.token_requests[-1]["outcome"] == "lost"
    assert (await world.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_a_slow_token_endpoint_still_answers(world):
    world.demo.faults.token_delay_seconds = 0.01
    tokens = await world.signed_in()
    assert (await world.refresh(tokens["refresh_token"])).status_code == 200


async def test_a_wrong_redirect_uri_is_refused_at_the_next_sign_in(world):
    await press(world, action="toggle_redirect_uri")
    answer = await world.http.get("/oauth2/authorize", params=world.authorization())
    assert answer.status_code == 400
    assert "redirect_uri_mismatch" in answer.text
    await press(world, action="heal")
    assert (await world.sign_in())["code"]
