"""A second factor as a person meets it: set up, asked for at the sign-in and before dangerous changes, wanted of all."""

from __future__ import annotations

import re
import time
from html import unescape

import httpx2
import pyotp
import pytest

from world import PASSWORD


class Person:
    """A browser that posts the forms of our pages."""

    def __init__(self, server) -> None:
        self.server = server
        self.http = httpx2.Client(base_url=server.url, follow_redirects=True, timeout=30)
        self.csrf = ""

    def get(self, path: str) -> httpx2.Response:
        page = self.http.get(path)
        found = re.search(r'name="csrf" value="([^"]+)"', page.text)
        self.csrf = found[1] if found else self.csrf
        return page

    def post(self, path: str, **fields: str) -> httpx2.Response:
        fields = {"csrf": self.csrf, **fields}
        return self.http.post(path, data=fields, headers={"Origin": self.server.url})

    def sign_in(self, **more: str) -> httpx2.Response:
        page = self.post("/sign-in", email="ana@example.com", password=PASSWORD, **more)
        self.get("/preferences")
        return page


@pytest.fixture
def server(world):
    return world.serve()


@pytest.fixture
def person(server):
    """Makes people, each with a browser of their own."""
    made: list[Person] = []

    def one() -> Person:
        made.append(Person(server))
        return made[-1]

    yield one
    for each in made:
        each.http.close()


def codes_of(secret: str):
    """Codes that were not used before, without waiting for the next step: the window has the one to come."""
    at = int(time.time()) // 30
    return iter([pyotp.TOTP(secret).generate_otp(step) for step in (at, at + 1)])


def test_r6_after_the_password_a_code_is_asked_for_and_taken_once(server, steps, person):
    ana = person()
    ana.sign_in()
    assert "It is off" in ana.get("/preferences/second-factor").text
    page = ana.post("/preferences/second-factor")
    assert "<svg" in page.text
    secret = re.search(r"<code>([A-Z2-7]{32})</code>", page.text)[1]
    codes = codes_of(secret)
    assert "This code is not right" in unescape(ana.post("/preferences/second-factor/confirm", code="000000").text)
    page = ana.post("/preferences/second-factor/confirm", code=next(codes))
    spare = re.findall(r"<li>([a-z0-9-]{19})</li>", page.text)
    assert len(spare) == 10
    assert secret not in ana.get("/preferences/second-factor").text
    other = person()
    page = other.sign_in(next="/tables")
    assert page.url.path == "/sign-in/code"
    assert other.get("/preferences").url.path == "/sign-in", "the password alone is no session"
    assert other.post("/sign-in/code", code="000000").status_code == 401
    used = next(codes)
    assert other.post("/sign-in/code", code=used).url.path == "/tables"
    third = person()
    third.sign_in()
    assert third.post("/sign-in/code", code=used).status_code == 401
    assert third.post("/sign-in/code", code=spare[0]).status_code == 200
    told = steps.ok(server.api.get("/audit"))["data"]
    assert {"account.second_factor_added", "account.second_factor_failed", "account.recovery_code_used"} <= {
        entry["verb"] for entry in told
    }
    assert not any(value in server.log + str(told) for value in (secret, *spare))


def test_r7_a_dangerous_change_asks_for_the_code_too(person):
    ana = person()
    ana.sign_in()
    page = ana.post("/preferences/second-factor")
    codes = codes_of(re.search(r"<code>([A-Z2-7]{32})</code>", page.text)[1])
    ana.post("/preferences/second-factor/confirm", code=next(codes))
    ana.get("/prove")
    assert "This code is not right" in unescape(ana.post("/prove", password=PASSWORD, code="123").text)
    assert "This is not your password" in ana.post("/prove", password="wrong wrong wrong", code="123").text
    assert "Thank you" in ana.post("/prove", password=PASSWORD, code=next(codes)).text


def test_a_workspace_that_wants_one_leads_to_it_and_an_admin_takes_a_lost_one_away(server, steps, person):
    ana = person()
    ana.sign_in()
    here = steps.ok(server.api.get("/workspaces"))["data"][0]
    changed = steps.ok(server.api.patch(f"/workspaces/{here['id']}", json={"requires_second_factor": True}))
    assert changed["requires_second_factor"] is True
    assert changed["name"] == here["name"]
    assert ana.get("/tables").url.path == "/preferences/second-factor"
    assert ana.post("/preferences/theme").status_code == 403
    page = ana.post("/preferences/second-factor")
    codes = codes_of(re.search(r"<code>([A-Z2-7]{32})</code>", page.text)[1])
    ana.post("/preferences/second-factor/confirm", code=next(codes))
    assert ana.get("/tables").url.path == "/tables"
    me = steps.ok(server.api.get("/me"))["account"]["id"]
    assert server.api.delete(f"/members/{me}/second-factor").status_code == 204
    assert server.api.delete(f"/members/{me}/second-factor").status_code == 404
    assert ana.get("/tables").url.path == "/sign-in", "they are signed out everywhere"
    ana.sign_in()
    assert ana.get("/tables").url.path == "/preferences/second-factor"
