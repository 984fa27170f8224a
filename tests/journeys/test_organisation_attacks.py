"""An issuer that lies and browsers that mix attempts up: what was tried to come in as somebody else, against real servers."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from html import unescape
from types import SimpleNamespace

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from joserfc.jws import JWSRegistry

from keyturn.oauth import jose
from liar import CLIENT_SECRET, Liar
from world import PASSWORD


@pytest.fixture
def place(world, steps):
    """A server of ours that believes a liar."""
    with Liar() as liar:
        server = world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS=f"127.0.0.1:{liar.port}")
        steps.ok(server.api.put("/organisation", json=liar.settings()))
        yield SimpleNamespace(server=server, liar=liar, back=f"{server.url}/oauth2/organisation/callback")


def browser() -> httpx2.Client:
    return httpx2.Client(follow_redirects=True, timeout=30)


def begun(place, chrome: httpx2.Client, onward: str = "/tables") -> str:
    """Off to the issuer; answers the state."""
    there = chrome.get(f"{place.server.url}/sign-in/organisation", params={"next": onward}, follow_redirects=False)
    return place.liar.asks(there.headers["location"])


def enter(place, chrome: httpx2.Client) -> httpx2.Response:
    return chrome.get(place.back, params={"code": "c", "state": begun(place, chrome)})


def in_as(place, chrome: httpx2.Client) -> str | None:
    """Whose session the browser has."""
    found = re.search(r"[\w.]+@example\.com", chrome.get(f"{place.server.url}/preferences").text)
    return found[0] if found else None


def signed_in(place, chrome: httpx2.Client, email: str, password: str) -> str:
    """By password; answers the token of the forms."""
    form = {"email": email, "password": password}
    chrome.post(f"{place.server.url}/sign-in", data=form, headers={"Origin": place.server.url})
    page = chrome.get(f"{place.server.url}/preferences").text
    assert email in page
    return re.search(r'name="csrf" value="([^"]+)"', page)[1]


def part(value: dict) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


STRANGER = jose.new_key("ES256")
_LOOSE = JWSRegistry(algorithms=["HS256"])


def hmac_signed(claims: dict, secret: str, **header: str) -> str:
    return jwt.encode({"alg": "HS256", **header}, claims, OctKey.import_key(secret.ljust(32, "x")), registry=_LOOSE)


LIES = {
    "unsigned": lambda claims, _: f"{part({'alg': 'none'})}.{part(claims)}.",
    "unsigned in another case": lambda claims, _: f"{part({'alg': 'NONE'})}.{part(claims)}.",
    "the client secret": lambda claims, _: hmac_signed(claims, CLIENT_SECRET),
    "the public key as a secret": lambda claims, liar: hmac_signed(claims, json.dumps(liar.keys[0])),
    "a key of its own": lambda claims, _: jose.signed(
        claims, {"alg": "ES256", "jwk": jose.public_key(STRANGER)}, STRANGER
    ),
    "an address of keys": lambda claims, liar: jose.signed(
        claims, {"alg": "ES256", "jku": f"{liar.url}/other"}, STRANGER
    ),
    "a known kid": lambda claims, liar: jose.signed(
        claims, {"alg": "ES256", "kid": liar.keys[0]["kid"]}, STRANGER
    ),
    "not valid yet": lambda claims, liar: liar.signed({**claims, "nbf": time.time() + 3600}),
    "of another issuer": lambda claims, liar: liar.signed({**claims, "iss": "https://evil.example"}),
    "for another client too": lambda claims, liar: liar.signed({**claims, "aud": ["keyturn", "evil"]}),
    "of an earlier sign-in": lambda claims, liar: liar.signed({**claims, "nonce": "earlier"}),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_r6_no_lie_of_a_token_lets_anybody_in(place):
    for name, lie in LIES.items():
        place.liar.lie = lambda claims, lie=lie: lie(claims, place.liar)
        with browser() as chrome:
            page = enter(place, chrome)
            assert page.url.path == "/sign-in", name
            assert "does not prove who you are" in unescape(page.text), name
            assert in_as(place, chrome) is None, name
    assert place.liar.asked["other"] == 0
    place.liar.lie = place.liar.signed
    with browser() as chrome:
        assert enter(place, chrome).url.path == "/tables", "and the truth is believed"


def test_r6_a_mailbox_that_looks_like_an_invited_one_is_another(place, steps):
    steps.ok(place.server.api.post("/invitations", json={"email": "kim@example.com", "role": "admin"}))
    for number, email in enumerate(["\u212aim@example.com", "\u00a0kim@example.com", "k\u0131m@example.com",
                                    "kim@example.com\u200b", "kim\uff20example.com", "<kim@example.com>"]):  # fmt: skip
        place.liar.claims = {"sub": f"eve-{number}", "email": email}
        with browser() as chrome:
            assert enter(place, chrome).url.path == "/sign-in", email
    place.liar.claims = {"sub": "kim", "email": "KIM@Example.com"}
    with browser() as chrome:
        assert enter(place, chrome).url.path == "/tables"
        assert in_as(place, chrome) == "kim@example.com"


def test_r6_an_answer_of_another_attempt_or_browser_is_nobodys(place):
    with browser() as mine, browser() as theirs, browser() as another:
        state = begun(place, mine)
        other = begun(place, theirs)
        for chrome, given in ((mine, other), (theirs, state), (mine, ""), (another, state)):
            page = chrome.get(place.back, params={"code": "c", "state": given})
            assert "another window" in unescape(page.text)
            assert in_as(place, chrome) is None
    assert place.liar.asked["token"] == 0


def test_r6_what_one_person_began_joins_no_other_who_uses_the_browser_by_then(place, steps):
    """Else whoever leaves a begun attempt behind could open the account of who signs in after them."""
    link = steps.ok(place.server.api.post("/invitations", json={"email": "li@example.com", "role": "editor"}))["url"]
    origin = {"Origin": place.server.url}
    with browser() as chrome:
        chrome.post(link, data={"name": "Li", "password": PASSWORD}, headers=origin)
        csrf = signed_in(place, chrome, "li@example.com", PASSWORD)
        page = chrome.post(f"{place.server.url}/preferences/organisation", data={"csrf": csrf}, headers=origin)
        away = unescape(re.search(rf'href="({place.liar.url}[^"]+)"', page.text)[1])
        signed_in(place, chrome, "ana@example.com", PASSWORD)
        place.liar.claims = {"sub": "li", "email": None}
        page = chrome.get(place.back, params={"code": "c", "state": place.liar.asks(away)})
        assert page.url.path == "/preferences"
    place.liar.claims = {"sub": "li", "email": None}
    with browser() as chrome:
        enter(place, chrome)
        assert in_as(place, chrome) is None, "nobody is joined with Ana's account"


def test_l8_the_way_on_after_the_issuer_stays_here(place):
    for onward in ("//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example", "/.\\evil.example",
                   "/tables\r\nX: 1", "javascript:alert(1)"):  # fmt: skip
        with browser() as chrome:
            state = begun(place, chrome, onward)
            answer = chrome.get(place.back, params={"code": "c", "state": state}, follow_redirects=False)
            assert answer.headers["location"] == "/", onward


def test_l1_the_issuers_metadata_leads_nowhere_inside(place, steps):
    for endpoint in ("http://169.254.169.254/latest", "http://10.0.0.7/token", "http://127.0.0.1:9/token"):
        place.liar.metadata = {"token_endpoint": endpoint}
        steps.ok(place.server.api.put("/organisation", json=place.liar.settings()))
        with browser() as chrome:
            page = enter(place, chrome)
            assert re.search("private address|never be allowed", unescape(page.text)), endpoint
    for changed in ({"jwks_uri": "http://[::ffff:10.0.0.1]/keys"}, {"jwks_uri": "http://2130706433:9/"},
                    {"jwks_uri": "file:///etc/passwd"}, {"authorization_endpoint": "javascript:alert(1)"}):  # fmt: skip
        place.liar.metadata = changed
        refused = place.server.api.put("/organisation", json=place.liar.settings())
        assert (refused.status_code, refused.json()["errors"][0]["at"]) == (422, "issuer"), changed


def test_more_keys_than_anybody_needs_are_not_read(place):
    place.liar.padding = 20_000_000
    answer = place.server.api.put("/organisation", json=place.liar.settings())
    assert (answer.status_code, "more than 1 MB" in answer.text) == (422, True)


async def test_strangers_who_open_the_way_there_ask_a_slow_issuer_once(world, place):
    place.server.stop()
    server = world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS=f"127.0.0.1:{place.liar.port}")
    place.liar.slow, place.liar.asked = 2.0, type(place.liar.asked)()
    async with httpx2.AsyncClient(timeout=60) as strangers:
        answers = await asyncio.gather(*(strangers.get(f"{server.url}/sign-in/organisation") for _ in range(40)))
    assert {answer.headers["location"].partition("?")[0] for answer in answers} == {f"{place.liar.url}/authorize"}
    assert len({answer.headers["location"] for answer in answers}) == 40, "each with a state of its own"
    assert place.liar.asked["metadata"] == 1
