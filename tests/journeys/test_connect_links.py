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
from world import TOKEN

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


def test_the_browser_that_was_first_keeps_the_link_and_a_replay_sends_no_second_code(world, steps, server, embed):
    link = embed()
    first = opened(link)
    for second in (httpx2.get(link["url"]), httpx2.post(link["url"], headers={"Origin": server.url})):
        assert second.status_code == 404
        assert "was opened in another browser" in second.text
    # The first may look again and press Continue again; its older state is worth nothing then.
    assert first.get(link["url"]).status_code == 200
    stale = allowed(world, first.to)
    first.to = first.post(link["url"], headers={"Origin": server.url}).headers["location"]
    assert first.get(stale).status_code == 400
    back = allowed(world, first.to)
    # A stranger with the address that came back is refused and spoils nothing.
    assert httpx2.get(back).status_code == 400
    assert first.get(back).status_code == 303
    assert first.get(back).status_code == 400
    assert len(world.end_system.demo.token_requests) == 1
    assert steps.ok(server.api.get(f"{LINKS}/{link['id']}"))["status"] == "completed"
    first.close()


def test_who_declines_at_the_end_system_is_led_back_as_failed_and_the_link_is_used(
    world, steps, server, embed, returned
):
    with Receiver() as receiver:
        secret = hooked(server, steps, receiver)
        link = embed()
        steps.sign_in(link["url"], decision="deny")
        assert returned.seen == [{"connect_link": [link["id"]], "status": ["failed"]}]
        got = waited_for(receiver, "connect_link.failed")
        assert signed_by(secret, got)
        assert "choose Allow" in got.json["data"]["connect_link"]["error"]
    now = steps.ok(server.api.get(f"{LINKS}/{link['id']}"))
    assert (now["status"], now["error"]["message_code"]) == ("failed", "E-DENIED")
    assert httpx2.get(link["url"]).status_code == 404
    # The next link is for the same connection, which nobody else's is merged with.
    assert embed()["connection_id"] == link["connection_id"]
    assert embed("customer-43")["connection_id"] != link["connection_id"]


def test_a_link_taken_back_on_the_way_stores_nothing_and_asks_for_no_token(world, steps, server, embed, returned):
    link = embed()
    browser = opened(link)
    back = allowed(world, browser.to)
    assert server.api.delete(f"{LINKS}/{link['id']}").status_code == 204
    done = browser.get(back, follow_redirects=True)
    assert "Back at the program" in done.text
    assert returned.seen == [{"connect_link": [link["id"]], "status": ["failed"]}]
    assert world.end_system.demo.token_requests == []
    assert "ana took this link back." in browser.get(link["url"]).text
    assert steps.ok(server.api.get(f"{LINKS}/{link['id']}"))["status"] == "revoked"
    assert steps.ok(server.api.get(f"/connections/{link['connection_id']}"))["status"] == "not_connected"
    browser.close()


def elapse(server, world, link: dict, seconds: float) -> None:
    """That long ago for everything about a link: what the database would hold then."""
    import sqlalchemy as sa

    url = server.database_url or f"sqlite:///{world.tmp_path / 'data' / 'keyturn.db'}"
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as tx:
        for table, columns in (("connect_links", ("expires_at", "ends_at")), ("authorizations", ("expires_at",))):
            moved = ", ".join(f"{column} = {column} - {seconds}" for column in columns)
            key = "id" if table == "connect_links" else "connect_link_id"
            tx.execute(sa.text(f"update {table} set {moved} where {key} = :id"), {"id": link["id"]})
    engine.dispose()


def test_a_link_ends_after_its_time_and_whoever_has_it_reads_whom_to_ask(world, steps, server, embed):
    with Receiver() as receiver:
        secret = hooked(server, steps, receiver)
        unopened, under_way = embed(), embed("customer-43", expires_in_seconds=60)
        browser = opened(under_way)
        back = allowed(world, browser.to)
        elapse(server, world, unopened, 1900)
        elapse(server, world, under_way, 700)
        page = httpx2.get(unopened["url"])
        assert (page.status_code, "This link ended at" in page.text) == (404, True)
        assert browser.get(back).status_code == 400, "its ten minutes are over"
        got = waited_for(receiver, "connect_link.expired")
        assert signed_by(secret, got)
        for link in (unopened, under_way):
            assert steps.ok(server.api.get(f"{LINKS}/{link['id']}"))["status"] == "expired"
    assert world.end_system.demo.token_requests == []
    browser.close()


def test_another_account_is_the_owners_decision_and_never_the_visitors(world, steps, server, embed, returned):
    link = embed()
    steps.sign_in(link["url"])
    connection_url = f"/connections/{link['connection_id']}"
    second = embed(return_url=None)
    with httpx2.Client(timeout=30, follow_redirects=True) as browser:
        done = steps.sign_in(second["url"], account="joe", browser=browser)
        assert "You signed in as joe@demo. ana looks at the account" in done.text
        assert "jane" not in done.text, "who signed in before is nobody's business"
        sent = {"id": str(done.url).partition("id=")[2], "switch": "yes"}
        answer = browser.post(server.url + "/oauth2/callback/done/account", data=sent, headers={"Origin": server.url})
        assert (answer.status_code, "Whoever sent you the link decides this." in answer.text) == (403, True)
    assert steps.ok(server.api.get(connection_url))["account"] == "jane@demo"
    waits = steps.ok(server.api.get(f"{LINKS}/{second['id']}"))
    assert (waits["status"], waits["account"]) == ("undecided", "joe@demo")
    assert [one["id"] for one in steps.ok(server.api.get(f"{LINKS}?status=undecided"))["data"]] == [second["id"]]
    notice = steps.ok(server.api.get("/notices"))["data"][0]
    assert (notice["kind"], "joe@demo" in notice["message"]) == ("link_undecided", True)
    # Dropped: the old one reads on, and the new one is revoked there.
    assert server.api.delete(f"{LINKS}/{second['id']}").status_code == 204
    assert steps.ok(server.api.get(f"{LINKS}/{second['id']}"))["status"] == "failed"
    assert server.api.get(f"{connection_url}/proxy/orders").status_code == 200
    third = embed()
    steps.sign_in(third["url"], account="joe")
    assert returned.seen[-1] == {"connect_link": [third["id"]], "status": ["undecided"]}
    accepted = steps.ok(server.api.post(f"{LINKS}/{third['id']}/accept"))
    assert accepted["status"] == "completed"
    assert steps.ok(server.api.get(connection_url))["account"] == "joe@demo"
    assert server.api.post(f"{LINKS}/{third['id']}/accept").status_code == 409


def test_what_somebody_outside_signed_in_waits_until_its_owner_saw_the_account(world, steps, server, client):
    body = {"name": "acme", "base_url": world.end_system.url + "/api/v1", "access": "only_me",
            "auth": {"type": "oauth2", "oauth_client_id": client["id"]}}  # fmt: skip
    connection = steps.ok(server.api.post("/connections", json=body))
    link = steps.ok(server.api.post(LINKS, json={"connection_id": connection["id"]}))
    assert link["hold"] is True
    done = steps.sign_in(link["url"])
    assert done.status_code == 200
    assert "ana looks at the account before anything is read with it." in done.text
    assert server.api.get(f"/connections/{connection['id']}/proxy/orders").status_code == 409
    assert steps.ok(server.api.post(f"{LINKS}/{link['id']}/accept"))["status"] == "completed"
    assert server.api.get(f"/connections/{connection['id']}/proxy/orders").status_code == 200
    # The same account again needs no second look.
    again = steps.ok(server.api.post(LINKS, json={"connection_id": connection["id"]}))
    assert "Connected as jane@demo." in steps.sign_in(again["url"]).text
    kinds = [event["kind"] for event in steps.ok(server.api.get(f"/connections/{connection['id']}/events"))["data"]]
    assert {"link_made", "link_held", "connected", "reconnected"} <= set(kinds)


def refused(server, body: dict, status: int = 422, **more) -> dict:
    answer = server.api.post(LINKS, json=body, **more)
    assert answer.status_code == status, answer.text
    return {item["at"]: item["message"] for item in answer.json().get("errors", [])} | {"": answer.json()["detail"]}


def test_what_cannot_be_a_link_is_refused_in_words_and_leaves_nothing_behind(world, steps, server, client, returned):
    good = {"oauth_client_id": client["id"], "end_user": "u", "base_url": world.end_system.url + "/api/v1"}
    for wrong in (
        returned.url + "/",
        returned.url + "?x=1",
        returned.url.upper(),
        "https://evil.example/",
        returned.url + "#a",
    ):
        assert "return_url" in refused(server, {**good, "return_url": wrong}), wrong
    assert (
        "Admin adds it there (advanced.return_urls)"
        in refused(server, {**good, "return_url": "https://evil.example/"})["return_url"]
    )
    assert set(refused(server, {})) == {"connection_id", ""}
    assert set(refused(server, {"oauth_client_id": client["id"]})) == {"end_user", ""}
    assert set(refused(server, {"connection_id": "cn_x", "end_user": "u"})) == {"end_user", ""}
    assert "expires_in_seconds" in refused(server, {**good, "expires_in_seconds": 1801})
    assert "return_to" in refused(server, {**good, "return_to": returned.url})
    refused(server, {"connection_id": "cn_x"}, 404)
    refused(server, {**good, "oauth_client_id": "oc_x"}, 404)
    assert steps.ok(server.api.get("/connections"))["data"] == []
    # A host that the client does not list needs a Workspace Admin, however the connection is shared.
    steps.ok(server.api.patch(f"/oauth-clients/{client['id']}", json={"advanced": {"allowed_hosts": []}}))
    account = steps.ok(server.api.post("/service-accounts", json={"name": "Editor", "role": "editor"}))
    body = {"name": "e", "account_id": account["id"], "permissions": ["connections:write", "connections:use"]}
    headers = {"Authorization": f"Bearer {steps.ok(server.api.post('/tokens', json=body))['token']}"}
    assert "127.0.0.1 is not among the allowed hosts" in refused(server, good, headers=headers)["base_url"]
    assert steps.ok(server.api.get("/connections"))["data"] == []
    made = steps.ok(server.api.post(LINKS, json=good))
    # Not theirs: another member neither sees nor reuses it.
    assert server.api.get(f"{LINKS}/{made['id']}", headers=headers).status_code == 404
    assert steps.ok(server.api.get(LINKS, headers=headers))["data"] == []
    refused(server, good, 403, headers=headers)
    assert refused(server, {**good, "base_url": "https://elsewhere.example"}, 409)["base_url"]


def test_a_return_url_that_was_taken_out_of_the_list_is_not_led_to_any_more(
    world, steps, server, client, embed, returned
):
    link = embed()
    steps.ok(server.api.patch(f"/oauth-clients/{client['id']}", json={"advanced": {"return_urls": []}}))
    assert "Connected as jane@demo." in steps.sign_in(link["url"]).text
    assert returned.seen == []


def test_the_command_line_and_python_make_links_wait_for_them_and_accept(
    world, steps, server, client, returned, terminal
):
    terminal.run("login", server.url, "--token-stdin", typed=steps.token + "\n")
    base_url = world.end_system.url + "/api/v1"
    create = ("connect-links", "create", "--client", "Demo CRM", "--end-user", "42", "--return-url", returned.url)
    url = terminal.run(*create, "--base-url", base_url).strip()
    steps.sign_in(url)
    told = terminal.run("connect-links", "list", "--end-user", "42")
    assert ("demo_crm_42" in told, "Signed in" in told, "jane@demo" in told) == (True, True, True)
    assert "422" not in terminal.run(*create[:-1], "https://evil.example/", code=2)
    with keyturn.connect(server.url, TOKEN) as ws:
        link = ws.connect_links.create(client="Demo CRM", end_user="43", base_url=base_url)
        assert link.url not in repr(link)
        steps.sign_in(link.url)
        assert link.wait(timeout_seconds=10).status == "completed"
        assert link.connection.health.account == link.account == "jane@demo"
        # A colleague's own: held, seen on the command line, accepted.
        held = ws.connect_links.create("demo_crm_43", hold=True)
        steps.sign_in(held.url, account="joe")
        assert held.wait().status == "undecided"
        assert "To be accepted" in terminal.run("connect-links", "show", held.id)
        assert "reads as joe@demo from now on" in terminal.run("connect-links", "accept", held.id)
        assert next(iter(ws.connect_links)).id == held.id
        assert ws.connect_links[held.id].status == "completed"
    waiting = terminal.start("connections", "reconnect-link", "demo_crm_42", "--wait")
    url = waiting.stdout.readline().strip()
    steps.sign_in(url)
    said, _ = waiting.communicate(timeout=30)
    assert (waiting.returncode, "Signed in as jane@demo" in said) == (0, True)
    unused = terminal.run("connections", "reconnect-link", "demo_crm_42").strip()
    link_id = steps.ok(server.api.get(LINKS))["data"][0]["id"]
    assert "Taken back" in terminal.run("connect-links", "revoke", link_id)
    assert httpx2.get(unused).status_code == 404


def test_of_many_browsers_at_once_one_is_the_first(server, embed):
    link = embed()
    together = threading.Barrier(8)
    answers: list[httpx2.Response] = []

    def press() -> None:
        with httpx2.Client(timeout=60) as browser:
            together.wait(30)
            answers.append(browser.post(link["url"], headers={"Origin": server.url}))

    threads = [threading.Thread(target=press) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join(60) for thread in threads]
    assert sorted(answer.status_code for answer in answers) == [303, *[404] * 7]


def test_a_link_taken_back_while_the_code_is_exchanged_stores_nothing_and_revokes_what_came(
    world, steps, server, embed
):
    link = embed(return_url=None)
    browser = opened(link)
    back = allowed(world, browser.to)
    world.end_system.demo.faults.token_delay_seconds = 3.0
    answers: list[httpx2.Response] = []
    coming_back = threading.Thread(target=lambda: answers.append(browser.get(back, follow_redirects=True)))
    coming_back.start()
    deadline = time.monotonic() + 30
    while not world.end_system.demo.token_requests and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.api.delete(f"{LINKS}/{link['id']}").status_code == 204
    coming_back.join(60)
    browser.close()
    assert "The link was taken back or has ended while you signed in." in answers[0].text
    assert steps.ok(server.api.get(f"{LINKS}/{link['id']}"))["status"] == "revoked"
    assert steps.ok(server.api.get(f"/connections/{link['connection_id']}"))["status"] == "not_connected"
    assert [grant.revoked for grant in world.end_system.demo.grants.values()] == [True]
