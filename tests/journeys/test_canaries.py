"""Planted canaries: no secret, code, verifier or token is found in any log, answer, page, file, table or `repr`."""

from __future__ import annotations

import base64
import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import contextmanager
from html import unescape

import httpx2
import pyotp
import pytest

CLIENT_SECRET = "canary-client-secret-7f3e"
NEW_SECRET = "canary-second-secret-91ab"
GIVEN_TOKEN = "canary-given-token-33"
GIVEN_PASSWORD = "canary-given-word-44"
ORGANISATION_SECRET = "canary-organisation-secret-55"
TYPED_ORGANISATION_SECRET = "canary-organisation-secret-66"
PASSWORD = "correct horse battery"


class Story:
    """Everything that touches a secret, well and badly; what was answered is kept for the search."""

    def __init__(self, world, steps, gossip, database_url) -> None:
        allowed = f"127.0.0.1:{gossip.port}"
        organisation = {"KEYTURN_OIDC_ISSUER": gossip.url, "KEYTURN_OIDC_CLIENT_ID": "keyturn"}
        self.server = world.serve(
            database_url=database_url,
            KEYTURN_ALLOWED_PRIVATE_HOSTS=allowed,
            KEYTURN_OIDC_CLIENT_SECRET=ORGANISATION_SECRET,
            **organisation,
        )
        self.steps, self.gossip = steps, gossip
        self.heard: list[str] = []

    def call(self, method: str, path: str, **more):
        answer = self.server.api.request(method, path, **more)
        self.heard.append(f"{method} {path} {answer.status_code}\n{dict(answer.headers)}\n{answer.text}")
        return answer

    def register(self) -> None:
        body = {
            "name": "Gossip",
            "client_id": "app",
            "client_secret": CLIENT_SECRET,
            "authorization_url": self.gossip.url + "/authorize",
            "token_url": self.gossip.url + "/token",
            "scopes": "a b",
        }
        self.call("POST", "/oauth-clients", json={**body, "token_url": "https:/one.slash"})
        self.call("POST", "/oauth-clients", json={**body, "client_secret": [CLIENT_SECRET]})
        self.client_path = f"/oauth-clients/{self.call('POST', '/oauth-clients', json=body).json()['id']}"
        self.call("POST", "/oauth-clients", json=body)
        self.call("POST", self.client_path + "/check")
        auth = {"type": "oauth2", "oauth_client_id": self.client_path.rsplit("/", 1)[1]}
        body = {"name": "acme", "base_url": self.gossip.url + "/api", "auth": auth, "access": "only_me"}
        self.id = self.call("POST", "/connections", json=body).json()["id"]
        self.path = f"/connections/{self.id}"
        for kind in ("bearer", "basic"):
            given = {"type": kind, "token": GIVEN_TOKEN, "username": "u", "password": GIVEN_PASSWORD}
            self.call("POST", "/connections", json={**body, "name": kind, "auth": given})

    def sign_in(self) -> None:
        secrets = self.gossip.secrets
        with httpx2.Client(follow_redirects=True) as person:
            for mode in ("oauth_error", "web_page", "told_with_200", "denied", "good"):
                self.gossip.mode = mode
                begun = self.server.api.post(self.path + "/authorizations").json()
                secrets[f"link {mode}"] = begun["start_url"].rsplit("/", 1)[1]
                page = self.steps.sign_in(begun["start_url"], browser=person)
                self.heard += [page.text, str(page.url)]
                self.call("GET", f"/authorizations/{begun['id']}")
                secrets[f"state {mode}"] = secrets["state"]
                secrets |= {f"cookie {name} {mode}": value for name, value in person.cookies.items()}
            link = self.server.api.post("/connect-links", json={"connection_id": self.id, "hold": False}).json()
            secrets["connect link"] = link["url"].rsplit("/", 1)[1]
            page = self.steps.sign_in(link["url"], browser=person)
            self.heard += [page.text, str(page.url), person.get(link["url"]).text]
            self.call("GET", f"/connect-links/{link['id']}")
            foreign = f"{self.server.url}/oauth2/callback?code={secrets['code']}&state={secrets['state']}"
            self.heard.append(person.get(foreign).text)
        assert self.server.api.get(self.path).json()["status"] == "healthy"

    def read(self) -> None:
        body = {"connection_id": self.id, "name": "t", "path": "/things"}
        told = self.steps.ok(self.call("POST", "/tables", json=body))
        self.call("GET", f"/tables/{told['id']}/rows?format=ndjson")
        body = {"table_id": told["id"], "destination": {"type": "parquet", "url": "t.parquet"}}
        begun = self.steps.ok(self.call("POST", "/imports", json=body))
        assert self.steps.wait_for_import(self.server, begun["id"])["status"] == "complete"
        for status in (401, 403, 404, 418, 500):
            self.call("GET", f"{self.path}/proxy/broken?status={status}")
            self.call("POST", "/tables/detect", json={"connection_id": self.id, "path": f"/broken?status={status}"})

    def refresh(self) -> None:
        for mode in ("good", "web_page", "told_with_200"):
            self.gossip.mode = mode
            self.call("POST", self.path + "/refresh")
        self.call("POST", self.client_path + "/secrets", json={"client_secret": NEW_SECRET})
        self.gossip.mode = "oauth_error"
        self.call("POST", self.path + "/refresh")

    def organisation(self) -> None:
        """The operator's secret is stored; what an admin types beside it is refused. Nobody is there to sign in with."""
        body = {"name": "Acme", "issuer": self.gossip.url, "client_id": "keyturn"}
        refused = self.call("PUT", "/organisation", json={**body, "client_secret": TYPED_ORGANISATION_SECRET})
        assert refused.status_code == 409
        self.call("PUT", "/organisation", json={**body, "client_secret": [TYPED_ORGANISATION_SECRET]})
        assert self.call("GET", "/organisation").json()["set_by_operator"] is True
        with httpx2.Client(base_url=self.server.url, timeout=60) as browser:
            page = browser.get("/sign-in/organisation", headers={"Sec-Fetch-Site": "same-origin"})
            self.heard.append(f"{page.url} {page.headers.get('location')} {page.text}")

    def second_factor(self) -> None:
        """It is turned on, mistyped and used; the two pages that show its secrets once are what is not searched."""
        secrets = self.gossip.secrets
        with signed_in(self.server) as browser:
            csrf = re.search(r'name="csrf" value="([^"]+)"', browser.get("/preferences").text)[1]
            shown = browser.post("/preferences/second-factor", data={"csrf": csrf}).text
            secrets["TOTP secret"] = re.search(r"<code>([A-Z2-7]{32})</code>", shown)[1]
            wrong = browser.post("/preferences/second-factor/confirm", data={"csrf": csrf, "code": "000000"})
            assert "This code is not right" in unescape(wrong.text)
            code = pyotp.TOTP(secrets["TOTP secret"]).now()
            shown = browser.post("/preferences/second-factor/confirm", data={"csrf": csrf, "code": code}).text
            spare = re.findall(r"<li>([a-z0-9-]{19})</li>", shown)
            secrets |= {f"recovery code {number}": one for number, one in enumerate(spare)}
            assert len(spare) == 10
            self.heard += [browser.get(path).text for path in ("/preferences/second-factor", "/preferences", "/")]
        with signed_in(self.server, "/sign-in/code") as browser:
            for typed in (spare[0][:-1] + "-", spare[0], spare[0]):
                self.heard.append(browser.post("/sign-in/code", data={"code": typed}).text)
        self.call("GET", "/audit")

    def look(self) -> None:
        for path in ("/oauth-clients", "/connections", "/tables", "/imports", "/tokens", "/me"):
            self.call("GET", path)
        self.call("GET", self.path + "/events")
        self.call("GET", self.client_path)
        self.heard += pages(self.server, self.gossip)
        self.heard += command_line(self.server, self.steps)


@contextmanager
def signed_in(server, then: str = "/"):
    """A browser in which Ana typed her password."""
    headers = {"Origin": server.url}
    with httpx2.Client(base_url=server.url, follow_redirects=True, headers=headers, timeout=60) as browser:
        page = browser.post("/sign-in", data={"email": "ana@example.com", "password": PASSWORD})
        assert (page.status_code, page.url.path) == (200, then), page.text
        yield browser


def pages(server, gossip) -> list[str]:
    """Every page a Workspace Admin can open, by its links."""
    with signed_in(server) as browser:
        gossip.secrets |= {f"session {name}": value for name, value in browser.cookies.items()}
        todo, seen = ["/", "/admin/oauth-clients", "/api-tokens", "/preferences"], {}
        while todo:
            path = todo.pop()
            if path in seen or (path.startswith(("/api", "/static")) and path != "/api-tokens") or len(seen) > 60:
                continue
            answer = browser.get(path)
            seen[path] = f"{answer.url}\n{answer.text}"
            todo += [link for link in re.findall(r'href="(/[^"#]*)"', answer.text) if "download" not in link]
        assert len(seen) > 12, list(seen)
        return list(seen.values())


def command_line(server, steps) -> list[str]:
    environment = {"PATH": os.environ["PATH"], "KEYTURN_URL": server.url, "KEYTURN_TOKEN": steps.token}
    said = []
    for words in (["clients", "list"], ["connections", "show", "acme"], ["preview", "acme.t"], ["connections", "list"]):
        command = [sys.executable, "-m", "keyturn.main", *words]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert "not signed in" not in ran.stderr, ran.stderr
        said.append(ran.stdout + ran.stderr)
    return said


def stored(world, database_url) -> list[tuple[str, bytes]]:
    """Each file of the data folder but the key, and each cell of a PostgreSQL."""
    found = [
        (str(path), path.read_bytes())
        for path in (world.tmp_path / "data").rglob("*")
        if path.is_file() and path.name != "key"
    ]
    if not database_url:
        assert any(path.endswith(".db") for path, _ in found), found
        return found
    import sqlalchemy as sa

    engine = sa.create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        for name in sa.inspect(connection).get_table_names():
            rows = connection.execute(sa.text(f'select to_jsonb(t)::text from "{name}" t'))
            found += [(name, row[0].encode()) for row in rows]
    engine.dispose()
    return found


def spellings(secret: str) -> list[bytes]:
    """As it is, in the alphabets of base64 at each offset, and in hex: what hides from a plain search."""
    plain = secret.encode()
    offsets = [base64.b64encode(b"\0" * shift + plain)[4:-4] for shift in range(3)]
    return [plain, plain.hex().encode(), *[part for part in offsets if len(part) >= 12]]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_g4_n1_n2_n3_n4_p1_no_planted_secret_is_found_anywhere(world, steps, gossip, request, kind):
    database_url = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    story = Story(world, steps, gossip, database_url)
    for part in (story.register, story.sign_in, story.read, story.refresh, story.organisation, story.look,
                 story.second_factor):  # fmt: skip
        part()
    canaries = {
        **gossip.secrets,
        "client secret": CLIENT_SECRET,
        "second secret": NEW_SECRET,
        "given token": GIVEN_TOKEN,
        "given password": GIVEN_PASSWORD,
        "organisation's secret": ORGANISATION_SECRET,
        "organisation's secret as typed": TYPED_ORGANISATION_SECRET,
        "password": PASSWORD,
        "API token": steps.token,
    }
    assert {"TOTP secret", "recovery code 9", "code", "verifier", "state", "access 1", "refresh 1", "access 2"} <= set(
        canaries
    ), sorted(canaries)
    assert all(len(value) >= 12 for value in canaries.values()), canaries
    story.server.stop()
    places = [("log", story.server.log.encode())]
    places += [(f"answer {number}: {text[:200]}", text.encode()) for number, text in enumerate(story.heard)]
    places += stored(world, database_url)
    leaks = [
        f"{name} in {place}"
        for name, secret in canaries.items()
        for place, content in places
        for spelling in spellings(secret)
        if spelling in content
    ]
    assert leaks == [], "\n".join(leaks)


def test_the_search_finds_what_is_hidden(tmp_path):
    """The search itself can fail: a canary in a database file, in base64, is found."""
    path = tmp_path / "leaky.db"
    with sqlite3.connect(path) as database:
        database.execute("create table t (v text)")
        hidden = base64.b64encode(b"user:" + CLIENT_SECRET.encode()).decode()
        database.execute("insert into t values (?)", (json.dumps({"authorization": hidden}),))
    assert any(spelling in path.read_bytes() for spelling in spellings(CLIENT_SECRET))
