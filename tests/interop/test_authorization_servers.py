"""The sign-in and refresh journey against authorization servers that others wrote."""

from __future__ import annotations

import concurrent.futures
import json
import time

import pytest

from world import connected

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]


@pytest.mark.parametrize("way", ["basic", "post"])
def test_a5_oidc_provider_signs_in_with_each_way_of_client_authentication(world, steps, person, oidc_provider, way):
    token = {"token": {"auth": way}}
    server, _, client, connection = connected(world, person, oidc_provider, base="", client=way, advanced=token)
    assert connection["status"] == "healthy"
    assert connection["has_refresh_token"] is True
    assert connection["account"] == "ada@example.test" or connection["account"] == "ada"
    assert steps.ok(server.api.get(f"/oauth-clients/{client['id']}"))["token_auth"] == way
    check = steps.ok(server.api.post(f"/oauth-clients/{client['id']}/check"))
    assert check["verdict"] == "accepted", check
    me = server.api.get(f"/connections/{connection['id']}/proxy/me")
    assert me.json()["sub"] == "ada"
    wrong = {"client_secret": "wrong"}
    steps.ok(server.api.post(f"/oauth-clients/{client['id']}/secrets", json=wrong))
    assert steps.ok(server.api.post(f"/oauth-clients/{client['id']}/check"))["verdict"] == "refused"


def test_f3_oidc_provider_rotation_survives_twenty_readers(world, steps, person, oidc_provider):
    import httpx2

    server, theirs, _, connection = connected(world, person, oidc_provider, base="", access_token_seconds=3)
    time.sleep(3.2)
    before = httpx2.get(theirs.url + "/count").json()["token_requests"]
    path = f"/connections/{connection['id']}/proxy/me"
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda _: server.api.get(path).status_code, range(20)))
    assert statuses == [200] * 20
    assert httpx2.get(theirs.url + "/count").json()["token_requests"] - before <= 2
    time.sleep(3.2)
    assert server.api.get(path).status_code == 200
    assert steps.ok(server.api.get(f"/connections/{connection['id']}"))["generation"] >= 3


def test_h1_oidc_provider_forgets_us_on_disconnect(world, steps, person, oidc_provider):
    server, _, _, connection = connected(world, person, oidc_provider, base="")
    answer = steps.ok(server.api.post(f"/connections/{connection['id']}/disconnect", json={}))
    assert answer["revocation"] == "revoked"


def test_django_oauth_toolkit_becomes_a_table_in_three_paging_styles(world, steps, person, django_oauth_toolkit):
    server, _, client, connection = connected(world, person, django_oauth_toolkit, base="/api")
    assert connection["has_refresh_token"] is True
    assert steps.ok(server.api.post(f"/oauth-clients/{client['id']}/check"))["verdict"] == "accepted"
    for style in ("page", "offset", "cursor"):
        body = {"connection_id": connection["id"], "name": style, "path": f"/{style}/"}
        table = steps.ok(server.api.post("/tables", json=body))
        assert table["pagination"]["type"] == "next_url", table["evidence"]
        body = {"table_id": table["id"], "destination": {"url": f"{style}.parquet"}}
        item = steps.wait_for_import(server, steps.ok(server.api.post("/imports", json=body))["id"])
        stamp = item["completeness"]
        assert (item["status"], stamp["rows"], stamp["complete"]) == ("complete", 251, True), item


def test_f3_django_oauth_toolkit_reuse_protection_never_bites(world, steps, person, django_oauth_toolkit):
    server, _, _, connection = connected(world, person, django_oauth_toolkit, base="/api", access_token_seconds=3)
    path = f"/connections/{connection['id']}/proxy/page/?page_size=1"
    for _ in range(3):
        time.sleep(3.2)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda _: server.api.get(path).status_code, range(8))) == [200] * 8
    found = steps.ok(server.api.get(f"/connections/{connection['id']}"))
    assert (found["status"], found["generation"] >= 4) == ("healthy", True)


@pytest.mark.parametrize("kind", ["oidc_provider", "django_oauth_toolkit"])
def test_each_is_read_by_the_command_line_alone(world, steps, person, terminal, request, kind):
    server = world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS="127.0.0.1")
    terminal.run("login", server.url, "--token-stdin", typed=steps.token + "\n")
    callback = terminal.run("clients", "redirect-uri", "Theirs").strip()
    theirs = request.getfixturevalue(kind)(callback)
    register = {
        "--name": "Theirs",
        "--client-id": theirs.client_id,
        "--authorization-url": theirs.authorization_url,
        "--token-url": theirs.token_url,
        "--scopes": theirs.scopes,
        "--advanced": json.dumps({**theirs.advanced, "revocation_url": theirs.revocation_url}),
    }
    words = [word for pair in register.items() for word in pair]
    said = terminal.run("clients", "register", *words, "--client-secret-stdin", typed=theirs.client_secret)
    assert "accepted" in said
    waiting = terminal.start("connections", "connect", "theirs", "--client", "Theirs", "--base-url", theirs.url)
    person(waiting.stderr.readline().split()[-1], theirs.answers)
    _out, err = waiting.communicate(timeout=60)
    assert (waiting.returncode, err) == (0, "")
    if kind == "oidc_provider":
        terminal.run("tables", "add", "theirs.me", "--path", "/me")
        assert "ada" in terminal.run("preview", "theirs.me")
    else:
        terminal.run("tables", "add", "theirs.things", "--path", "/api/page/")
        assert "251" in terminal.run("import", "theirs.things", "--to", "things.parquet")
        assert (terminal.home / "things.parquet").stat().st_size > 0
    terminal.run("connections", "delete", "theirs", "--yes")


def test_oidc_provider_gives_a_client_tokens_of_its_own(world, steps, oidc_provider, terminal):
    server = world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS="127.0.0.1")
    theirs = oidc_provider("http://127.0.0.1/unused", access_token_seconds=3)
    terminal.environment |= {"KEYTURN_URL": server.url, "KEYTURN_TOKEN": steps.token}
    said = terminal.run(
        "clients", "register", "--name", "Alone", "--client-id", "alone", "--client-secret-stdin", "--scopes", "read",
        "--authentication-type", "rest_api_oauth2_client_credentials", "--token-url", theirs.token_url,
        typed="alone-secret\n",
    )  # fmt: skip
    assert "Client accepted" in said
    assert "Redirect URI" not in said
    said = terminal.run("connections", "connect", "alone", "--client", "Alone", "--base-url", theirs.url)
    assert "Connected · scopes 1 of 1 · refresh token not needed · works until renewed" in said
    time.sleep(3.2)
    found = steps.ok(server.api.get("/connections"))["data"][0]
    assert (found["status"], found["has_refresh_token"]) == ("healthy", None)
    terminal.run("connections", "refresh", "alone")
    # It is renewed ahead by itself as well.
    assert steps.ok(server.api.get("/connections"))["data"][0]["generation"] > found["generation"]
