"""Connect links over real HTTP: people outside sign in once, and programs that embed us hear of it, signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

import keyturn
from postbox import Receiver
from world import PASSWORD, TOKEN

LINKS = "/connect-links"


@pytest.fixture
def returned():
    """The embedding program's return address: what browsers come back with."""
    seen: list[dict[str, list[str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(parse_qs(urlsplit(self.path).query))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>Back</title><h1>Back at the program</h1>")

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    seen_at = f"http://127.0.0.1:{server.server_address[1]}/back"
    yield type("Returned", (), {"url": seen_at, "seen": seen})
    server.shutdown()
    server.server_close()


@pytest.fixture(params=["sqlite", "postgresql"])
def server(world, request):
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else None
    return world.serve(database_url=url, KEYTURN_ALLOWED_PRIVATE_HOSTS="127.0.0.1")


@pytest.fixture
def client(world, steps, server, returned):
    made = steps.register(world, server)
    listed = {"advanced": {"allowed_hosts": ["127.0.0.1"], "return_urls": [returned.url]}}
    return steps.ok(server.api.patch(f"/oauth-clients/{made['id']}", json=listed))


@pytest.fixture
def embed(world, server, client, returned):
    """Makes a link for an end user."""

    def make(end_user: str = "customer-42", **changes) -> dict:
        body = {"oauth_client_id": client["id"], "end_user": end_user, "return_url": returned.url,
                "base_url": world.end_system.url + "/api/v1", **changes}  # fmt: skip
        answer = server.api.post(LINKS, json={name: value for name, value in body.items() if value is not None})
        assert answer.status_code == 201, answer.text
        return answer.json()

    return make


def hooked(server, steps, receiver) -> str:
    made = steps.ok(server.api.post("/webhooks", json={"name": "Embedder", "url": receiver.url}))
    return made["secret"]


def waited_for(receiver, kind: str) -> dict:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for got in list(receiver.got):
            if got.json["type"] == kind:
                return got
        time.sleep(0.05)
    raise AssertionError(receiver.types)


def signed_by(secret: str, got) -> bool:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.body
    expected = "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return expected in got.headers["webhook-signature"].split()


def opened(link: dict) -> httpx2.Client:
    """A browser that has pressed Continue and stands before the end system."""
    browser = httpx2.Client(timeout=30)
    origin = "://".join(urlsplit(link["url"])[:2])
    answer = browser.post(link["url"], headers={"Origin": origin})
    assert answer.status_code == 303, answer.text
    browser.to = answer.headers["location"]
    return browser


def allowed(world, location: str, decision: str = "allow", account: str = "jane") -> str:
    query = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
    data = {**query, "decision": decision, "account": account}
    return httpx2.post(world.end_system.url + "/oauth2/authorize", data=data).headers["location"]


def test_an_end_user_signs_in_once_and_the_program_hears_of_it(world, steps, server, client, embed, returned):
    with Receiver() as receiver:
        secret = hooked(server, steps, receiver)
        link = embed()
        assert (link["status"], link["hold"], link["end_user"]) == ("pending", False, "customer-42")
        page = httpx2.get(link["url"])
        for told in ("ana", "Demo CRM", "127.0.0.1:" + str(world.end_system.port), "read:orders", urlsplit(returned.url).netloc,
                     "demo_crm_customer_42"):  # fmt: skip
            assert told in page.text
        assert world.end_system.demo.token_requests == [], "looking uses nothing up"
        back = steps.sign_in(link["url"])
        assert "Back at the program" in back.text
        assert returned.seen == [{"connect_link": [link["id"]], "status": ["completed"]}]
        now = steps.ok(server.api.get(f"{LINKS}/{link['id']}"))
        assert (now["status"], now["account"], "url" in now) == ("completed", "jane@demo", False)
        got = waited_for(receiver, "connect_link.completed")
        assert signed_by(secret, got)
        assert got.json["data"]["connect_link"]["end_user"] == "customer-42"
        assert got.json["data"]["connection"]["id"] == link["connection_id"]
    connection = steps.ok(server.api.get(f"/connections/{link['connection_id']}"))
    assert (connection["status"], connection["end_user"]) == ("healthy", "customer-42")
    assert server.api.get(f"/connections/{connection['id']}/proxy/orders").status_code == 200
    # Once: neither the same browser nor another one gets anywhere with it.
    again = httpx2.get(link["url"])
    assert (again.status_code, "was used at" in again.text, "Ask ana for a new one." in again.text) == (404, True, True)
    assert len(world.end_system.demo.token_requests) == 1
