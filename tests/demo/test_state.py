"""What the demo end system remembers: over a restart, after a deletion, and no secret in the clear."""

from __future__ import annotations

import httpx2
import pytest

from keyturn.demo.app import create_app
from keyturn.demo.state import Demo


@pytest.fixture
def path(tmp_path):
    return tmp_path / "kept" / "end-system.json"


@pytest.fixture
async def kept(world, path):
    """The world, in a file."""
    world.demo.path = path
    await world.create_app()
    return world


def restarted(world, path):
    app = create_app(world.url, data_path=path, clock=world.clock)
    return type(world)(app, httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=world.url), world.clock,
                       made=world.made)  # fmt: skip


async def test_apps_and_tokens_outlive_a_restart(kept, path):
    tokens = await kept.signed_in()
    again = restarted(kept, path)
    async with again.http:
        assert (await again.get("/oauth2/userinfo", tokens["access_token"])).json()["email"] == "jane@demo"
        fresh = (await again.refresh(tokens["refresh_token"])).json()
        listed = (await again.http.get("/console/apps", headers=again.json)).json()["data"]
        assert [app["id"] for app in listed] == list(kept.demo.apps)
        third = restarted(kept, path)
        async with third.http:
            # Replay is seen after a restart as well.
            assert (await third.refresh(tokens["refresh_token"])).status_code == 400
            assert (await third.refresh(fresh["refresh_token"])).status_code == 400


async def test_a_code_outlives_a_restart_and_still_works_once(kept, path):
    code = (await kept.sign_in())["code"]
    again = restarted(kept, path)
    async with again.http:
        assert (await again.exchange(code)).status_code == 200
        third = restarted(kept, path)
        async with third.http:
            assert (await third.exchange(code)).json()["error"] == "invalid_grant"


async def test_faults_outlive_a_restart(kept, path):
    await kept.http.post("/break", data={"action": "toggle_schema"}, headers=kept.json)
    assert restarted(kept, path).demo.faults.schema_changed is True


async def test_nothing_secret_lies_in_the_file(kept, path):
    code = (await kept.sign_in())["code"]
    tokens = (await kept.exchange(code)).json()
    text = path.read_text("utf-8")
    for secret in (kept.made["client_secret"], code, tokens["access_token"], tokens["refresh_token"]):
        assert secret not in text
    assert [child.name for child in path.parent.iterdir()] == [path.name]


def test_a_file_that_cannot_be_read_is_told_with_its_name(path, clock):
    path.parent.mkdir()
    for text in ("", "[]", '{"apps": 3}', "{"):
        path.write_text(text, "utf-8")
        with pytest.raises(ValueError, match=r"end-system\.json cannot be read"):
            Demo(path, clock).load()
        assert path.read_text("utf-8") == text


async def test_expiring_leaves_refresh_tokens_alone(world):
    tokens = await world.signed_in()
    world.demo.expire_access_tokens()
    assert (await world.get("/api/v1/countries", tokens["access_token"])).status_code == 401
    assert (await world.refresh(tokens["refresh_token"])).status_code == 200


async def test_revoking_ends_every_sign_in_and_a_new_one_works(world):
    tokens = await world.signed_in()
    world.demo.revoke_grants()
    assert (await world.get("/api/v1/countries", tokens["access_token"])).status_code == 401
    assert (await world.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    again = await world.signed_in()
    assert (await world.get("/api/v1/countries", again["access_token"])).status_code == 200


async def test_tokens_long_over_are_forgotten_and_refresh_tokens_are_not(world):
    tokens = await world.signed_in()
    world.clock.now += 2 * 86_400
    world.demo.faults.rotate = False
    for _ in range(3):
        await world.refresh(tokens["refresh_token"])
    world.demo.forget_what_is_over()
    kinds = [token.kind for token in world.demo.tokens.values()]
    assert (kinds.count("access"), kinds.count("refresh")) == (3, 1)
    assert not world.demo.codes


async def test_the_log_of_calls_does_not_grow_for_ever(world, monkeypatch):
    monkeypatch.setattr("keyturn.demo.state.LOG_LINES", 10)
    for number in range(25):
        world.demo.log_api_request("/x", str(number))
        world.demo.log_token_request()
    assert len(world.demo.api_requests) <= 10
    assert world.demo.api_requests[-1]["query"] == "24"
    assert len(world.demo.token_requests) <= 10
