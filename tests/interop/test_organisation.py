"""Signing in to Keyturn with an organisation, against oidc-provider: discovery, PKCE, iss, ID token, UserInfo, rotation."""

from __future__ import annotations

from html import unescape
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest

from world import free_port


def browser() -> httpx2.Client:
    return httpx2.Client(follow_redirects=True, timeout=30)


def go(person, url: str, email: str, known: httpx2.Client) -> httpx2.Response:
    """Sign in there as `email`; the first page of ours is where it ends."""
    return person(url, {"login": email, "password": "any"}, known, "localhost")


@pytest.fixture
def acme(world, steps, oidc_provider, request):
    """A server of ours, and the organisation set up on it."""
    algorithm = getattr(request, "param", "RS256")
    server = world.serve(KEYTURN_ALLOWED_PRIVATE_HOSTS="127.0.0.1")
    port, callback = free_port(), f"{server.url}/oauth2/organisation/callback"
    theirs = oidc_provider(callback, client="organisation", port=port, id_alg=algorithm)
    body = {"name": "Acme", "issuer": theirs.url, "client_id": "organisation", "client_secret": theirs.client_secret}
    made = steps.ok(server.api.put("/organisation", json=body))
    assert made["redirect_uri"] == callback
    return SimpleNamespace(server=server, theirs=theirs, body=body, port=port, callback=callback)


def entries(server, verb: str) -> list[dict]:
    return server.api.get("/audit", params={"verb": verb}).json()["data"]


def sentence(page: httpx2.Response) -> str:
    return unescape(page.text)


@pytest.mark.parametrize("acme", ["RS256", "PS256", "ES256", "EdDSA"], indirect=True)
def test_r6_a_member_signs_in_with_their_verified_address(acme, person):
    with browser() as chrome:
        assert "Sign in with Acme" in chrome.get(f"{acme.server.url}/sign-in").text
        page = go(person, f"{acme.server.url}/sign-in/organisation?next=/tables", "ana@example.com", chrome)
        assert (page.status_code, page.url.path) == (200, "/tables"), page.text
        assert "code=" not in str(page.url)
    assert [entry["details"] for entry in entries(acme.server, "account.signed_in")] == [{"organisation": "Acme"}]
    joined = entries(acme.server, "account.organisation_joined")[0]["details"]
    assert joined == {"organisation": "Acme", "issuer": acme.theirs.url, "subject": "ana@example.com"}
    assert "organisation-secret-1" not in acme.server.log + str(acme.server.api.get("/organisation").json())
    # No ID token, code or verifier either: a token begins with the same letters.
    assert "eyJ" not in acme.server.log
    assert "code=" not in acme.server.log


def test_an_issuer_that_changed_its_keys_is_believed_at_once(acme, person, oidc_provider):
    with browser() as chrome:
        assert go(person, f"{acme.server.url}/sign-in/organisation", "ana@example.com", chrome).url.path == "/"
    acme.theirs.process.kill()
    acme.theirs.process.wait(10)
    oidc_provider(acme.callback, client="organisation", port=acme.port)
    with browser() as chrome:
        page = go(person, f"{acme.server.url}/sign-in/organisation", "ana@example.com", chrome)
        assert (page.url.path, page.status_code) == ("/", 200), sentence(page)


def test_who_is_not_invited_or_not_verified_is_told_so(acme, person, steps):
    with browser() as chrome:
        page = go(person, f"{acme.server.url}/sign-in/organisation", "eve@example.com", chrome)
        assert page.url.path == "/sign-in"
        assert "Nobody invited eve@example.com yet. Ask a Workspace Admin for an invitation." in sentence(page)
        assert "Nobody invited" not in chrome.get(f"{acme.server.url}/sign-in").text, "it is told once"
    steps.ok(acme.server.api.post("/invitations", json={"email": "unverified-li@example.com", "role": "viewer"}))
    with browser() as chrome:
        page = go(person, f"{acme.server.url}/sign-in/organisation", "unverified-li@example.com", chrome)
        assert "does not say that your email address is verified" in sentence(page)
    assert len(steps.ok(acme.server.api.get("/members"))["data"]) == 1


def test_an_invited_person_joins_without_a_password(acme, person, steps):
    invited = steps.ok(acme.server.api.post("/invitations", json={"email": "li@example.com", "role": "editor"}))
    with browser() as chrome:
        page = chrome.get(invited["url"])
        assert "Join with Acme" in page.text
        page = go(person, f"{acme.server.url}/sign-in/organisation", "li@example.com", chrome)
        assert page.url.path == "/"
    found = {item["email"]: item["role"] for item in steps.ok(acme.server.api.get("/members"))["data"]}
    assert found["li@example.com"] == "editor"
    assert steps.ok(acme.server.api.get("/invitations"))["data"] == []
    with browser() as chrome:
        for guess in ("!", "", "x"):
            form = {"email": "li@example.com", "password": guess}
            answer = chrome.post(f"{acme.server.url}/sign-in", data=form, headers={"Origin": acme.server.url})
            assert answer.status_code == 401


def test_r7_a_dangerous_change_is_proved_by_signing_in_there_anew(acme, person):
    with browser() as chrome:
        go(person, f"{acme.server.url}/sign-in/organisation", "ana@example.com", chrome)
        asked = chrome.get(f"{acme.server.url}/prove/organisation", follow_redirects=False).headers["location"]
        assert "prompt=login" in asked
        assert "max_age=0" in asked
        page = go(person, f"{acme.server.url}/prove/organisation", "ana@example.com", chrome)
        assert (page.url.path, "Thank you" in page.text) == ("/prove", True)


def test_an_answer_is_taken_once_and_only_in_the_browser_that_asked(acme, person):
    with browser() as chrome, browser() as thief:
        begun = chrome.get(f"{acme.server.url}/sign-in/organisation", follow_redirects=False)
        stolen = go(person, begun.headers["location"], "ana@example.com", thief)
        assert "was started in another window" in sentence(stolen)
        state = httpx2.URL(begun.headers["location"]).params["state"]
        forged = chrome.get(f"{acme.callback}?code=x&state={state}&iss=https://evil.example")
        assert "another authorization server" in sentence(forged)
        lacking = chrome.get(f"{acme.server.url}/sign-in/organisation", follow_redirects=False)
        state = httpx2.URL(lacking.headers["location"]).params["state"]
        assert "lacks iss" in sentence(chrome.get(f"{acme.callback}?code=x&state={state}"))
    refused = entries(acme.server, "account.sign_in_failed")
    assert refused == [], "what concerns no workspace is in the deployment's own log"


def test_a_wrong_secret_or_issuer_is_said_where_it_is_repaired(acme, person):
    put = acme.server.api.put
    wrong = put("/organisation", json={**acme.body, "client_secret": "another"})
    assert wrong.status_code == 200
    with browser() as chrome:
        page = go(person, f"{acme.server.url}/sign-in/organisation", "ana@example.com", chrome)
        assert "refused our Client ID or Client Secret" in sentence(page)
    without = {key: value for key, value in acme.body.items() if key != "client_secret"}
    moved = put("/organisation", json={**without, "issuer": f"{acme.theirs.url}/other"})
    assert moved.status_code == 422
    assert moved.json()["errors"][0]["at"] == "client_secret"
    for issuer, words in [
        ("https://10.0.0.7", "private address"),
        ("http://login.example.com", "Use https"),
        ("nonsense", "https"),
        (f"{acme.theirs.url}/nowhere", "publishes no metadata"),
    ]:
        answer = put("/organisation", json={**acme.body, "issuer": issuer})
        assert (answer.status_code, answer.json()["errors"][0]["at"]) == (422, "issuer"), answer.text
        assert words in answer.text
    assert put("/organisation", json={**acme.body, "issuer": f"{acme.theirs.url}/"}).json()["issuer"] == acme.theirs.url
    assert acme.server.api.delete("/organisation").status_code == 204
    assert acme.server.api.get("/organisation").status_code == 404
    assert "Sign in with Acme" not in httpx2.get(f"{acme.server.url}/sign-in").text


def test_the_operator_sets_it_in_the_environment_and_nobody_else_changes_it(world, steps, person, oidc_provider):
    port = free_port()
    ours = f"http://localhost:{port}"
    theirs = oidc_provider(f"{ours}/oauth2/organisation/callback", client="organisation", port=free_port())
    secret = world.tmp_path / "oidc-secret"
    secret.write_text(theirs.client_secret + "\n")
    given = {"KEYTURN_ALLOWED_PRIVATE_HOSTS": "127.0.0.1", "KEYTURN_OIDC_ISSUER": theirs.url,
             "KEYTURN_OIDC_CLIENT_ID": "organisation", "KEYTURN_OIDC_NAME": "Acme"}  # fmt: skip
    for name in given:
        assert name in Path("docs/reference/environment.md").read_text("utf-8")
    given["KEYTURN_OIDC_CLIENT_SECRET_FILE"] = str(secret)
    server = world.serve(port=port, **given)
    # Somebody administers this workspace alone.
    steps.ok(server.api.post("/workspaces", json={"name": "Another"}))
    with browser() as chrome:
        assert "Sign in with Acme" in chrome.get(f"{ours}/sign-in").text
        page = go(person, f"{ours}/sign-in/organisation?next=/tables", "ana@example.com", chrome)
        assert (page.status_code, page.url.path) == (200, "/tables"), page.text
        told = chrome.get(f"{ours}/admin/settings/organisation").text
    assert theirs.url in told
    assert "The operator said who it is" in told
    assert 'name="client_secret"' not in told
    found = steps.ok(server.api.get("/organisation"))
    assert (found["set_by_operator"], found["issuer"]) == (True, theirs.url)
    body = {"name": "Mine", "issuer": "https://evil.example", "client_id": "x", "client_secret": "another-secret-1"}
    assert server.api.put("/organisation", json=body).status_code == 409
    assert server.api.delete("/organisation").status_code == 409
    saved = entries(server, "organisation.saved")
    assert [entry["who"]["name"] for entry in saved] == ["operator"]
    assert theirs.client_secret not in server.log + told + str(found) + str(saved)
    server.stop()
    # The same again is no change; without the variables it is gone.
    server = world.serve(port=port, **given)
    assert len(entries(server, "organisation.saved")) == 1
    server.stop()
    server = world.serve(port=port)
    assert server.api.get("/organisation").status_code == 404
    assert [entry["who"]["name"] for entry in entries(server, "organisation.removed")] == ["operator"]
