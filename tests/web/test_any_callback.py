"""Whatever comes back to our redirect URI, a small page or a redirect of our own answers it, and no secret is in either."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyturn import redaction
from keyturn.server.app import create_app, prepare
from keyturn.server.config import read_config
from keyturn.services import confirmations

SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
CASES = 5_000 if SOAK else 60
TOKEN = "kt_" + "f" * 40
SECRET = "canary-planted-code-77aa01"
MARKUP = "<script>alert(1)</script>"

texts = st.text(max_size=40) | st.sampled_from(
    ["", SECRET, MARKUP, "https://evil.example/", "//evil.example", "\r\nSet-Cookie: a=b", "access_denied", "login_required",
     "redirect_uri_mismatch", "AADSTS90094", "%00", "\ud83d\ude00", "x" * 5000]
)  # fmt: skip
names = (
    st.sampled_from(["code", "state", "error", "error_description", "error_uri", "iss", "scope", "return_to"]) | texts
)
pairs = st.lists(st.tuples(names, texts), max_size=8)


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Iterator[SimpleNamespace]:
    """The whole app in this process, with a connection whose Token URL nobody answers."""
    loop = asyncio.new_event_loop()
    folder = tmp_path_factory.mktemp("any-callback")
    environment = {
        "KEYTURN_DATA_DIR": str(folder),
        "KEYTURN_PUBLIC_URL": "https://keyturn.example",
        "KEYTURN_BOOTSTRAP_EMAIL": "ana@example.com",
        "KEYTURN_BOOTSTRAP_PASSWORD": "correct horse battery",
        "KEYTURN_BOOTSTRAP_API_TOKEN": TOKEN,
        "KEYTURN_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
        "KEYTURN_LOG_LEVEL": "error",
    }
    prepared = loop.run_until_complete(prepare(read_config(environment)))
    transport = httpx2.ASGITransport(create_app(prepared))
    api = httpx2.AsyncClient(transport=transport, base_url="https://keyturn.example")
    found = SimpleNamespace(loop=loop, api=api, scene=prepared.runtime.scene())
    loop.run_until_complete(_fill(found))
    yield found
    loop.run_until_complete(api.aclose())
    loop.run_until_complete(prepared.runtime.egress.close())
    prepared.runtime.database.close()
    prepared.lock.close()
    prepared.owner.file.close()
    loop.close()


async def _fill(here: SimpleNamespace) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    body = {
        "name": "Acme",
        "client_id": "app",
        "client_secret": "a client secret",
        "authorization_url": "https://acme.example/authorize",
        "token_url": "http://127.0.0.1:9/token",
        "scopes": "a",
    }
    client = (await here.api.post("/api/v1/oauth-clients", json=body, headers=headers)).json()
    auth = {"type": "oauth2", "oauth_client_id": client["id"]}
    settings = {"name": "acme", "base_url": "https://acme.example/v1", "auth": auth, "access": "only_me"}
    connection = (await here.api.post("/api/v1/connections", json=settings, headers=headers)).json()
    here.begin = f"/api/v1/connections/{connection['id']}/authorizations"
    here.headers = headers


async def _a_state(here: SimpleNamespace, browser: str) -> str:
    """A state that waits for its answer in that browser."""
    begun = (await here.api.post(here.begin, headers=here.headers)).json()
    link = begun["start_url"].rsplit("/", 1)[1]
    url = await confirmations.proceed(here.scene, link, browser=browser, account_id=None)
    return parse_qs(urlsplit(url).query)["state"][0]


@settings(max_examples=CASES, derandomize=not SOAK)
@given(pairs, st.booleans(), st.booleans(), st.sampled_from(["/acme", "", "/other", "/%2e%2e", f"/{SECRET}"]))
def test_b5_l8_any_callback_is_a_small_page_or_a_redirect_of_our_own(here, found, real, own_browser, place):
    async def ask() -> None:
        redaction.remember(SECRET)
        state = await _a_state(here, "a-browser-of-ours") if real else None
        query = [*found, ("state", state)] if state and all(name != "state" for name, _ in found) else found
        cookies = {"__Host-keyturn-sign-in": "a-browser-of-ours"} if own_browser else {}
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())} if cookies else {}
        url = httpx2.URL(f"https://keyturn.example/oauth2/callback{place}", params=query)
        answer = await here.api.get(url, headers=cookie)
        looked_at = [answer]
        if answer.status_code == 303:
            assert answer.headers["location"].startswith("/oauth2/callback/")
            looked_at.append(await here.api.get(answer.headers["location"]))
        else:
            assert answer.status_code in {400, 404}, answer.text
        for page in looked_at:
            words = page.text + str(dict(page.headers))
            assert MARKUP not in words
            assert SECRET not in page.text.replace(place, "")
            assert state is None or state not in words
            assert "set-cookie" not in page.headers

    with suppress(UnicodeEncodeError):
        here.loop.run_until_complete(ask())
