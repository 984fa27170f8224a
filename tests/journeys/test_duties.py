"""Duties of the standards that only running servers can prove: tabs, cookies, headers, clocks, and what is not taken."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from gossip import Gossip

PASSWORD = "correct horse battery"
# What a replica whose clock is wrong starts with: Python imports it before anything of ours.
WRONG_CLOCK = """
import os, time
_true = time.time
time.time = lambda: _true() + float(os.environ["CLOCK_OFF_BY"])
"""


def begin(server, steps, connection: dict, browser: httpx2.Client) -> str:
    """Press Continue; answers the end system's address this browser is sent to."""
    begun = steps.ok(server.api.post(f"/connections/{connection['id']}/authorizations"))
    answer = browser.post(begun["start_url"], headers={"Origin": server.url})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def allow(world, location: str) -> str:
    """Press Allow at the end system; answers where it sends the browser."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
    fields = {**query, "decision": "allow", "account": "jane"}
    return httpx2.post(world.end_system.url + "/oauth2/authorize", data=fields).headers["location"]


def unconnected(world, server, steps, client: dict, name: str) -> dict:
    auth = {"type": "oauth2", "oauth_client_id": client["id"]}
    body = {"name": name, "base_url": world.end_system.url + "/api/v1", "auth": auth, "access": "only_me"}
    return steps.ok(server.api.post("/connections", json=body))


@contextmanager
def signed_in(server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, timeout=30) as browser:
        form = {"email": "ana@example.com", "password": PASSWORD}
        answer = browser.post("/sign-in", data=form, headers={"Origin": server.url})
        assert answer.status_code == 303, answer.text
        yield browser


def test_a6_the_redirect_uri_can_be_copied_before_there_is_a_client(world):
    server = world.serve()
    with signed_in(server) as browser:
        page = browser.get("/admin/oauth-clients/new?name=Acme+CRM").text
    assert server.api.get("/oauth-clients").json()["data"] == []
    shown = re.search(r'<code id="redirect_uri"[^>]*>([^<]*)</code>', page)[1]
    assert shown.startswith(f"{server.url}/oauth2/callback/")
    assert 'data-copy="redirect_uri"' in page
    told = server.api.get("/oauth-clients/redirect-uri", params={"name": "Acme CRM"}).json()
    assert told["redirect_uri"] == f"{server.url}/oauth2/callback/acme-crm"


def test_a9_the_browser_itself_goes_and_the_two_windows_cannot_reach_each_other(world, steps):
    server = world.serve()
    connection = unconnected(world, server, steps, steps.register(world, server), "acme")
    begun = steps.ok(server.api.post(f"/connections/{connection['id']}/authorizations"))
    page = httpx2.get(begun["start_url"])
    assert page.headers["cross-origin-opener-policy"] == "same-origin"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert "<iframe" not in page.text
    answer = httpx2.post(begun["start_url"], headers={"Origin": server.url})
    assert (answer.status_code, urlsplit(answer.headers["location"]).netloc) == (
        303,
        f"127.0.0.1:{world.end_system.port}",
    )
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"


def test_b3_nothing_but_state_code_and_issuer_is_taken_from_the_answer(world, steps):
    server = world.serve()
    connection = unconnected(world, server, steps, steps.register(world, server), "acme")
    other = unconnected(world, server, steps, steps.register(world, server, name="Other"), "other")
    lies = {
        "redirect_uri": "https://evil.example/",
        "code_verifier": "v" * 43,
        "client_id": "other",
        "connection_id": other["id"],
        "scope": "read:everything",
        "token_url": "https://evil.example/token",
    }
    with httpx2.Client(timeout=30) as browser:
        back = allow(world, begin(server, steps, connection, browser))
        done = browser.get(str(httpx2.URL(back).copy_merge_params(lies)), follow_redirects=True)
    assert done.status_code == 200, done.text
    found = steps.ok(server.api.get(f"/connections/{connection['id']}"))
    assert (found["status"], found["scopes_requested"]) == (
        "healthy",
        ["read:orders", "read:customers", "offline_access"],
    )
    assert steps.ok(server.api.get(f"/connections/{other['id']}"))["status"] == "not_connected"
    assert [request["outcome"] for request in world.end_system.demo.token_requests] == ["ok"]


def test_b8_the_callback_leads_on_to_a_clean_address_that_nobody_keeps(world, steps):
    server = world.serve()
    connection = unconnected(world, server, steps, steps.register(world, server), "acme")
    with httpx2.Client(timeout=30) as browser:
        back = allow(world, begin(server, steps, connection, browser))
        answer = browser.get(back)
        page = browser.get(
            answer.headers["location"]
            if "://" in answer.headers["location"]
            else server.url + answer.headers["location"]
        )
    assert answer.status_code == 303
    code, state = (parse_qs(urlsplit(back).query)[name][0] for name in ("code", "state"))
    for held in (answer.headers["location"], answer.text, page.text, str(page.url)):
        assert code not in held
        assert state not in held
    for found in (answer, page):
        assert found.headers["referrer-policy"] == "no-referrer"
        assert found.headers["cache-control"] == "no-store"
    outside = [url for url in re.findall(r'(?:src|href)="([^"]*)"', page.text) if "://" in url]
    assert [url for url in outside if not url.startswith(server.url)] == []


@pytest.mark.parametrize(("scheme", "prefix"), [("https", "__Host-"), ("http", "")])
def test_b9_cookies_survive_the_way_back_and_cannot_be_read_or_set_elsewhere(world, steps, scheme, prefix):
    port_free = world.serve(public=f"{scheme}://keyturn.example")
    headers = {"Host": "keyturn.example", "Origin": f"{scheme}://keyturn.example"}
    form = {"email": "ana@example.com", "password": PASSWORD}
    answer = httpx2.post(port_free.url + "/sign-in", data=form, headers=headers)
    client = steps.register(world, port_free)
    connection = unconnected(world, port_free, steps, client, "acme")
    begun = steps.ok(port_free.api.post(f"/connections/{connection['id']}/authorizations"))
    leaving = httpx2.post(port_free.url + urlsplit(begun["start_url"]).path, headers=headers)
    for found, name in ((answer, "keyturn"), (leaving, "keyturn-sign-in")):
        cookie = found.headers["set-cookie"]
        assert cookie.startswith(f"{prefix}{name}="), cookie
        attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"httponly", "samesite=lax", "path=/"} <= attributes
        assert not any(part.startswith("domain") for part in attributes)
        assert ("secure" in attributes) == (scheme == "https")


def test_b10_two_tabs_sign_in_side_by_side_and_end_in_the_other_order(world, steps):
    server = world.serve()
    client = steps.register(world, server)
    first, second = (unconnected(world, server, steps, client, name) for name in ("first", "second"))
    with httpx2.Client(timeout=30) as browser:
        locations = [begin(server, steps, connection, browser) for connection in (first, second)]
        states = {parse_qs(urlsplit(location).query)["state"][0] for location in locations}
        assert len(states) == 2
        for location in reversed(locations):
            assert browser.get(allow(world, location), follow_redirects=True).status_code == 200
    for connection in (first, second):
        assert steps.ok(server.api.get(f"/connections/{connection['id']}"))["status"] == "healthy"


def test_d10_a_client_is_checked_without_anybody(world, steps):
    server = world.serve()
    client = steps.register(world, server)
    assert steps.ok(server.api.post(f"/oauth-clients/{client['id']}/check"))["verdict"] == "accepted"
    steps.ok(server.api.post(f"/oauth-clients/{client['id']}/secrets", json={"client_secret": "not-the-right-secret"}))
    assert steps.ok(server.api.post(f"/oauth-clients/{client['id']}/check"))["verdict"] == "refused"
    # Neither a person's code nor a refresh token was at stake.
    assert world.end_system.demo.tokens == {}
    assert {request["grant_type"] for request in world.end_system.demo.token_requests} == {"authorization_code"}


@pytest.mark.parametrize("seconds", [-60, 60])
async def test_f12_a_replica_whose_clock_is_a_minute_off_does_no_harm(world, steps, postgres_url, seconds):
    server = world.serve(database_url=postgres_url)
    connection = steps.connect(world, server, steps.register(world, server))
    (world.tmp_path / "clock").mkdir()
    (world.tmp_path / "clock" / "sitecustomize.py").write_text(WRONG_CLOCK)
    key = (world.tmp_path / "data" / "key").read_text().split()[-1]
    skewed = world.serve(
        database_url=postgres_url,
        data="other",
        PYTHONPATH=str(world.tmp_path / "clock"),
        CLOCK_OFF_BY=str(seconds),
        KEYTURN_ENCRYPTION_KEY=key,
    )
    async with httpx2.AsyncClient(headers=dict(server.api.headers), timeout=60) as api:
        for _ in range(3):
            world.end_system.demo.expire_access_tokens()
            before = len(world.end_system.demo.token_requests)
            address = f"/api/v1/connections/{connection['id']}/proxy/products"
            answers = await asyncio.gather(*(api.get(one.url + address) for one in (server, skewed) * 5))
            assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
            assert len(world.end_system.demo.token_requests) - before == 1
    assert steps.ok(server.api.get(f"/connections/{connection['id']}"))["status"] == "healthy"


def test_l10_what_an_answer_holds_never_chooses_where_a_secret_goes(world, steps, gossip):
    with Gossip() as evil:
        server = world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS="127.0.0.0/8")
        elsewhere = {
            "instance_url": evil.url,
            "api_domain": evil.url,
            "token_url": evil.url + "/token",
            "issuer": evil.url,
        }
        gossip.more = {**elsewhere, "scope": "a"}
        gossip.callback = {"accounts-server": evil.url, "location": evil.url, **elsewhere}
        client = {
            "name": "Gossip",
            "client_id": "app",
            "client_secret": "a secret",
            "authorization_url": gossip.url + "/authorize",
            "token_url": gossip.url + "/token",
            "scopes": "a",
            "advanced": {"response": {"keep": ["instance_url"]}, "callback": {"keep": ["accounts-server"]}},
        }
        made = steps.ok(server.api.post("/oauth-clients", json=client))
        auth = {"type": "oauth2", "oauth_client_id": made["id"]}
        body = {"name": "acme", "base_url": gossip.url + "/api", "auth": auth, "access": "only_me"}
        connection = steps.ok(server.api.post("/connections", json=body))
        steps.sign_in(steps.ok(server.api.post(f"/connections/{connection['id']}/authorizations"))["start_url"])
        assert server.api.get(f"/connections/{connection['id']}/proxy/things").status_code == 200
        steps.ok(server.api.post(f"/connections/{connection['id']}/refresh"))
        assert server.api.get(f"/connections/{connection['id']}/proxy/things").status_code == 200
        assert steps.ok(server.api.get(f"/connections/{connection['id']}"))["base_url"] == gossip.url + "/api"
    assert evil.heard == []
    assert gossip.heard.count("/token") == 2


PAGES = (
    "/",
    "/sign-in",
    "/connections",
    "/admin/oauth-clients",
    "/tables",
    "/preferences",
    "/nowhere",
    "/static/app.css",
)


def test_r2_every_page_has_the_headers_that_keep_others_out(world):
    server = world.serve(public="https://keyturn.example")
    with httpx2.Client(base_url=server.url, headers={"Host": "keyturn.example"}, timeout=30) as browser:
        form = {"email": "ana@example.com", "password": PASSWORD}
        answer = browser.post("/sign-in", data=form, headers={"Origin": "https://keyturn.example"})
        session = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
        for path in PAGES:
            found = browser.get(path, headers=session)
            assert found.status_code in {200, 303, 404}, path
            headers = found.headers
            policy = headers["content-security-policy"]
            assert "script-src 'self'" in policy, path
            assert "unsafe" not in policy, path
            assert "frame-ancestors 'none'" in policy, path
            assert headers["x-content-type-options"] == "nosniff", path
            assert headers["referrer-policy"] in {"same-origin", "no-referrer"}, path
            assert headers["cross-origin-opener-policy"] == "same-origin", path
            assert headers["strict-transport-security"] == "max-age=31536000", path
            assert path.startswith("/static/") or headers["cache-control"] == "no-store", path
