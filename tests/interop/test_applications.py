"""Two real applications as end systems: sign in, refresh where they have it, and one paged read each, whole."""

from __future__ import annotations

import time

import pytest

pytestmark = [pytest.mark.interop, pytest.mark.slow_interop, pytest.mark.timeout(900)]


@pytest.fixture
def read_whole(world, steps, person):
    """Registers, signs in, reads one endpoint as a table: `(server, connection, stamp, table)`."""

    def go(start, *, base: str, path: str, table: dict, advanced: dict | None = None, **options):
        server = world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS="127.0.0.1")
        callback = steps.ok(server.api.get("/oauth-clients/redirect-uri?name=Theirs"))["redirect_uri"]
        theirs = start(callback, **options)
        body = {
            "name": "Theirs",
            "client_id": theirs.client_id,
            "client_secret": theirs.client_secret,
            "authorization_url": theirs.authorization_url,
            "token_url": theirs.token_url,
            "scopes": theirs.scopes,
            "advanced": advanced or {},
        }
        client = steps.ok(server.api.post("/oauth-clients", json=body))
        body = {
            "name": "theirs",
            "base_url": theirs.url + base,
            "auth": {"type": "oauth2", "oauth_client_id": client["id"]},
            "access": "only_me",
        }
        connection = steps.ok(server.api.post("/connections", json=body))
        begun = steps.ok(server.api.post(f"/connections/{connection['id']}/authorizations"))
        page = person(begun["start_url"], theirs.answers)
        ended = steps.ok(server.api.get(f"/authorizations/{begun['id']}"))
        assert ended["status"] == "completed", (ended, page.url, page.text[-3000:])
        body = {"connection_id": connection["id"], "name": "users", "path": path, **table}
        made = steps.ok(server.api.post("/tables", json=body))
        begun = server.api.post("/imports", json={"table_id": made["id"], "destination": {"url": "users.parquet"}})
        item = steps.wait_for_import(server, steps.ok(begun)["id"])
        return server, connection, item, made

    return go


def test_f9_jupyterhub_without_a_refresh_token(read_whole, steps, jupyterhub):
    server, connection, item, made = read_whole(
        jupyterhub,
        base="/hub/api",
        path="/users",
        table={"query": {"limit": "50"}, "headers": {"Accept": "application/jupyterhub-pagination+json"}},
        advanced={"api": {"expired_when": {"status": [401, 403]}}},
        access_token_seconds=25,
    )
    assert made["rows_path"] == "$.items", made
    assert made["pagination"]["type"] in {"next_url", "offset"}, made
    assert (item["status"], item["completeness"]["rows"]) == ("complete", 121), item
    found = steps.ok(server.api.get(f"/connections/{connection['id']}"))
    assert found["has_refresh_token"] is False
    deadline = time.monotonic() + 60
    while found["status"] != "reconnect_needed" and time.monotonic() < deadline:
        time.sleep(1)
        found = steps.ok(server.api.get(f"/connections/{connection['id']}"))
    answer = server.api.get(f"/connections/{connection['id']}/proxy/users")
    assert (answer.status_code, answer.json()["message_code"]) == (409, "E-NOREFRESH"), answer.text


def test_reviewboard_with_hypermedia_paging(read_whole, steps, reviewboard):
    server, connection, item, made = read_whole(
        reviewboard, base="/api", path="/users/", table={"query": {"max-results": "50"}}
    )
    assert made["rows_path"] == "$.users", made
    assert made["pagination"]["type"] == "next_url", made
    assert (item["status"], item["completeness"]["rows"]) == ("complete", 252), item
    before = steps.ok(server.api.get(f"/connections/{connection['id']}"))
    after = steps.ok(server.api.post(f"/connections/{connection['id']}/refresh"))
    assert after["generation"] == before["generation"] + 1
    assert server.api.get(f"/connections/{connection['id']}/proxy/users/?max-results=1").status_code == 200
