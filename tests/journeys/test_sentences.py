"""Each sentence about signing in, provoked for real: `test_e_<code>_…` makes an end system say what leads to it."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from markupsafe import escape

from certificates import self_signed
from gossip import Gossip
from keyturn.model.messages import MESSAGES

ABOUT_SIGN_IN = (
    "E-REDIRECT E-CLIENT E-SECRETEXPIRED E-GRANT E-7DAYS E-NOREFRESH E-SCOPE E-ADMIN E-TESTUSER E-DENIED E-STATE "
    "E-POPUP E-OTHERUSER E-UNITS E-CLOCK E-TLS E-BLOCKED E-DNS E-NOTJSON"
)
PASSWORD = "correct horse battery"
DAY = 86400.0


def test_each_sentence_about_signing_in_has_a_test_that_provokes_it():
    here = set(globals())
    for code in ABOUT_SIGN_IN.split():
        assert code in MESSAGES
        name = "test_" + code.lower().replace("-", "_")
        assert any(found == name or found.startswith(name + "_") for found in here), code


@pytest.fixture
def server(world, gossip):
    return world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS=f"127.0.0.1:{gossip.port}")


class Story:
    """A connection to an end system that says what it is told to say."""

    def __init__(self, server, steps, gossip) -> None:
        self.server, self.steps, self.gossip = server, steps, gossip

    def register(self, **changes) -> dict:
        body = {
            "name": "Gossip",
            "client_id": "app",
            "client_secret": "a secret",
            "authorization_url": self.gossip.url + "/authorize",
            "token_url": self.gossip.url + "/token",
            "scopes": "a b",
            **changes,
        }
        self.client = self.steps.ok(self.server.api.post("/oauth-clients", json=body))
        auth = {"type": "oauth2", "oauth_client_id": self.client["id"]}
        settings = {"name": "acme", "base_url": self.gossip.url + "/api", "auth": auth, "access": "only_me"}
        self.id = self.steps.ok(self.server.api.post("/connections", json=settings))["id"]
        return self.client

    def sign_in(self) -> tuple[dict, httpx2.Response]:
        """How the attempt ended, and the page of the window that signed in."""
        begun = self.steps.ok(self.server.api.post(f"/connections/{self.id}/authorizations"))
        page = self.steps.sign_in(begun["start_url"])
        return self.steps.ok(self.server.api.get(f"/authorizations/{begun['id']}")), page

    def sign_in_by_hand(self, authorization_url: str) -> None:
        """The person's browser at an authorization server that is not ours to ask: only its answer matters."""
        begun = self.steps.ok(self.server.api.post(f"/connections/{self.id}/authorizations"))
        with httpx2.Client(timeout=30) as browser:
            answer = browser.post(begun["start_url"], headers={"Origin": self.server.url})
            assert answer.headers["location"].startswith(authorization_url)
            state = re.search(r"[?&]state=([^&]+)", answer.headers["location"])[1]
            callback = f"{self.client['redirect_uri']}?code=x-code-1234567&state={state}"
            assert browser.get(callback, follow_redirects=True).status_code == 200

    def check(self) -> dict:
        return self.steps.ok(self.server.api.post(f"/oauth-clients/{self.client['id']}/check"))

    def refused(self, sentence: str, code: str) -> None:
        """A sign-in ends in that sentence: for the program that asked, and on the page the person sees."""
        ended, page = self.sign_in()
        assert (ended["status"], ended["error"]["message_code"]) == ("failed", code), ended
        assert ended["error"]["message"] == sentence
        assert str(escape(sentence)) in page.text
        assert code in page.text


@pytest.fixture
def story(server, steps, gossip) -> Story:
    return Story(server, steps, gossip)


@contextmanager
def page_of(server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, follow_redirects=True, timeout=30) as browser:
        form = {"email": "ana@example.com", "password": PASSWORD}
        assert browser.post("/sign-in", data=form, headers={"Origin": server.url}).status_code == 200
        yield browser


def what_the_other_window_says(story) -> str:
    """The page that waits, as the person sees it who began the sign-in."""
    with page_of(story.server) as browser:
        page = browser.get(f"/connections/{story.id}/sign-in").text
        csrf = re.search(r'name="csrf" value="([^"]+)"', page)[1]
        headers = {"Origin": story.server.url}
        return browser.post(f"/connections/{story.id}/authorizations", data={"csrf": csrf}, headers=headers).text


@pytest.mark.parametrize("where", ["callback", "token"])
def test_e_redirect(story, gossip, where):
    client = story.register()
    if where == "callback":
        gossip.callback = {"error": "redirect_uri_mismatch"}
    else:
        gossip.refusal = (400, {"error": "redirect_uri_mismatch"})
    sentence = (
        f"Gossip does not know our Redirect URI. In its developer console add exactly {client['redirect_uri']}, save, "
        "wait a minute, try again."
    )
    story.refused(sentence, "E-REDIRECT")
    assert sentence in what_the_other_window_says(story), "for servers that show it on a page of their own"


def test_e_client(story, gossip):
    story.register()
    gossip.refusal = (401, {"error": "invalid_client"})
    story.refused(
        "Gossip refused our Client ID or Client Secret (invalid_client). We tried both ways of sending it. "
        "A Workspace Admin should replace the secret.",
        "E-CLIENT",
    )
    assert gossip.heard.count("/token") == 2


def test_e_secretexpired(story, gossip):
    client = story.register()
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    secret = story.server.api.get(f"/oauth-clients/{client['id']}").json()["secrets"][0]
    path = f"/oauth-clients/{client['id']}/secrets/{secret['id']}"
    story.steps.ok(story.server.api.patch(path, json={"expires_on": yesterday.isoformat()}))
    gossip.refusal = (401, {"error": "invalid_client"})
    sentence = (
        f"The Client Secret expired on {yesterday.day} {yesterday:%b %Y}. Create a new one in Gossip and paste it here; "
        "1 connection will recover by themselves."
    )
    story.refused(sentence, "E-SECRETEXPIRED")
    found = story.check()
    assert (found["verdict"], found["message_code"], found["message"]) == ("refused", "E-SECRETEXPIRED", sentence)


def test_e_grant(story, gossip):
    story.register()
    gossip.more = {"userinfo": None}
    story.sign_in()
    gossip.refusal = (400, {"error": "invalid_grant"})
    answer = story.server.api.post(f"/connections/{story.id}/refresh")
    assert (answer.status_code, answer.json()["message_code"]) == (409, "E-GRANT")
    assert answer.json()["detail"].startswith(
        "Gossip no longer accepts this sign-in (invalid_grant): access was revoked, the password changed, or it was "
        "unused too long. Reconnect"
    )


@pytest.mark.parametrize(("days", "code"), [(7.1, "E-7DAYS"), (6.5, "E-GRANT"), (30, "E-GRANT")])
def test_e_7days(story, gossip, world, days, code):
    story.register(authorization_url="https://accounts.google.com/o/oauth2/v2/auth")
    story.sign_in_by_hand("https://accounts.google.com/")
    with sqlite3.connect(world.tmp_path / "data" / "keyturn.db", timeout=10) as database:
        changed = database.execute("update events set at = at - ? where kind = 'connected'", (days * DAY,))
        assert changed.rowcount == 1
    gossip.refusal = (400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."})
    for path in ("refresh", "token"):
        answer = story.server.api.post(f"/connections/{story.id}/{path}")
        assert (answer.status_code, answer.json()["message_code"]) == (409, code), answer.text
    if code == "E-7DAYS":
        assert "Publish the app in Google Cloud › Audience, then reconnect." in answer.json()["detail"]
        found = story.server.api.get(f"/connections/{story.id}").json()
        assert (found["status"], found["status_detail"]) == ("reconnect_needed", "seven_days")


def test_e_norefresh(story, gossip):
    story.register()
    gossip.more = {"refresh_token": None, "expires_in": 2}
    ended, page = story.sign_in()
    note = next(note for note in ended["notes"] if note["message_code"] == "E-NOREFRESH")
    assert re.match(
        r"Gossip gave no refresh token, so this stops at \d\d:\d\d UTC\. Add access_type=offline", note["message"]
    )
    assert "E-NOREFRESH" in page.text
    deadline = time.monotonic() + 20
    while (answer := story.server.api.get(f"/connections/{story.id}/proxy/things")).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert (answer.status_code, answer.json()["message_code"]) == (409, "E-NOREFRESH")


def test_e_scope(story, gossip):
    story.register(scopes="read:orders profile")
    gossip.scope = "profile"
    ended, page = story.sign_in()
    sentence = "You asked for read:orders but Gossip granted only profile. Reconnect and leave every box ticked, or ask its admin."
    assert {"message_code": "E-SCOPE", "message": sentence} in ended["notes"]
    assert sentence in page.text


@pytest.mark.parametrize(
    "said",
    [
        {"error": "admin_policy_enforced"},
        {"error": "access_denied", "error_description": "AADSTS90094: The grant requires administrator permission."},
        {"error": "consent_required", "error_description": "AADSTS65001: The user or administrator has not consented."},
    ],
)
def test_e_admin(story, gossip, said):
    story.register()
    gossip.callback = said
    sentence = "Your organisation requires an admin to approve this app. Send this link to an admin of Gossip’s tenant."
    story.refused(sentence, "E-ADMIN")
    page = what_the_other_window_says(story)
    assert sentence in page
    assert re.search(r"then sign in here: http://localhost:\d+/connect/", page), "the link and the message to send"


def test_e_testuser(story, gossip):
    story.register()
    page = what_the_other_window_says(story)
    assert "Add the account you sign in with under Audience › Test users, or publish the app." in page
    assert "E-TESTUSER" in page


def test_e_denied(story, gossip):
    story.register()
    gossip.callback = {"error": "access_denied", "error_description": "The resource owner denied the request"}
    story.refused("Access was not granted. If that was a mistake, try again and choose Allow.", "E-DENIED")


def test_e_state(story, gossip):
    client = story.register()
    answer = httpx2.get(client["redirect_uri"], params={"code": "x", "state": "of-another-window"})
    assert answer.status_code == 400
    assert "This sign-in was started in another window or took over 10 minutes." in answer.text
    assert gossip.heard == []


@pytest.mark.browser
def test_e_popup(world, steps, look):
    server = world.serve()
    client = steps.register(world, server)
    auth = {"type": "oauth2", "oauth_client_id": client["id"]}
    body = {"name": "acme", "base_url": world.end_system.url + "/api/v1", "auth": auth, "access": "only_me"}
    connection = steps.ok(server.api.post("/connections", json=body))
    page = look.page
    page.goto(f"{server.url}/sign-in")
    page.get_by_label("Email").fill("ana@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="profile menu").wait_for()
    # Sent by a script and not by a press, which is what browsers refuse a new window.
    send = "document.querySelector('form[data-popup]').requestSubmit()"
    page.add_init_script(f"if (location.pathname.endsWith('/sign-in')) addEventListener('load', () => {send})")
    page.goto(f"{server.url}/connections/{connection['id']}/sign-in")
    page.get_by_text("Your browser blocked the sign-in window.").wait_for()
    page.get_by_text("E-POPUP").wait_for()
    look.at("popup-blocked")
    for summary in page.locator("details[name=says] summary").all():
        summary.click()
    look.at("the-other-window-says")
    page.get_by_role("alert").get_by_role("link", name="Open in this tab").click()
    page.get_by_role("button", name="Allow").click()
    page.get_by_text("Connected as jane@demo.").wait_for()


def test_e_otheruser(world, steps):
    server = world.serve()
    connection = steps.connect(world, server, steps.register(world, server))
    begun = steps.ok(server.api.post(f"/connections/{connection['id']}/authorizations"))
    page = steps.sign_in(begun["start_url"], account="joe")
    sentence = "This connection was jane@demo; you signed in as joe@demo. Tables will show joe@demo’s data."
    assert sentence in page.text
    assert steps.ok(server.api.get(f"/authorizations/{begun['id']}"))["error"]["message"] == sentence


def test_e_units(story):
    with page_of(story.server) as browser:
        page = browser.get("/admin/oauth-clients/new").text
        csrf = re.search(r'name="csrf" value="([^"]+)"', page)[1]
        form = {"csrf": csrf, "access_token_expires_in": "3600"}
        headers = {"Origin": story.server.url}
        answer = browser.post("/admin/oauth-clients/new", data=form, headers=headers)
    assert "3600 ms is 3.6 seconds. Did you mean 3600000 ms (1 hour)?" in answer.text


def test_e_clock(story, gossip):
    story.register()
    gossip.refusal = (400, {"error": "invalid_grant"})
    gossip.clock_off_by = 360
    clock = next(step for step in story.check()["steps"] if step["name"] == "clock")
    assert (clock["state"], clock["message"]) == (
        "warn",
        (
            "This server’s clock is 6 minutes off from Gossip. Turn on time sync (NTP) on the server; we allow for it "
            "meanwhile."
        ),
    )
    gossip.refusal = None
    assert story.sign_in()[0]["status"] == "completed", "it is allowed for"


def test_e_tls(world, steps, tmp_path):
    authority = self_signed(tmp_path)
    with Gossip(authority) as gossip:
        gossip.refusal = (400, {"error": "invalid_grant"})
        for number, trusted in enumerate(({}, {"KEYTURN_CA_FILE": str(authority)})):
            allowed = {"KEYTURN_ALLOWED_PRIVATE_HOSTS": f"127.0.0.1:{gossip.port}"}
            story = Story(world.serve(data=f"data-{number}", **allowed, **trusted), steps, gossip)
            story.register()
            found = story.check()
            if trusted:
                assert found["verdict"] == "accepted", found
            else:
                assert (found["verdict"], found["message_code"]) == ("unreachable", "E-TLS")
                assert found["message"].startswith("We could not verify 127.0.0.1’s certificate (")
                assert found["message"].endswith("the operator adds it with KEYTURN_CA_FILE.")


def test_e_blocked(server, gossip):
    body = {"name": "Inside", "client_id": "app", "client_secret": "a secret", "scopes": "a"}
    urls = {"authorization_url": gossip.url + "/authorize", "token_url": "https://localhost:9/token"}
    answer = server.api.post("/oauth-clients", json=body | urls)
    assert (answer.status_code, answer.json()["message_code"]) == (422, "E-BLOCKED")
    assert answer.json()["errors"] == [
        {
            "at": "token_url",
            "message": "localhost points to a private address and is blocked. The operator can allow this host with "
            "KEYTURN_ALLOWED_PRIVATE_HOSTS.",
        }
    ]


def test_e_dns(story):
    story.register(token_url="https://acme-crm.invalid/token")
    found = story.check()
    assert (found["verdict"], found["message_code"]) == ("unreachable", "E-DNS")
    story.refused("We could not find acme-crm.invalid. Check the spelling of the URL.", "E-DNS")


def test_e_notjson(story, gossip):
    story.register(token_url=gossip.url + "/api/page?status=200")
    sentence = (
        "The Token URL answered with a web page, not a token. Check that it is the Token URL, not the sign-in page."
    )
    story.refused(sentence, "E-NOTJSON")
